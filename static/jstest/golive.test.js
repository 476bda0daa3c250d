import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { readFileSync } from 'node:fs';
import { createBroadcast, FINAL, SETTINGS } from '../lib/golive.js';
import { setUpObs } from '../lib/obs-setup.js';
import { Tokens } from '../lib/tokens.js';
import { ApiError } from '../lib/api.js';
import { ObsError } from '../lib/obs.js';
import { fakeObs, memory, until } from './fake.js';
import './words.js';

const arn = 'arn:aws:ivs:local:000000000000:stage/main';
const limits = {
  maxHeight: 720,
  advisedBitrate: 2_500_000,
  maxBitrate: 8_500_000,
  maxKeyframeInterval: 2,
};
const hour = 3_600_000;

let obs, fakes, broadcast, tokens;

/** A test environment: an OBS that is set up, a page, and a clock that the test sets. */
async function begin({ waits = {} } = {}) {
  obs = fakeObs();
  fakes = {
    now: Date.parse('2026-11-22T20:00:00Z'),
    minted: [],
    lives: 12 * hour,
    storage: memory(),
    user: 'u1',
    states: [],
    events: 0,
    refuse: null,
    minting: () => {},
  };
  await setUpObs(obs, {
    limits,
    endpoint: async () => ({ server: 'https://stage.example/whip', bearer_token: 'from before' }),
  });
  obs.calls = [];
  load(waits);
}

/** Loads the page, for the first time or again. */
function load(waits = {}) {
  const mint = async (stage) => {
    if (fakes.refuse) throw fakes.refuse;
    fakes.minting();
    const n = fakes.minted.push(stage);
    return {
      participantId: `p${n}`,
      token: `token ${n}`,
      endpoint: 'https://stage.example/whip',
      expiresAt: new Date(fakes.now + fakes.lives).toISOString(),
      stage,
      capabilities: ['publish'],
    };
  };
  tokens = new Tokens({
    mint,
    user: () => fakes.user,
    storage: fakes.storage,
    now: () => fakes.now,
  });
  broadcast = createBroadcast({
    obs,
    tokens,
    now: () => fakes.now,
    onChange: (s) => fakes.states.push(s),
    // Time limits for expected events are long, since the computer may be busy. Time limits that a
    // test lets pass are short.
    waits: { start: 60_000, stage: 60_000, stop: 50, reason: 50, ...waits },
  });
  obs.on('StreamStateChanged', (e) => broadcast.obsState(e.outputState));
}

const said = (kind, code = '', detail = '') =>
  broadcast.stageEvent({
    id: ++fakes.events,
    kind,
    code,
    detail,
    participantId: broadcast.state.participantId,
    stage: arn,
    time: '',
  });
const phase = () => broadcast.state.phase;
const reached = async (name) => {
  await until(
    () => phase() === name,
    () => broadcast.state,
  );
  await new Promise(setImmediate); // lets pending microtasks run before the test continues
};
const publishes = () => {
  obs.onStart = () => {
    obs.state('STARTED', true);
    setTimeout(() => said('publishing'), 1);
  };
};

async function live() {
  publishes();
  await broadcast.go(arn);
  assert.equal(phase(), 'live');
}

describe('Go live', () => {
  beforeEach(() => begin());

  it('is LIVE when the stage says so, and not before', async () => {
    const going = broadcast.go(arn);
    await until(() => broadcast.state.step === 'stage');
    assert.equal(phase(), 'starting');
    said('connected');
    assert.equal(phase(), 'starting');
    said('publishing');
    await going;
    assert.equal(phase(), 'live');
    assert.deepEqual(obs.now.service.settings, {
      service: 'WHIP',
      server: 'https://stage.example/whip',
      bearer_token: 'token 1',
      use_auth: false,
      bwtest: false,
    });
    assert.deepEqual(
      fakes.states.filter((s) => s.step).map((s) => s.step),
      ['token', 'settings', 'obs', 'stage'],
    );
  });

  it('counts presence on the stage as live, too', async () => {
    const going = broadcast.go(arn);
    await until(() => broadcast.state.step === 'stage');
    broadcast.presence([
      { participantId: 'somebody else', publishing: true },
      { participantId: 'p1', publishing: true },
    ]);
    await going;
    assert.equal(phase(), 'live');
  });

  it('starts one stream, no matter how often the person clicks', async () => {
    publishes();
    await Promise.all([broadcast.go(arn), broadcast.go(arn), broadcast.go(arn)]);
    await broadcast.go(arn);
    assert.equal(obs.count('StartStream'), 1);
    assert.equal(fakes.minted.length, 1);
  });

  it('reuses a token that is good for a while, this broadcaster’s, and put there by this dock', async () => {
    await live();
    await broadcast.stop();
    await live();
    assert.equal(fakes.minted.length, 1, 'reused');
    await broadcast.stop();

    fakes.now += 11.5 * hour;
    await live();
    assert.equal(fakes.minted.length, 2, 'less than an hour left');
    await broadcast.stop();

    obs.now.service.settings.bearer_token = 'somebody else’s';
    await live();
    assert.equal(fakes.minted.length, 3, 'not from this dock');
    await broadcast.stop();

    fakes.user = 'u2';
    await live();
    assert.equal(fakes.minted.length, 4, 'another broadcaster');
  });

  it('does not switch the service itself: OBS would send AAC', async () => {
    obs.now.service = { type: 'rtmp_common', settings: { service: 'Twitch' } };
    await broadcast.go(arn);
    assert.equal(broadcast.state.reason.text, 'live.notOurs');
    assert.equal(obs.count('SetStreamServiceSettings') + obs.count('StartStream'), 0);
  });

  it('shows the server’s sentence when it gives no token', async () => {
    fakes.refuse = new ApiError('30 tokens in 10 minutes is the limit.', {
      status: 429,
      code: 'too_many_tokens',
    });
    await broadcast.go(arn);
    assert.equal(phase(), 'trouble');
    assert.equal(broadcast.state.reason.detail, '30 tokens in 10 minutes is the limit.');
  });

  it('says that OBS did not keep what it was given', async () => {
    const call = obs.call;
    obs.call = (request, data) =>
      request === 'SetStreamServiceSettings' ? Promise.resolve() : call(request, data);
    await broadcast.go(arn);
    assert.equal(broadcast.state.reason.text, 'live.notKept');
    assert.equal(obs.count('StartStream'), 0);
  });

  it('shows the stage’s reason if OBS only stops, even if the reason arrives a little later', async () => {
    await begin({ waits: { reason: 60_000 } });
    obs.onStart = () => {
      obs.state('STOPPED', false);
      setTimeout(() => said('refused', 'no_capability', 'You may not publish.'), 10);
    };
    await broadcast.go(arn);
    assert.deepEqual(
      [phase(), broadcast.state.reason.detail, broadcast.state.sending],
      ['trouble', 'You may not publish.', false],
    );
  });

  it('says that OBS did not reach the stage if the stage has no event', async () => {
    obs.onStart = () => obs.state('STOPPED', false);
    await broadcast.go(arn);
    assert.equal(broadcast.state.reason.text, 'live.unreachable');
  });

  it('replaces the message when the reason arrives late', async () => {
    obs.onStart = () => obs.state('STOPPED', false);
    await broadcast.go(arn);
    said('refused', 'no_grant', 'You were taken off this stage.');
    assert.deepEqual(
      [phase(), broadcast.state.reason.detail],
      ['trouble', 'You were taken off this stage.'],
    );
  });

  it('detects a start that fails without an event', async () => {
    await begin({ waits: { start: 50 } });
    obs.onStart = () => {};
    await broadcast.go(arn);
    assert.deepEqual([phase(), broadcast.state.reason.text], ['trouble', 'live.silent']);
    publishes();
    await broadcast.go(arn);
    assert.equal(phase(), 'live', 'and one can try again');
  });

  it('continues if only the event was lost', async () => {
    await begin({ waits: { start: 50 } });
    obs.onStart = () => {
      obs.active.stream = true;
    };
    const going = broadcast.go(arn);
    await until(() => broadcast.state.step === 'stage');
    said('publishing');
    await going;
    assert.equal(phase(), 'live');
  });

  it('is live with the stream that OBS’s own button started at the same moment', async () => {
    const call = obs.call;
    obs.call = async (request, data) => {
      if (request !== 'StartStream') return call(request, data);
      obs.state('STARTED', true);
      throw new ObsError(500, '500', request);
    };
    const going = broadcast.go(arn);
    await until(() => broadcast.state.step === 'stage');
    said('publishing');
    await going;
    assert.equal(phase(), 'live');
  });

  it('says that no media arrives, and is live when media arrives later', async () => {
    await begin({ waits: { stage: 50 } });
    await broadcast.go(arn);
    assert.deepEqual(
      [phase(), broadcast.state.reason.text, broadcast.state.sending],
      ['trouble', 'live.noMedia', true],
    );
    said('publishing');
    assert.equal(phase(), 'live');
  });

  it('renews a refused token once, and then says what is wrong', async () => {
    await live();
    await broadcast.stop();
    obs.onStart = () => {
      said('refused', 'token_expired', 'The token has expired.');
      obs.state('STOPPED', false);
    };
    await broadcast.go(arn);
    assert.equal(fakes.minted.length, 2);
    assert.equal(obs.count('StartStream'), 3);
    assert.equal(broadcast.state.reason.detail, 'The token has expired.');
  });

  it('does not reuse a token that was refused because it was revoked meanwhile', async () => {
    await broadcast.keepFresh(arn);
    obs.now.service.settings.bearer_token = '';
    await broadcast.keepFresh(arn);
    const answers = [
      ['refused', 'token_revoked', 'This token was revoked.', 'STOPPED'],
      ['publishing', '', '', 'STARTED'],
    ];
    obs.onStart = () => {
      const [kind, code, detail, state] = answers.shift();
      obs.state(state, state === 'STARTED');
      said(kind, code, detail);
    };
    await broadcast.go(arn);
    assert.deepEqual([phase(), fakes.minted.length], ['live', 2]);
  });

  it('ignores events about another participant or an earlier session', async () => {
    await begin({ waits: { stage: 50 } });
    const going = broadcast.go(arn);
    await until(() => broadcast.state.step === 'stage');
    broadcast.stageEvent({
      id: 900,
      kind: 'publishing',
      code: '',
      detail: '',
      participantId: 'p77',
      stage: arn,
      time: '',
    });
    assert.equal(phase(), 'starting');
    await going;
    assert.equal(phase(), 'trouble');
  });
});

describe('Stop', () => {
  beforeEach(() => begin());

  it('stops', async () => {
    await live();
    await broadcast.stop();
    assert.equal(phase(), 'idle');
    assert.equal(obs.active.stream, false);
  });

  it('is respected while the token is fetched', async () => {
    const going = broadcast.go(arn);
    await broadcast.stop();
    await going;
    assert.equal(phase(), 'idle');
    assert.equal(obs.count('StartStream'), 0);
  });

  it('is respected while OBS connects, where StopStream answers 501 and the stream starts all the same', async () => {
    obs.onStart = () => setTimeout(() => obs.state('STARTED', true), 30);
    const going = broadcast.go(arn);
    await until(() => obs.count('StartStream') === 1);
    await broadcast.stop();
    await going;
    assert.equal(phase(), 'idle');
    await new Promise((resolve) => setTimeout(resolve, 40));
    assert.equal(obs.active.stream, false);
    assert.ok(obs.count('StopStream') >= 2);
  });

  it('is respected while the page waits for the stage', async () => {
    const going = broadcast.go(arn);
    await until(() => broadcast.state.step === 'stage');
    await broadcast.stop();
    await going;
    assert.deepEqual([phase(), obs.active.stream], ['idle', false]);
  });

  it('says if OBS does not stop', async () => {
    await live();
    const call = obs.call;
    obs.call = (request, data) =>
      request === 'StopStream' ? Promise.resolve() : call(request, data);
    await broadcast.stop();
    assert.deepEqual(
      [phase(), broadcast.state.reason.text, broadcast.state.sending],
      ['trouble', 'live.wontStop', true],
    );
  });

  it('is respected by OBS’s own button', async () => {
    await live();
    obs.state('STOPPING', false);
    obs.state('STOPPED', false);
    await reached('idle');
  });
});

describe('While live', () => {
  beforeEach(async () => {
    await begin();
    await live();
  });

  it('waits while OBS reconnects, and is live again with it', async () => {
    obs.active.stream = false;
    obs.reconnecting = true;
    obs.state('RECONNECTING', false);
    await reached('reconnecting');
    obs.reconnecting = false;
    obs.state('RECONNECTED', true);
    await until(() => broadcast.state.step === 'stage');
    said('publishing');
    await reached('live');
    assert.equal(fakes.minted.length, 1);
  });

  it('is live again, and shows no failure meanwhile, although the stage has ended the earlier session', async () => {
    said('ended', 'lost', 'The connection was lost.');
    obs.reconnecting = true;
    obs.state('RECONNECTING', false);
    fakes.states = [];
    obs.reconnecting = false;
    obs.state('RECONNECTED', true);
    said('publishing');
    await reached('live');
    assert.deepEqual([...new Set(fakes.states.map((s) => s.phase))], ['starting', 'live']);
  });

  for (const [what, prepare] of [
    [
      'an expired token',
      () => {
        fakes.now += 13 * hour;
      },
    ],
    [
      'a refused token',
      () => setTimeout(() => said('refused', 'token_unknown', 'This token is not known.'), 5),
    ],
  ]) {
    it(`does not let OBS retry for three hours with ${what}: stop, renew, set, start`, async () => {
      obs.reconnecting = true;
      prepare();
      obs.state('RECONNECTING', false);
      await until(
        () => fakes.minted.length === 2,
        () => broadcast.state,
      );
      await reached('live');
      assert.equal(obs.now.service.settings.bearer_token, 'token 2');
      assert.deepEqual(
        obs.calls
          .map(([r]) => r)
          .filter((r) => /Stream$|^Set/.test(r))
          .slice(-3),
        ['StopStream', 'SetStreamServiceSettings', 'StartStream'],
      );
    });
  }

  it('renews once only, and then says what is wrong', async () => {
    obs.onStart = () => {
      obs.state('STARTED', true);
      setTimeout(() => {
        obs.reconnecting = true;
        obs.state('RECONNECTING', false);
        said('refused', 'token_unknown', 'This token is not known.');
      }, 2);
    };
    obs.reconnecting = true;
    obs.state('RECONNECTING', false);
    said('refused', 'token_unknown', 'This token is not known.');
    await reached('trouble');
    assert.equal(fakes.minted.length, 2);
    assert.equal(broadcast.state.reason.detail, 'This token is not known.');
    assert.equal(obs.active.stream || obs.reconnecting, false, 'and OBS does not go on trying');
  });

  it('does not restart after the operator ended the broadcast', async () => {
    obs.reconnecting = true;
    said('ended', 'kicked', 'The operator ended your broadcast.');
    obs.state('RECONNECTING', false);
    await reached('trouble');
    assert.equal(broadcast.state.reason.detail, 'The operator ended your broadcast.');
    assert.equal(fakes.minted.length, 1);
    assert.equal(obs.reconnecting, false);
  });

  it('does not restart if only other settings would help', async () => {
    said('ended', 'b_frame_present', 'The encoder makes B-frames.');
    await reached('trouble');
    assert.deepEqual(
      [broadcast.state.reason.code, broadcast.state.sending, fakes.minted.length],
      ['b_frame_present', false, 1],
    );
  });

  it('has the same list of final codes as the terminal', () => {
    const table = JSON.parse(
      readFileSync(new URL('../../internal/obs/testdata/final.json', import.meta.url)),
    );
    assert.deepEqual([FINAL, SETTINGS], [[...table.final, ...table.settings], table.settings]);
  });

  it('says why while OBS reconnects by itself', async () => {
    said('ended', 'lost', 'The connection was lost.');
    obs.reconnecting = true;
    obs.state('RECONNECTING', false);
    await reached('reconnecting');
    assert.equal(broadcast.state.reason.detail, 'The connection was lost.');
  });

  it('does not end because of a refused token with a wrong signature', async () => {
    const claim = () =>
      broadcast.stageEvent({
        id: ++fakes.events,
        kind: 'refused',
        code: 'token_signature',
        detail: 'Wrong.',
        claimed: true,
        participantId: 'p1',
        stage: arn,
        time: '',
      });
    claim();
    obs.reconnecting = true;
    obs.state('RECONNECTING', false);
    claim();
    await reached('reconnecting');
    obs.reconnecting = false;
    obs.state('RECONNECTED', true);
    claim();
    said('publishing');
    await reached('live');
    assert.deepEqual(
      [fakes.minted.length, obs.count('StopStream'), tokens.kept().expiresAt > 0],
      [1, 0, true],
    );
  });

  it('offers to go live again after OBS stopped by itself, with the stage’s reason', async () => {
    said('ended', 'lost', 'Your network was gone for 30 seconds.');
    obs.state('STOPPED', false);
    await reached('trouble');
    assert.deepEqual(
      [broadcast.state.reason.detail, broadcast.state.sending],
      ['Your network was gone for 30 seconds.', false],
    );
    await live();
  });

  it('announces a token that would not survive a reconnect', () => {
    assert.equal(broadcast.dying(), false);
    fakes.now += 11.5 * hour;
    assert.equal(broadcast.dying(), true);
  });

  it('finds itself live after a reload of the page', async () => {
    load();
    const resumed = broadcast.resume();
    await until(() => broadcast.state.step === 'stage');
    assert.equal(broadcast.state.participantId, 'p1');
    broadcast.presence([{ participantId: 'p1', publishing: true }]);
    await resumed;
    assert.equal(phase(), 'live');
  });

  it('distinguishes the end of the connection to OBS from the end of the broadcast', async () => {
    broadcast.obsClosed();
    assert.equal(phase(), 'away');
    await broadcast.resume();
    assert.equal(phase(), 'live');
    assert.deepEqual(
      fakes.states.slice(-2).map((s) => s.phase),
      ['away', 'live'],
      'and nothing between',
    );
  });

  it('says that OBS ended, and never shows LIVE, after OBS crashed and restarted', async () => {
    broadcast.obsClosed();
    obs.active.stream = false;
    fakes.states = [];
    await broadcast.resume();
    assert.deepEqual(
      [phase(), broadcast.state.reason.text, broadcast.state.sending],
      ['trouble', 'live.obsEnded', false],
    );
    said('ended', 'lost', 'The connection was lost.');
    assert.equal(broadcast.state.reason.text, 'live.obsEnded', 'the consequence is no reason');
    assert.deepEqual(
      fakes.states.filter((s) => s.phase === 'live'),
      [],
    );
  });

  it('restarts by itself if the restarted server does not know the broadcast', async () => {
    broadcast.online(false);
    broadcast.online(true);
    broadcast.presence([], true);
    await until(
      () => obs.count('StartStream') === 2 && phase() === 'live',
      () => broadcast.state,
    );
    const again = fakes.states.slice(
      fakes.states.findIndex((s) => s.phase === 'reconnecting'),
      -1,
    );
    assert.deepEqual(
      [...new Set(again.map((s) => s.reason?.text))],
      ['live.forgotten'],
      'and it is said all the time',
    );
    assert.deepEqual(
      [fakes.minted.length, obs.count('StopStream'), obs.count('StartStream')],
      [1, 1, 2],
      'with the same token',
    );
  });

  it('does not interfere if OBS reconnects by itself to the restarted server', async () => {
    obs.reconnecting = true;
    broadcast.presence([], true);
    await reached('reconnecting');
    assert.equal(obs.count('StopStream'), 0);
  });

  it('does not restart a broadcast that the server knows, or whose events were not interrupted', async () => {
    broadcast.presence([{ participantId: 'p1', publishing: true }], true);
    broadcast.presence([]);
    await new Promise(setImmediate);
    assert.deepEqual([phase(), obs.count('StopStream')], ['live', 0]);
  });

  it('restarts a broadcast that ended while the server was away', async () => {
    broadcast.online(false);
    obs.state('STOPPED', false);
    await reached('trouble');
    assert.equal(broadcast.state.reason.text, 'live.serverGone');
    broadcast.online(true);
    broadcast.presence([], true);
    await reached('live');
    assert.equal(fakes.minted.length, 1);
  });
});

describe('Started by OBS’s own button', () => {
  beforeEach(() => begin());

  it('is taken over if this dock wrote the token', async () => {
    obs.now.service.settings.bearer_token = '';
    await broadcast.keepFresh(arn);
    obs.state('STARTED', true);
    await until(() => broadcast.state.step === 'stage');
    said('publishing');
    await reached('live');
  });

  it('is left alone if this dock did not write the token', async () => {
    obs.state('STARTED', true);
    await reached('trouble');
    assert.equal(broadcast.state.reason.text, 'live.otherToken');
    obs.state('STOPPED', false);
    await reached('idle');
    obs.now.service = { type: 'rtmp_common', settings: {} };
    obs.state('STARTED', true);
    await reached('trouble');
    assert.equal(broadcast.state.reason.text, 'live.elsewhere');
    assert.equal(obs.count('StopStream'), 0);
  });
});

describe('Renewal of the token while not live', () => {
  beforeEach(async () => {
    await begin();
    obs.now.service.settings.bearer_token = '';
  });

  it('is renewed while idle when it has less than an hour left', async () => {
    await broadcast.keepFresh(arn);
    await broadcast.keepFresh(arn);
    assert.equal(fakes.minted.length, 1);
    fakes.now += 11.2 * hour;
    await broadcast.keepFresh(arn);
    assert.equal(fakes.minted.length, 2);
    assert.equal(obs.now.service.settings.bearer_token, 'token 2');
    assert.equal(broadcast.state.expiresAt, fakes.now + 12 * hour);
  });

  it('with a life of half an hour, is renewed in time, and not constantly', async () => {
    fakes.lives = hour / 2;
    for (let minute = 0; minute < 60; minute++) {
      await broadcast.keepFresh(arn);
      fakes.now += 60_000;
    }
    assert.equal(fakes.minted.length, 3, 'each after 22.5 minutes');
  });

  it('is not changed while OBS is active; the token of another dock is never changed', async () => {
    await broadcast.keepFresh(arn);
    fakes.now += 13 * hour;
    obs.active.stream = true;
    await broadcast.keepFresh(arn);
    assert.equal(fakes.minted.length, 1);
    obs.active.stream = false;
    obs.now.service.settings.bearer_token = 'another dock’s';
    await broadcast.keepFresh(arn);
    assert.equal(fakes.minted.length, 1);
  });

  it('is not written into a profile that is selected during the renewal', async () => {
    const own = { type: 'rtmp_custom', settings: { server: 'rtmp://example', key: 'mine' } };
    obs.profiles.Church = structuredClone(obs.now);
    obs.profiles.Church.service = structuredClone(own);
    fakes.minting = () => obs.activate('Church');
    await broadcast.keepFresh(arn);
    assert.deepEqual(obs.profiles.Church.service, own);
    assert.equal(phase(), 'idle');
  });

  it('does not lose a click during the renewal', async () => {
    publishes();
    const renewal = broadcast.keepFresh(arn);
    await broadcast.go(arn);
    await renewal;
    assert.equal(phase(), 'live');
    assert.equal(fakes.minted.length, 1);
  });

  it('shows no failure if the server issues no token at the moment', async () => {
    fakes.refuse = new ApiError('Later.', { status: 503, code: 'unavailable' });
    await broadcast.keepFresh(arn);
    assert.equal(phase(), 'idle');
  });
});
