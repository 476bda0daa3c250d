import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { beforeEach, describe, it } from 'node:test';
import { createSum } from '../lib/ear.js';
import { counted } from '../lib/playback.js';
import { createRehearsal, FIRST, step, uplinkOf } from '../lib/rehearsal.js';
import { overall, score } from '../lib/rehearsal-score.js';
import { mend, rehearsalOf } from '../lib/rehearsing.js';
import { audio, fakeObs, limits, memory, until, video } from './fake.js';

const words = ['en', 'de', 'es'].map((l) =>
  JSON.parse(readFileSync(new URL(`../strings/${l}.json`, import.meta.url))),
);
const heard = {
  seconds: 19,
  peak: 0.5,
  loudness: -18,
  clipped: 0,
  left: 0.5,
  right: 0.4,
  same: false,
};
const played = { frames: 580, freezes: 0, frozen: 0, roundTrip: 24 };

/** The measurements of a good rehearsal, with the given changes. */
function measured({ v = {}, a = {}, loss = 0, ...rest } = {}) {
  const one = { loss, since: '', video: v && { ...video, ...v }, audio: a && { ...audio, ...a } };
  return {
    limits,
    fps: 30,
    received: [one, one, one],
    sent: { bitrate: 2_560_000, encoderLag: 0, renderLag: 0 },
    uplink: 20_000_000,
    played,
    heard,
    ...rest,
  };
}

const sent = (change) => ({ sent: { bitrate: 2_560_000, encoderLag: 0, renderLag: 0, ...change } });
const sound = (change) => ({ heard: { ...heard, ...change } });

/** [mark, level, topic, changed measurements] */
const TABLE = [
  ['noPicture', 'bad', 'picture', { v: null }],
  ['tooLarge', 'bad', 'picture', { v: { width: 1920, height: 1080 } }],
  ['small', 'warning', 'picture', { v: { width: 640, height: 360 } }],
  ['bFrames', 'bad', 'picture', { v: { bFrames: true } }],
  ['keyframes', 'warning', 'picture', { v: { keyframeInterval: 8.33 } }],
  ['noKeyframes', 'warning', 'picture', { v: { keyframeInterval: 0 } }],
  ['profile', 'warning', 'picture', { v: { profile: 'High' } }],
  ['encoderLag', 'warning', 'picture', sent({ encoderLag: 0.05 })],
  ['encoderLag', 'bad', 'picture', sent({ encoderLag: 0.2 })],
  ['renderLag', 'warning', 'picture', sent({ renderLag: 0.05 })],
  ['renderLag', 'bad', 'picture', sent({ renderLag: 0.3 })],
  ['fps', 'warning', 'picture', { v: { fps: 24 } }],
  ['fps', 'bad', 'picture', { v: { fps: 9 } }],
  ['freezes', 'warning', 'picture', { played: { ...played, freezes: 2, frozen: 0.8 } }],
  ['freezes', 'bad', 'picture', { played: { ...played, freezes: 3, frozen: 4.2 } }],
  ['pictureGood', 'ok', 'picture', {}],
  ['noSound', 'bad', 'sound', { a: null }],
  ['notOpus', 'bad', 'sound', { a: { valid: false } }],
  ['notHeard', 'warning', 'sound', { heard: null }],
  ['silent', 'bad', 'sound', sound({ peak: 0.0001, left: 0.0001, right: 0.0001, loudness: -120 })],
  ['leftOnly', 'warning', 'sound', sound({ right: 0 })],
  ['rightOnly', 'warning', 'sound', sound({ left: 0 })],
  ['clipping', 'warning', 'sound', sound({ clipped: 0.02, peak: 1 })],
  ['clipping', 'bad', 'sound', sound({ clipped: 0.3, peak: 1 })],
  ['loud', 'warning', 'sound', sound({ loudness: -6 })],
  ['quiet', 'warning', 'sound', sound({ loudness: -42 })],
  ['quiet', 'bad', 'sound', sound({ loudness: -55 })],
  ['soundGood', 'ok', 'sound', {}],
  ['soundMono', 'ok', 'sound', sound({ same: true })],
  ['nothing', 'bad', 'network', { v: null, a: null }],
  ['loss', 'warning', 'network', { loss: 0.02 }],
  ['loss', 'bad', 'network', { loss: 0.09 }],
  ['stuck', 'bad', 'network', { ...sent({ bitrate: 6_000_000 }) }],
  ['roundTrip', 'warning', 'network', { played: { ...played, roundTrip: 320 } }],
  ['roundTrip', 'bad', 'network', { played: { ...played, roundTrip: 900 } }],
  ['bitrateOver', 'bad', 'network', { v: { bitrate: 9_000_000 }, ...sent({ bitrate: 9_100_000 }) }],
  [
    'bitrateHigh',
    'warning',
    'network',
    { v: { bitrate: 5_000_000 }, ...sent({ bitrate: 5_100_000 }) },
  ],
  ['headRoom', 'warning', 'network', { uplink: 3_500_000 }],
  ['headRoom', 'bad', 'network', { uplink: 2_000_000 }],
  ['networkRoom', 'ok', 'network', {}],
  ['networkGood', 'ok', 'network', { uplink: 0 }],
];

describe('the score of a rehearsal', () => {
  for (const [name, level, topic, change] of TABLE) {
    it(`${name}, ${level}`, () => {
      const found = score(measured(change))[topic];
      const mark = found.find((m) => m.name === name);
      assert.ok(mark, `${name} is not among ${JSON.stringify(found)}`);
      assert.equal(mark.level, level);
      for (const text of words) {
        const keys = [`rehearsal.${name}`, ...(level === 'ok' ? [] : [`rehearsal.${name}.cure`])];
        for (const key of keys) {
          assert.ok(text[key], `there is no ${key}`);
          for (const [, value] of text[key].matchAll(/\{(\w+)\}/g))
            assert.ok(value in mark.values, `${key} needs ${value}`);
        }
      }
    });
  }

  it('every sentence with a cure is reached by the table', () => {
    const cures = Object.keys(words[0])
      .filter((k) => /^rehearsal\.\w+\.cure$/.test(k))
      .map((k) => k.split('.')[1]);
    assert.ok(cures.length > 20);
    assert.deepEqual(
      cures.filter((name) => !TABLE.some(([n]) => n === name)),
      [],
    );
  });

  it('puts the worst mark first, and has the level of the worst mark', () => {
    const result = score(measured({ v: { bFrames: true, keyframeInterval: 9 } }));
    assert.deepEqual(
      result.picture.map((m) => m.name),
      ['bFrames', 'keyframes'],
    );
    assert.equal(overall(result), 'bad');
    assert.equal(overall(score(measured(sound({ loudness: -42 })))), 'warning');
    assert.equal(overall(score(measured())), 'ok');
  });

  it('names the cause of a fault, and not its consequences', () => {
    const found = score(measured({ v: { fps: 20 }, ...sent({ encoderLag: 0.3 }) })).picture.map(
      (m) => m.name,
    );
    assert.deepEqual(found, ['encoderLag']);
  });
});

describe('the ear', () => {
  const tone = (size) =>
    Float32Array.from(
      { length: 2048 },
      (_, i) => size * Math.sin((i * 2 * Math.PI * 440) / 48_000),
    );
  const silence = new Float32Array(2048);
  it('detects silence, one side, mono and clipping, and measures the level', () => {
    const sum = (l, r) => {
      const s = createSum();
      for (let i = 0; i < 40; i++)
        s.add(
          l,
          r,
          l.map((x, k) => x - r[k]),
        );
      return s.heard();
    };
    assert.equal(sum(silence, silence).peak, 0);
    assert.deepEqual([sum(tone(0.3), silence).right, sum(tone(0.3), silence).same], [0, false]);
    assert.equal(sum(tone(0.3), tone(0.3)).same, true);
    assert.equal(sum(tone(0.3), tone(0.3)).clipped, 0);
    assert.equal(
      sum(
        Float32Array.from(tone(3), (x) => Math.max(-1, Math.min(1, x))),
        silence,
      ).clipped,
      1,
    );
    assert.ok(
      Math.abs(sum(tone(0.178), tone(0.178)).loudness + 18) < 0.1,
      'a sine with a peak of -15 dB has -18 dB',
    );
    assert.equal(sum(silence, silence).seconds, 2);
  });
  it('does not count pauses for the loudness', () => {
    const s = createSum();
    for (let i = 0; i < 10; i++) {
      s.add(tone(0.178), tone(0.178), silence);
      s.add(silence, silence, silence);
    }
    assert.ok(Math.abs(s.heard().loudness + 18) < 0.1);
  });
});

it('freezes and the round trip are found in the statistics of old and new browsers', () => {
  const pair = { type: 'candidate-pair', id: 'b', nominated: true, currentRoundTripTime: 0.031 };
  // The earlier candidate pair is still nominated. In the statistics, it comes before or after the
  // pair in use.
  const left = { ...pair, id: 'a', currentRoundTripTime: 0.5 };
  const transport = { type: 'transport', selectedCandidatePairId: 'b' };
  for (const stats of [
    [
      {
        type: 'inbound-rtp',
        kind: 'video',
        framesDecoded: 50,
        freezeCount: 2,
        totalFreezesDuration: 1.5,
      },
      left,
      pair,
      transport,
    ],
    [
      { type: 'inbound-rtp', kind: 'video', framesDecoded: 50 },
      { type: 'track', kind: 'video', freezeCount: 2, totalFreezesDuration: 1.5 },
      transport,
      pair,
      left,
    ],
    [
      { type: 'inbound-rtp', kind: 'video', framesDecoded: 50, freezeCount: 2 },
      { type: 'track', kind: 'video', totalFreezesDuration: 1.5 },
      { ...left, selected: false },
      { ...pair, selected: true },
      left,
    ],
  ])
    assert.deepEqual(counted(new Map(stats.map((s, i) => [i, s]))), {
      frames: 50,
      freezes: 2,
      frozen: 1.5,
      roundTrip: 31,
    });
});

it('the upload measures the uplink', async () => {
  let clock = 0;
  let bytes = 0;
  const take = async (_, { body }) => {
    bytes = body.size;
    clock += 1000;
    return { ok: true };
  };
  assert.equal(await uplinkOf('p', 2_500_000, { fetch: take, now: () => clock }), bytes * 8);
  assert.ok(bytes >= 625_000 && bytes < 4 << 20, `${bytes}`);
  assert.equal(
    await uplinkOf('p', 2_500_000, {
      fetch: async () => {
        throw new TypeError('no network');
      },
    }),
    0,
  );
  assert.equal(await uplinkOf('p', 2_500_000, { fetch: async () => ({ ok: false }) }), 0);
});

/* ---- the course ---- */

describe('the machine of a rehearsal', () => {
  const b = (phase, reason = null, sending = false) => ({
    kind: 'broadcast',
    broadcast: { phase, step: 'obs', reason, sending, participantId: 'p1' },
    now: 5,
  });
  const noMedia = b('trouble', { text: 'live.noMedia' }, true);
  /** [name, facts, phase, the last effects] */
  const stories = [
    ['begins', [{ kind: 'begin' }], 'starting', ['go']],
    [
      'plays when the stage confirms',
      [{ kind: 'begin' }, b('starting'), b('live')],
      'playing',
      ['watch'],
    ],
    [
      'is over after its time',
      [{ kind: 'begin' }, b('live'), { kind: 'time' }],
      'stopping',
      ['measure'],
    ],
    [
      'has a score',
      [{ kind: 'begin' }, b('live'), { kind: 'time' }, { kind: 'ended', score: {} }],
      'done',
      [],
    ],
    ['is cancelled', [{ kind: 'begin' }, { kind: 'cancel' }], 'stopping', ['stop']],
    [
      'leaves nothing when it is cancelled',
      [{ kind: 'begin' }, { kind: 'cancel' }, { kind: 'ended' }],
      'off',
      [],
    ],
    ['waits for a picture that comes late', [{ kind: 'begin' }, noMedia], 'starting', ['look']],
    [
      'plays a picture that came late',
      [{ kind: 'begin' }, noMedia, b('live')],
      'playing',
      ['watch'],
    ],
    [
      'is not failed by a trouble that is over',
      [{ kind: 'begin' }, noMedia, b('live'), { kind: 'time' }, { kind: 'ended', score: {} }],
      'done',
      [],
    ],
    [
      'stops what did not come about in time',
      [{ kind: 'begin' }, noMedia, { kind: 'time' }],
      'stopping',
      ['stop'],
    ],
    [
      'stops what the stage has refused for good',
      [{ kind: 'begin' }, b('trouble', { text: 'live.ended', code: 'no_h264' }, true)],
      'stopping',
      ['stop'],
    ],
    [
      'stops when OBS sends nothing',
      [{ kind: 'begin' }, b('trouble', { text: 'live.silent' }, false)],
      'stopping',
      ['stop'],
    ],
    [
      'ends when it is stopped in OBS before the picture',
      [{ kind: 'begin' }, b('starting'), b('idle')],
      'stopping',
      ['stop'],
    ],
    [
      'leaves a stream that is not its own',
      [{ kind: 'begin' }, b('trouble', { text: 'live.elsewhere' }, true)],
      'failed',
      ['leave'],
    ],
    [
      'does not wait for a line that breaks',
      [{ kind: 'begin' }, b('live'), b('reconnecting')],
      'stopping',
      ['stop'],
    ],
    ['ends with OBS', [{ kind: 'begin' }, b('live'), { kind: 'closed' }], 'failed', ['leave']],
    [
      'ends with OBS while it stops',
      [{ kind: 'begin' }, b('live'), { kind: 'time' }, { kind: 'closed' }],
      'failed',
      ['leave'],
    ],
    ['is not begun twice', [{ kind: 'begin' }, b('live'), { kind: 'begin' }], 'playing', []],
    [
      'is read and put away',
      [{ kind: 'begin' }, { kind: 'closed' }, { kind: 'dismiss' }],
      'off',
      [],
    ],
  ];
  for (const [name, facts, phase, effects] of stories) {
    it(name, () => {
      let move = { state: FIRST, effects: [] };
      for (const fact of facts) move = step(move.state, fact);
      assert.deepEqual([move.state.phase, move.effects], [phase, effects]);
    });
  }
});

const jwt = (claims) =>
  `h.${btoa(JSON.stringify(claims)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')}.s`;
const secret = (jti, seconds = 90) =>
  jwt({ topic: 'rehearsal-u1', jti, exp: Math.floor(Date.now() / 1000) + seconds });
const OWN = {
  service: 'WHIP',
  server: 'https://stage/whip',
  bearer_token: 'mine',
  use_auth: false,
  bwtest: false,
};

function scene({ present = true, slow = 0, ...change } = {}) {
  const obs = fakeObs();
  obs.now.service = { type: 'whip_custom', settings: { ...OWN } };
  const asked = [];
  let n = 0;
  let events = 0;
  const call = async (method, path) => {
    asked.push(`${method} ${path.replace(/p\d+/, 'P')}`);
    if (path === 'api/rehearsals') {
      const token = (id) => ({
        participantId: id,
        token: secret(id),
        endpoint: 'https://local/whip',
        expiresAt: new Date(Date.now() + 90_000).toISOString(),
      });
      return { publish: token(`p${++n}`), view: token(`v${n}`) };
    }
    if (slow) await new Promise((resolve) => setTimeout(resolve, slow));
    slow = 0; // only the first sample waits
    if (!present) return { presence: null };
    const participantId = path.split('/').at(-1);
    return { presence: { participantId, publishing: true, reception: measured().received[0] } };
  };
  const players = [];
  const playback = (about) => {
    const player = {
      about,
      stopped: false,
      screen: { muted: true },
      stop() {
        player.stopped = true;
      },
      played: async () => played,
    };
    players.push(player);
    about.sound({});
    return player;
  };
  const deps = {
    obs,
    limits: () => limits,
    onChange() {},
    call,
    playback,
    ear: () => ({ heard: () => heard, stop() {} }),
    within: { playback: 40 },
    ...change,
  };
  const rehearsal = createRehearsal(deps);
  obs.on('StreamStateChanged', ({ outputState }) => rehearsal.obsState(outputState));
  const publishing = () =>
    rehearsal.stageEvent({
      id: ++events,
      kind: 'publishing',
      participantId: `p${n}`,
      code: '',
      detail: '',
    });
  obs.onStart = () => {
    obs.state('STARTED', true);
    publishing();
  };
  return { obs, rehearsal, asked, players, publishing };
}

beforeEach(() => {
  globalThis.sessionStorage = memory();
  globalThis.window = globalThis;
  globalThis.fetch = async () => ({ ok: true });
});

describe('a rehearsal', () => {
  it('restores the earlier service in OBS exactly', async () => {
    const { obs, rehearsal, players } = scene();
    rehearsal.begin();
    await until(
      () => rehearsal.state.phase === 'playing',
      () => rehearsal.state,
    );
    assert.equal(rehearsalOf(obs.now.service.settings.bearer_token).participantId, 'p1');
    await until(
      () => rehearsal.state.phase === 'done',
      () => rehearsal.state,
    );
    assert.deepEqual(obs.now.service.settings, OWN);
    assert.equal(obs.active.stream, false);
    assert.equal(players[0].stopped, true);
    assert.equal(rehearsal.state.score.picture[0].name, 'pictureGood');
    assert.equal(sessionStorage.getItem('stagedoor.rehearsing'), null);
  });

  it('measures what OBS sends, however slow the server is', async () => {
    const { obs, rehearsal } = scene({ within: { playback: 300 }, slow: 250 });
    const { call } = obs;
    const start = Date.now();
    obs.call = async (request, data) => {
      if (request === 'GetStats') return { outputTotalFrames: 0 };
      const answer = await call(request, data);
      return request === 'GetStreamStatus'
        ? { ...answer, outputBytes: (Date.now() - start) * 320 } // 2.56 Mb/s
        : answer;
    };
    rehearsal.begin();
    await until(
      () => rehearsal.state.phase === 'done',
      () => rehearsal.state,
    );
    assert.equal(rehearsal.state.score.network[0].name, 'networkRoom');
  });

  it('can run twice', async () => {
    const { obs, rehearsal } = scene();
    for (let i = 0; i < 2; i++) {
      rehearsal.begin();
      await until(
        () => rehearsal.state.phase === 'done',
        () => rehearsal.state,
      );
      rehearsal.dismiss();
    }
    assert.deepEqual(obs.now.service.settings, OWN);
  });

  it('restores the service when it is cancelled, and cancel waits for that', async () => {
    const { obs, rehearsal } = scene({ within: { playback: 60_000 } });
    rehearsal.begin();
    await until(
      () => rehearsal.state.phase === 'playing',
      () => rehearsal.state,
    );
    await rehearsal.cancel();
    assert.deepEqual(
      [rehearsal.state.phase, obs.now.service.settings, obs.active.stream],
      ['off', OWN, false],
    );
  });

  /** A rehearsal whose stage had no picture within the time limit of the broadcast. */
  const late = async (change) => {
    const made = scene({ present: false, waits: { stage: 20 }, ...change });
    made.obs.onStart = () => made.obs.state('STARTED', true);
    made.rehearsal.begin();
    await until(
      () => made.rehearsal.state.reason?.text === 'live.noMedia',
      () => made.rehearsal.state,
    );
    return made;
  };

  it('waits for the stage as long as a broadcast does', async () => {
    const { obs, rehearsal, publishing } = await late();
    assert.deepEqual([rehearsal.state.phase, rehearsal.state.step], ['starting', 'stage']);
    publishing();
    await until(
      () => rehearsal.state.phase === 'done',
      () => rehearsal.state,
    );
    assert.deepEqual([rehearsal.state.reason, obs.now.service.settings], [null, OWN]);
  });

  it('finds the picture whose event did not arrive', async () => {
    const { obs, rehearsal } = scene({ waits: { stage: 20 } });
    obs.onStart = () => obs.state('STARTED', true);
    rehearsal.begin();
    await until(
      () => rehearsal.state.phase === 'done',
      () => rehearsal.state,
    );
  });

  it('says why it did not start, when its time is over', async () => {
    const { obs, rehearsal } = await late({ within: { start: 500 } });
    await until(
      () => rehearsal.state.phase === 'failed',
      () => rehearsal.state,
    );
    assert.equal(rehearsal.state.reason.text, 'live.noMedia');
    assert.deepEqual([obs.now.service.settings, obs.active.stream], [OWN, false]);
  });

  it('does not stop a later stream for an event of its own stage', async () => {
    const { obs, rehearsal } = await late();
    rehearsal.obsClosed();
    assert.equal(rehearsal.state.phase, 'failed');
    for (const id of [91, 92])
      rehearsal.stageEvent({
        id,
        kind: 'ended',
        participantId: 'p1',
        code: 'rehearsal_over',
        detail: 'The time of the rehearsal is over.',
      });
    assert.equal(obs.count('StopStream'), 0);
  });

  it('does not touch a stream that a person started', async () => {
    const { obs, rehearsal, asked } = scene();
    obs.active.stream = true;
    rehearsal.begin();
    await until(
      () => rehearsal.state.phase === 'failed',
      () => rehearsal.state,
    );
    assert.equal(rehearsal.state.reason.text, 'live.otherToken');
    assert.deepEqual(
      [
        obs.active.stream,
        obs.count('StopStream'),
        obs.count('SetStreamServiceSettings'),
        asked.length,
      ],
      [true, 0, 0, 0],
    );
  });

  it('shows the server’s reason', async () => {
    const { ApiError } = await import('../lib/api.js');
    const { obs, rehearsal } = scene({
      call: async () => {
        throw new ApiError('The limit is 20 tokens.', { status: 429, code: 'too_many_tokens' });
      },
    });
    rehearsal.begin();
    await until(
      () => rehearsal.state.phase === 'failed',
      () => rehearsal.state,
    );
    assert.equal(rehearsal.state.reason.code, 'too_many_tokens');
    assert.deepEqual(obs.now.service.settings, OWN);
  });

  it('ends with the connection to OBS, and the next connection restores the service', async () => {
    const { obs, rehearsal } = scene({ within: { playback: 60_000 } });
    rehearsal.begin();
    await until(
      () => rehearsal.state.phase === 'playing',
      () => rehearsal.state,
    );
    rehearsal.obsClosed();
    assert.equal(rehearsal.state.phase, 'failed');
    assert.ok(rehearsalOf(obs.now.service.settings.bearer_token));
    assert.equal(await mend(obs, rehearsal.earlier), true);
    assert.deepEqual([obs.now.service.settings, obs.active.stream], [OWN, false]);
  });
});

describe('a page that finds the token of a rehearsal in OBS', () => {
  const found = (jti, seconds, active) => {
    const obs = fakeObs();
    obs.now.service = {
      type: 'whip_custom',
      settings: { ...OWN, bearer_token: secret(jti, seconds) },
    };
    obs.active.stream = active;
    return obs;
  };
  const token = (obs) => obs.now.service.settings.bearer_token;

  it('removes the token if OBS sends nothing', async () => {
    const obs = found('p1', 60, false);
    assert.equal(await mend(obs, null), true);
    assert.equal(token(obs), '');
  });
  it('stops its own rehearsal after a reload', async () => {
    const obs = found('p1', 60, true);
    sessionStorage.setItem('stagedoor.rehearsing', 'p1');
    assert.equal(await mend(obs, null), true);
    assert.deepEqual([token(obs), obs.active.stream], ['', false]);
  });
  it('leaves the rehearsal of another dock until its token has expired', async () => {
    const obs = found('p1', 60, true);
    assert.equal(await mend(obs, null), false);
    assert.equal(obs.active.stream, true);
    const late = found('p1', -1, true);
    assert.equal(await mend(late, null), true);
    assert.deepEqual([token(late), late.active.stream], ['', false]);
  });
  it('leaves every other token, and texts that are no token', async () => {
    for (const bearer_token of [
      'mine',
      jwt({ topic: 'AbCdEfGhIjKl', jti: 'p', exp: 1 }),
      '',
      'a.b.c',
      undefined,
    ]) {
      const obs = fakeObs();
      obs.now.service = { type: 'whip_custom', settings: { ...OWN, bearer_token } };
      assert.equal(await mend(obs, null), false);
      assert.equal(obs.count('SetStreamServiceSettings'), 0);
    }
  });
});
