// Calls every operation of the stock client: node operations.mjs PUBLIC_KEY_PEM PLAYED_STAGE_ARN.
// PLAYED_STAGE_ARN is a stage to which one participant publishes over WHIP. The program disconnects
// this participant. It prints "all is well" or throws.
import assert from 'node:assert/strict';
import * as ivs from '@aws-sdk/client-ivs-realtime';

const [publicKeyMaterial, playedStageArn] = process.argv.slice(2);
const client = new ivs.IVSRealTimeClient({ region: 'us-west-2', maxAttempts: 1 });
const called = new Set();

const call = (name, input = {}) => {
  called.add(name);
  return client.send(new ivs[`${name}Command`](input));
};

const fails = async (type, status, name, input) => {
  await assert.rejects(call(name, input), (err) => {
    assert.equal(err.name, type, name);
    assert.equal(err.$metadata.httpStatusCode, status, name);
    assert.ok(err instanceof ivs.IVSRealTimeServiceException, `${name}: ${err}`);
    return true;
  });
};

// Stages and tokens
const { stage, participantTokens } = await call('CreateStage', {
  name: 'stock',
  tags: { team: 'a b/c' },
  participantTokenConfigurations: [
    { userId: 'u', duration: 5, capabilities: ['PUBLISH'], attributes: { name: 'Ünë' } },
  ],
});
assert.equal(participantTokens.length, 1);
assert.equal(participantTokens[0].attributes.name, 'Ünë');
assert.ok(participantTokens[0].expirationTime instanceof Date);
assert.deepEqual((await call('GetStage', { arn: stage.arn })).stage.endpoints, stage.endpoints);
assert.equal(
  (await call('UpdateStage', { arn: stage.arn, name: 'stock-2' })).stage.name,
  'stock-2',
);
assert.ok(
  (await call('ListStages', { maxResults: 100 })).stages.some(
    (s) => s.arn === stage.arn && s.name === 'stock-2',
  ),
);
const { participantToken } = await call('CreateParticipantToken', {
  stageArn: stage.arn,
  duration: 15,
  userId: 'u',
});
assert.equal(participantToken.duration, 15);
assert.deepEqual([...participantToken.capabilities].sort(), ['PUBLISH', 'SUBSCRIBE']);
await fails('ValidationException', 400, 'CreateParticipantToken', {
  stageArn: stage.arn,
  duration: 0,
});
await fails('ResourceNotFoundException', 404, 'CreateParticipantToken', {
  stageArn: `${stage.arn}x`,
});
await fails('ResourceNotFoundException', 404, 'DisconnectParticipant', {
  stageArn: stage.arn,
  participantId: 'nobody',
});

// Pages
for (let i = 0; i < 4; i++) await call('CreateStage', { name: `page-${i}` });
const seen = [];
for await (const page of ivs.paginateListStages({ client, pageSize: 2 }, {}))
  seen.push(...page.stages.map((s) => s.arn));
assert.equal(new Set(seen).size, seen.length);
assert.ok(seen.length >= 5);

// Public keys
const { publicKey } = await call('ImportPublicKey', { publicKeyMaterial, name: 'stock' });
assert.match(publicKey.fingerprint, /^([0-9a-f]{2}:){15}[0-9a-f]{2}$/);
assert.equal(
  (await call('GetPublicKey', { arn: publicKey.arn })).publicKey.publicKeyMaterial,
  publicKeyMaterial,
);
assert.ok((await call('ListPublicKeys')).publicKeys.some((k) => k.arn === publicKey.arn));
await fails('ConflictException', 409, 'ImportPublicKey', { publicKeyMaterial });

// Tags: the ARN is percent-escaped in the path
for (const resourceArn of [stage.arn, publicKey.arn]) {
  await call('TagResource', { resourceArn, tags: { 'a/b': '1', ü: '2' } });
  await call('UntagResource', { resourceArn, tagKeys: ['ü', 'team'] });
  assert.deepEqual((await call('ListTagsForResource', { resourceArn })).tags, { 'a/b': '1' });
}
await call('DeletePublicKey', { arn: publicKey.arn });

// Ingest configurations
const { ingestConfiguration } = await call('CreateIngestConfiguration', {
  ingestProtocol: 'RTMPS',
  stageArn: stage.arn,
  redundantIngest: true,
});
const { arn } = ingestConfiguration;
assert.equal(ingestConfiguration.redundantIngestCredentials.length, 2);
assert.equal(
  (await call('GetIngestConfiguration', { arn })).ingestConfiguration.streamKey,
  ingestConfiguration.streamKey,
);
assert.equal(
  (await call('ListIngestConfigurations', { filterByStageArn: stage.arn })).ingestConfigurations
    .length,
  1,
);
assert.equal(
  (await call('UpdateIngestConfiguration', { arn, stageArn: '' })).ingestConfiguration.stageArn,
  '',
);
await call('DeleteIngestConfiguration', { arn, force: true });

// Sessions, participants and events of PLAYED_STAGE_ARN
const { stageSessions } = await call('ListStageSessions', { stageArn: playedStageArn });
const played = { stageArn: playedStageArn, sessionId: stageSessions[0].sessionId };
assert.ok((await call('GetStageSession', played)).stageSession.startTime instanceof Date);
const { participants } = await call('ListParticipants', { ...played, filterByState: 'CONNECTED' });
assert.equal(participants.length, 1);
const { participantId } = participants[0];
assert.equal(
  (await call('GetParticipant', { ...played, participantId })).participant.protocol,
  'WHIP',
);
const { events } = await call('ListParticipantEvents', { ...played, participantId });
assert.ok(events.some((e) => e.name === 'JOINED' && e.eventTime instanceof Date));
assert.deepEqual(
  (await call('ListParticipantReplicas', { sourceStageArn: playedStageArn, participantId }))
    .replicas,
  [],
);
await fails('ValidationException', 400, 'ListParticipants', {
  ...played,
  filterByState: 'CONNECTED',
  filterByPublished: true,
});
await call('DisconnectParticipant', { stageArn: playedStageArn, participantId, reason: 'enough' });
await call('DeleteStage', { arn: stage.arn });
await fails('ResourceNotFoundException', 404, 'GetStage', { arn: stage.arn });

// The emulator does not support the other operations of the client. Its error names the operation.
const x = 'arn:aws:ivs:us-west-2:123456789012:x/abcdefgh';
const inputs = {
  StartComposition: { stageArn: stage.arn, destinations: [] },
  CreateStorageConfiguration: { s3: { bucketName: 'b' } },
  StartParticipantReplication: { sourceStageArn: x, destinationStageArn: x, participantId: 'p' },
  StopParticipantReplication: { sourceStageArn: x, destinationStageArn: x, participantId: 'p' },
};
for (const name of Object.keys(ivs)
  .filter((n) => n.endsWith('Command') && n !== '$Command')
  .map((n) => n.slice(0, -7))) {
  if (!called.has(name)) await fails('NotEmulatedException', 501, name, inputs[name] ?? { arn: x });
}
console.log(`all is well: ${called.size} operations`);
