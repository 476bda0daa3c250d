import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPublishing, FIRST, step } from '../lib/stage/publishing.js';
import { sendIvs } from '../lib/stage/send.js';

const token = { kind: 'token', participantId: 'p1', expiresAt: 10_000 };
const up = { kind: 'link', state: 'connected' };
const kicked = {
  kind: 'event',
  event: 'ended',
  participantId: 'p1',
  why: { code: 'kicked', detail: 'Bye.' },
};

// Each step is a fact, with the phase and the effects after it.
const stories = {
  'goes live and stops': [
    [{ kind: 'start' }, 'starting', 'token'],
    [token, 'connecting', 'open timer'],
    [up, 'live', ''],
    [{ kind: 'stop' }, 'idle', 'close'],
  ],
  'starts once': [
    [{ kind: 'start' }, 'starting', 'token'],
    [{ kind: 'start' }, 'starting', ''],
  ],
  'is refused a token': [
    [{ kind: 'start' }, 'starting', 'token'],
    [{ kind: 'failed', why: { code: 'no_grant', detail: 'No.' } }, 'ended', 'close'],
  ],
  'is refused by the stage': [
    [{ kind: 'start' }, 'starting', 'token'],
    [token, 'connecting', 'open timer'],
    [
      { kind: 'failed', refused: true, why: { code: 'token_revoked', detail: 'No.' } },
      'ended',
      'close',
    ],
  ],
  'comes back with the same token': [
    [{ kind: 'start' }, 'starting', 'token'],
    [token, 'connecting', 'open timer'],
    [up, 'live', ''],
    [{ kind: 'link', state: 'disconnected' }, 'retrying', 'timer'],
    [up, 'live', ''],
    [{ kind: 'link', state: 'failed' }, 'retrying', 'close timer'],
    [{ kind: 'timer' }, 'connecting', 'close open timer'],
    [up, 'live', ''],
  ],
  'gives a browser without a way to the server another try': [
    [{ kind: 'start' }, 'starting', 'token'],
    [token, 'connecting', 'open timer'],
    [{ kind: 'timer' }, 'retrying', 'close timer'],
  ],
  'does not come back with a token that has expired': [
    [{ kind: 'start' }, 'starting', 'token'],
    [token, 'connecting', 'open timer'],
    [up, 'live', ''],
    [{ kind: 'link', state: 'failed', now: 10_000 }, 'ended', 'close'],
  ],
  'stays away after a kick': [
    [{ kind: 'start' }, 'starting', 'token'],
    [token, 'connecting', 'open timer'],
    [up, 'live', ''],
    [{ ...kicked, participantId: 'p2' }, 'live', ''],
    [kicked, 'ended', 'close'],
    [{ kind: 'timer' }, 'ended', ''],
  ],
  'ignores what an earlier try answers': [
    [{ kind: 'start' }, 'starting', 'token'],
    [{ kind: 'stop' }, 'idle', 'close'],
    [{ kind: 'start' }, 'starting', 'token'],
    [{ ...token, turn: 1 }, 'starting', ''],
    [{ ...up, turn: 2 }, 'starting', ''],
  ],
};

describe('publishing from a page', () => {
  for (const [name, steps] of Object.entries(stories)) {
    it(name, () => {
      let state = FIRST;
      for (const [i, [fact, phase, effects]] of steps.entries()) {
        const next = step(state, {
          now: 1000,
          turn: fact.kind === 'start' || fact.kind === 'stop' ? undefined : state.turn,
          ...fact,
        });
        state = next.state;
        assert.deepEqual(
          [state.phase, next.effects.map((e) => e.do).join(' ')],
          [phase, effects],
          `step ${i + 1}`,
        );
      }
    });
  }

  it('gives up after several retries', () => {
    let { state } = step(step(FIRST, { kind: 'start', now: 0 }).state, {
      ...token,
      expiresAt: 0,
      now: 0,
    });
    for (let i = 0; i < 100 && state.phase !== 'ended'; i++) {
      state = step(state, { kind: state.phase === 'retrying' ? 'timer' : 'failed', now: 0 }).state;
    }
    assert.deepEqual([state.phase, state.why?.code], ['ended', 'unreachable']);
  });

  it('closes a session that opens after the stop', async () => {
    const closed = [];
    let open = () => {};
    const publishing = createPublishing({
      token: async () => ({
        participantId: 'p1',
        token: 't',
        stage: 's',
        expiresAt: '2999-01-01T00:00:00Z',
      }),
      stream: () => null,
      changed() {},
      send: () =>
        new Promise((resolve) => {
          open = () => resolve({ close: () => closed.push('p1') });
        }),
    });
    publishing.start();
    while (publishing.state.phase !== 'connecting') await Promise.resolve();
    publishing.stop();
    open();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(closed, ['p1']);
  });
});

describe('publishing to an AWS stage', () => {
  const fakeSdk = (told) => async () => ({
    SubscribeType: { NONE: 'none' },
    StageEvents: { STAGE_PARTICIPANT_PUBLISH_STATE_CHANGED: 'publish', STAGE_LEFT: 'left' },
    LocalStageStream: class {
      constructor(track) {
        this.track = track;
      }
    },
    Stage: class {
      constructor(word, strategy) {
        Object.assign(told, { word, strategy, on: {}, left: 0 });
      }
      on(event, handler) {
        told.on[event] = handler;
      }
      async join() {
        if (told.fails) throw new Error('no way');
      }
      leave() {
        told.left++;
        told.on.left('USER_INITIATED');
      }
    },
  });
  const about = (links, ends) => ({
    admission: {
      participantId: 'p1',
      token: 'jwt',
      stage: 'arn:aws:ivs:us-west-2:1:stage/x',
      expiresAt: '',
    },
    stream: { getTracks: () => ['picture', 'sound'] },
    on: { link: (l) => links.push(l), ended: (why) => ends.push(why) },
  });

  it('sends every track, receives nobody, and reports its state', async () => {
    const [told, links, ends] = [{}, [], []];
    const sending = await sendIvs(about(links, ends), { sdk: fakeSdk(told) });
    assert.deepEqual(
      told.strategy.stageStreamsToPublish().map((s) => s.track),
      ['picture', 'sound'],
    );
    assert.equal(told.strategy.shouldSubscribeToParticipant(), 'none');
    for (const state of ['attempting_publish', 'published', 'errored'])
      told.on.publish({ isLocal: true }, state);
    told.on.publish({ isLocal: false }, 'published');
    assert.deepEqual(links, ['connecting', 'connected', 'failed']);
    told.on.left('PARTICIPANT_DISCONNECTED');
    sending.close();
    assert.deepEqual([ends, told.left], [['PARTICIPANT_DISCONNECTED'], 1]);
  });

  it('leaves if it could not join', async () => {
    const told = { fails: true };
    await assert.rejects(sendIvs(about([], []), { sdk: fakeSdk(told) }), /no way/);
    assert.equal(told.left, 1);
  });
});
