import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createClient } from '../lib/stage/client.js';
import { openIvs } from '../lib/stage/ivs.js';
import { loudness } from '../lib/stage/level.js';
import { openLocal } from '../lib/stage/local.js';
import { watchStage } from '../lib/stage/socket.js';
import { dressed, lookOf, readLook } from '../lib/stage/look.js';
import { idIn, viewOf } from '../lib/stage/view.js';
import { cast, columns, createSpotlight } from '../source/layout.js';
import { told } from '../stage/chat.js';
import { audience, cards, choose, crowded, nextSize, readChoices } from '../stage/people.js';
import { addToScene, keyIn, sourceName } from '../stage/scene.js';

const person = (id, userId = id, publishing = true) => ({
  id,
  userId,
  name: userId,
  publishing,
  audioMuted: false,
  videoMuted: false,
});
const turn = () => new Promise((resolve) => setImmediate(resolve));
const until = async (holds) => {
  for (let i = 0; i < 1000 && !holds(); i++) await turn();
  assert.ok(holds());
};

describe('who is shown', () => {
  const list = [
    person('t1', 'ana'),
    person('t2', 'bea'),
    person('t3', 'bea', false),
    person('t4', 'cleo', false),
    person('t5', 'cleo', false),
    person('t6', 'ana', false),
  ];
  it('is everybody who publishes, except the person at the page', () => {
    assert.deepEqual(
      cards(list, 'ana', {}).map((c) => [c.participant.id, c.hidden, c.you]),
      [
        ['t1', true, true],
        ['t2', false, false],
      ],
    );
  });
  it('follows the choice about a person, also with another token', () => {
    const choices = choose(choose({}, 'ana', { hidden: false }), 'bea', {
      muted: true,
      size: 'large',
    });
    const again = readChoices(JSON.stringify(choices));
    const [ana, bea] = cards([person('t8', 'ana'), person('t9', 'bea')], 'ana', again);
    assert.deepEqual([ana.hidden, bea.muted, bea.size, bea.pinned], [false, true, 'large', false]);
  });
  it('lists those who do not publish once each, without the person at the page', () => {
    assert.deepEqual(
      audience(list, 'ana').map((p) => p.userId),
      ['cleo'],
    );
  });
  it('accepts any stored text', () => {
    for (const text of [null, '', 'x', '[]', 'null', '7']) assert.deepEqual(readChoices(text), {});
  });
  it('shows rows in a narrow dock with many people, unless a size was chosen', () => {
    const many = ['t1', 't2', 't3', 't4'].map((id) => person(id));
    assert.deepEqual(
      [
        crowded(many, 'me', {}, true),
        crowded(many, 'me', {}, false),
        crowded(many.slice(0, 2), 'me', {}, true),
      ],
      [true, false, false],
    );
    assert.deepEqual(
      cards(many, 'me', { t2: { size: 'large' } }, 'small').map((c) => c.size),
      ['small', 'large', 'small', 'small'],
    );
  });
  it('cycles through the sizes', () =>
    assert.deepEqual(['small', 'normal', 'large'].map(nextSize), ['normal', 'large', 'small']));
});

describe('a source', () => {
  it('shows only the person, with the newest of two broadcasts', () => {
    const list = [
      person('t1', 'ana'),
      person('t2', 'bea'),
      person('t3', 'bea'),
      person('t4', 'bea', false),
    ];
    assert.deepEqual(
      cast('bea', list).map((p) => p.id),
      ['t3'],
    );
    assert.deepEqual(cast('dora', list), []);
    assert.deepEqual(
      cast('grid', list).map((p) => p.id),
      ['t1', 't2', 't3'],
    );
  });
  it('shows guests by any user id, or by none', () => {
    const guests = [
      person('t1', 'Bea Müller'),
      person('t2', ''),
      person('t3', 'grid'),
      person('t4', 't2'),
      person('t5', 'user:x'),
      person('t6', 'participant:t2'),
      person('t7', '"]/<b>'),
    ];
    const views = guests.map(viewOf);
    assert.deepEqual(views, [
      'Bea Müller',
      'participant:t2',
      'user:grid',
      't2',
      'user:user:x',
      'user:participant:t2',
      '"]/<b>',
    ]);
    assert.deepEqual(
      views.map((view) => cast(view, guests).map((p) => p.id)),
      guests.map((p) => [p.id]),
    );
    assert.deepEqual(views.slice(0, 3).map(idIn), ['Bea Müller', 't2', 'grid']);
  });
  it('makes the pictures as large as they can be', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 9].map((n) => columns(n, 1920, 1080)),
      [1, 2, 2, 2, 3, 3],
    );
    assert.equal(columns(3, 400, 1600), 1);
    assert.equal(columns(0, 1920, 1080), 1);
  });
  it('gives the spotlight to a person who speaks, not for a short sound', () => {
    const spot = createSpotlight();
    const at = (now, levels) => spot.next(new Map(Object.entries(levels)), now);
    assert.equal(at(0, { ana: 0, bea: 0 }), 'ana');
    assert.equal(at(500, { ana: 0, bea: 0.6 }), 'ana', 'too soon');
    assert.equal(at(2000, { ana: 0, bea: 0.2 }), 'ana', 'too quiet');
    assert.equal(at(2200, { ana: 0.1, bea: 0.6 }), 'bea');
    assert.equal(at(2300, { ana: 0 }), 'ana', 'bea has gone');
    assert.equal(at(2400, {}), '');
  });
  it('measures loudness as OBS does: -60 dB to 0 dB', () => {
    assert.equal(loudness(new Float32Array(4)), 0);
    assert.equal(loudness(Float32Array.of(1, -1)), 1);
    assert.ok(Math.abs(loudness(Float32Array.of(0.1, -0.1)) - 2 / 3) < 1e-6);
  });
});

describe('a source in the scene', () => {
  const obsWith = (inputs, scene = []) => {
    const obs = {
      made: [],
      calls: [],
      async call(request, data) {
        obs.calls.push(request);
        if (obs.fails?.[request])
          throw Object.assign(new Error(request), { code: obs.fails[request] });
        if (request === 'GetCurrentProgramScene') return { currentProgramSceneName: 'Talk' };
        if (request === 'GetInputList')
          return {
            inputs: Object.entries(inputs).map(([inputName, { kind }]) => ({
              inputName,
              inputKind: kind,
            })),
          };
        if (request === 'GetInputSettings') {
          if (!inputs[data.inputName]) throw Object.assign(new Error('no'), { code: 600 });
          return {
            inputKind: inputs[data.inputName].kind,
            inputSettings: { url: inputs[data.inputName].url },
          };
        }
        if (request === 'GetSceneItemList')
          return { sceneItems: scene.map((sourceName) => ({ sourceName })) };
        if (request === 'GetVideoSettings') return { baseWidth: 2560, baseHeight: 1440 };
        obs.made.push([request, data]);
        return {};
      },
    };
    return obs;
  };
  const source = (more = {}) => {
    const s = {
      name: 'Stagedoor: bea',
      stage: { arn: 'main', name: 'Main' },
      view: 'bea',
      canvas: false,
      keys: 0,
      discarded: 0,
      // In these addresses, the fragment says what the key shows: STAGE/VIEW. "dead" stands for a
      // key that was revoked.
      ours: (url) => url.startsWith('https://h/source#'),
      shows: async (url) =>
        (([stage, view]) => (view ? { stage, view } : null))(url.split('#')[1].split('/')),
      make: async () => ({
        url: `https://h/source#new${++s.keys}`,
        discard: async () => {
          s.discarded++;
        },
      }),
      ...more,
    };
    return s;
  };
  const ours = { 'Stagedoor: bea': { kind: 'browser_source', url: 'https://h/source#main/bea' } };
  const dead = { 'Stagedoor: bea': { kind: 'browser_source', url: 'https://h/source#dead' } };

  it('is created once, with its sound in the mixer', async () => {
    const obs = obsWith({});
    assert.deepEqual(await addToScene(obs, source()), { done: 'added', scene: 'Talk' });
    const [[request, data]] = obs.made;
    assert.equal(request, 'CreateInput');
    assert.deepEqual(
      [data.inputSettings.reroute_audio, data.inputSettings.url, data.inputSettings.width],
      [true, 'https://h/source#new1', 1280],
    );
  });
  it('of a layout is as large as the canvas', async () => {
    const obs = obsWith({});
    await addToScene(obs, source({ canvas: true }));
    assert.equal(obs.made[0][1].inputSettings.width, 2560);
  });
  it('that exists is not changed, and needs no new key', async () => {
    const obs = obsWith(ours, ['Stagedoor: bea']);
    const s = source();
    assert.equal((await addToScene(obs, s)).done, 'there');
    assert.deepEqual([obs.made, s.keys], [[], 0]);
  });
  it('that is in another scene is added to this scene, too', async () => {
    const obs = obsWith(ours);
    assert.equal((await addToScene(obs, source())).done, 'added');
    assert.deepEqual(
      obs.made.map(([r]) => r),
      ['CreateSceneItem'],
    );
  });
  it('with a revoked key gets a new one', async () => {
    const obs = obsWith(dead, ['Stagedoor: bea']);
    assert.equal((await addToScene(obs, source())).done, 'updated');
    assert.deepEqual(
      obs.made.map(([r, d]) => [r, d.inputSettings.url]),
      [['SetInputSettings', 'https://h/source#new1']],
    );
  });
  it('is found by its view, no matter what its name is', async () => {
    const obs = obsWith({ ...dead, 'My guest': ours['Stagedoor: bea'] }, ['My guest']);
    const s = source();
    assert.equal((await addToScene(obs, s)).done, 'there');
    assert.deepEqual([obs.made, s.keys], [[], 0]);
  });
  it('for another stage, or for another person of that name, is not changed', async () => {
    const called = async (inputs) => {
      const obs = obsWith(
        Object.fromEntries(
          Object.entries(inputs).map(([name, key]) => [
            name,
            { kind: 'browser_source', url: `https://h/source#${key}` },
          ]),
        ),
      );
      await addToScene(obs, source());
      const [[request, { inputName }]] = obs.made;
      return `${request} ${inputName}`;
    };
    assert.equal(
      await called({ 'Stagedoor: bea': 'side/bea' }),
      'CreateInput Stagedoor: bea (Main)',
    );
    assert.equal(
      await called({ 'Stagedoor: bea': 'side/bea', 'Stagedoor: bea (Main)': 'main/other' }),
      'CreateInput Stagedoor: bea 2',
    );
    assert.equal(await called({ 'Stagedoor: bea': 'main/other' }), 'CreateInput Stagedoor: bea 2');
    assert.equal(
      await called({ 'Stagedoor: bea': 'main/other', 'Stagedoor: bea 2': 'main/third' }),
      'CreateInput Stagedoor: bea 3',
    );
    assert.equal(
      await called({ 'Stagedoor: bea': 'main/other', 'Stagedoor: bea 2': 'dead' }),
      'SetInputSettings Stagedoor: bea 2',
    );
  });
  it('is not changed if the server cannot say what it shows', async () => {
    const obs = obsWith(ours);
    await assert.rejects(
      addToScene(
        obs,
        source({
          shows: async () => {
            throw new Error('busy');
          },
        }),
      ),
      { message: 'busy' },
    );
    assert.deepEqual(obs.made, []);
  });
  it('has a name without line breaks', () => {
    assert.equal(sourceName(' Bea\n\u0000 Müller '), 'Stagedoor: Bea Müller');
    assert.equal(sourceName('👩'.repeat(100)), `Stagedoor: ${'👩'.repeat(64)}`);
  });
  it('that is not from Stagedoor is not changed', async () => {
    for (const other of [
      { kind: 'image_source', url: '' },
      { kind: 'browser_source', url: 'https://elsewhere/source#x' },
    ]) {
      const obs = obsWith({ 'Stagedoor: bea': other });
      await assert.rejects(addToScene(obs, source()), { text: 'scene.taken' });
      assert.deepEqual(obs.made, []);
    }
  });
  it('that OBS refuses leaves no key', async () => {
    const obs = obsWith({});
    obs.fails = { CreateInput: 605 };
    const s = source();
    await assert.rejects(addToScene(obs, s), { text: 'scene.noBrowser' });
    assert.deepEqual([s.keys, s.discarded], [1, 1]);
  });
  it('finds the key in its address', () => {
    assert.equal(keyIn('https://h/source#sdv_1', 'https://h/source'), 'sdv_1');
    assert.equal(keyIn('https://h/sources#sdv_1', 'https://h/source'), '');
    assert.equal(keyIn('https://h/source?names=1#sdv_1', 'https://h/source'), 'sdv_1');
  });
  it('takes its look from its address', () => {
    const look = { names: true, background: '#00b140' };
    const url = dressed('https://h/source#sdv_1', look);
    assert.equal(url, 'https://h/source?names=1&background=%2300b140#sdv_1');
    assert.deepEqual(lookOf(new URL(url).search), look);
    assert.equal(dressed(url, { names: false, background: '' }), 'https://h/source#sdv_1');
    for (const text of [null, 'x', '{"background":"url(x)"}'])
      assert.deepEqual(readLook(text), { names: false, background: '' });
  });
});

describe('the chat', () => {
  const message = (id) => ({ id, time: '', userId: 'ana', name: 'ana', text: id });
  const empty = {
    messages: [],
    posts: true,
    moderates: false,
    muted: [],
    error: '',
    sending: false,
  };
  it('shows no message twice, and removes deleted messages', () => {
    let chat = told(empty, 'chat', {
      messages: [message('1')],
      posts: true,
      moderates: false,
      muted: [],
    });
    chat = told(chat, 'message', message('1'));
    chat = told(chat, 'message', message('2'));
    assert.deepEqual(
      chat.messages.map((m) => m.id),
      ['1', '2'],
    );
    assert.deepEqual(
      told(chat, 'removed', { id: '1' }).messages.map((m) => m.id),
      ['2'],
    );
    assert.equal(told(chat, 'presence', {}), chat);
  });
  it('keeps as many messages as the server does', () => {
    let chat = empty;
    for (let i = 0; i < 250; i++) chat = told(chat, 'message', message(String(i)));
    assert.deepEqual([chat.messages.length, chat.messages[0].id], [200, '50']);
  });
});

/** A client whose sessions the test controls, one for each token. */
function stageOf({ life = 100_000 } = {}) {
  const fakes = {
    time: 0,
    sessions: [],
    tokens: 0,
    pauses: [],
    refuse: null,
    states: [],
    streams: new Map(),
    lists: [],
  };
  fakes.client = createClient(
    {
      async token() {
        if (fakes.refuse) throw fakes.refuse;
        return {
          token: `t${++fakes.tokens}`,
          stage: 'arn:aws:ivs:local:0:stage/x',
          expiresAt: new Date(fakes.time + life).toISOString(),
        };
      },
      wants: () => true,
      open({ admission, on }) {
        const session = {
          token: admission.token,
          on,
          closed: false,
          refresh() {},
          close() {
            session.closed = true;
          },
        };
        fakes.sessions.push(session);
        return session;
      },
      on: {
        participants: (list) => fakes.lists.push(list.map((p) => p.id)),
        stream: (id, stream) => fakes.streams.set(id, stream),
        removed: (id) => fakes.streams.delete(id),
        state: (phase) => fakes.states.push(phase),
      },
    },
    {
      now: () => fakes.time,
      pause: async (ms) => {
        fakes.pauses.push(ms);
        await turn();
      },
      random: () => 0.5,
    },
  );
  fakes.last = () => fakes.sessions[fakes.sessions.length - 1];
  return fakes;
}

describe('a client', () => {
  it('joins and leaves', async () => {
    const w = stageOf();
    w.client.join();
    await until(() => w.sessions.length === 1);
    w.last().on.participants([person('bea')]);
    w.last().on.stream('bea', 'picture');
    assert.deepEqual([w.states, w.streams.get('bea')], [['joining', 'joined'], 'picture']);
    w.client.leave();
    assert.deepEqual([w.last().closed, w.streams.size], [true, 0]);
    w.last().on.stream('bea', 'late');
    await turn();
    assert.equal(w.sessions.length, 1);
  });

  it('gets a fresh token before the old one expires, and continues to play meanwhile', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
    const w = stageOf();
    w.client.join();
    await until(() => w.sessions.length === 1);
    const [old] = w.sessions;
    old.on.participants([person('bea'), person('cleo')]);
    old.on.stream('bea', 'old');
    old.on.stream('cleo', 'old');
    w.time = 79_000;
    t.mock.timers.tick(1_000);
    await turn();
    assert.equal(w.sessions.length, 1, 'not yet');
    w.time = 80_000;
    t.mock.timers.tick(1_000);
    await until(() => w.sessions.length === 2);
    assert.equal(old.closed, false);
    const fresh = w.last();
    fresh.on.participants([person('bea'), person('cleo')]);
    fresh.on.stream('bea', 'new');
    assert.deepEqual(
      [old.closed, w.streams.get('bea'), w.streams.get('cleo')],
      [false, 'new', 'old'],
    );
    fresh.on.stream('cleo', 'new');
    assert.deepEqual([old.closed, w.streams.get('cleo')], [true, 'new']);
    assert.ok(!w.states.includes('lost'));
    w.client.leave();
  });

  it('does not wait for ever for a participant who has left', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
    const w = stageOf();
    w.client.join();
    await until(() => w.sessions.length === 1);
    w.last().on.stream('bea', 'old');
    w.time = 80_000;
    t.mock.timers.tick(1_000);
    await until(() => w.sessions.length === 2);
    t.mock.timers.tick(8_000);
    assert.equal(w.sessions[0].closed, true);
    w.client.leave();
  });

  it('rejoins with another token after it was disconnected, with growing pauses', async () => {
    const w = stageOf();
    w.client.join();
    for (const n of [1, 2, 3]) {
      await until(() => w.sessions.length === n);
      w.last().on.ended('TOKEN_EXPIRED');
    }
    await until(() => w.sessions.length === 4);
    assert.deepEqual(
      w.sessions.map((s) => s.token),
      ['t1', 't2', 't3', 't4'],
    );
    assert.deepEqual(w.pauses, [500, 1000, 2000]);
    assert.ok(w.sessions.slice(0, 3).every((s) => s.closed));
    w.client.leave();
  });

  it('gives up only if its login or key has ended', async () => {
    const w = stageOf();
    w.refuse = Object.assign(new Error('busy'), { status: 503 });
    w.client.join();
    await until(() => w.pauses.length >= 3);
    assert.ok(!w.states.includes('refused'));
    w.refuse = Object.assign(new Error('revoked'), { status: 401 });
    await until(() => w.states.includes('refused'));
    const tries = w.pauses.length;
    await turn();
    assert.equal(w.pauses.length, tries);
  });
});

/** A token with these claims. @param {object} claims */
const jwt = (claims) => `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`;
const admission = {
  token: jwt({ jti: 'me', topic: 'x', events_url: 'ws://h/stage-events' }),
  stage: 'arn:aws:ivs:local:0:stage/x',
  expiresAt: '',
};

describe('the events socket', () => {
  it('connects as the IVS SDK does, reports the participants, and ends when it is disconnected', async () => {
    const sockets = [];
    class Socket {
      constructor(url, token) {
        Object.assign(this, { url, token, readyState: 1, sent: [] });
        sockets.push(this);
      }
      send(text) {
        this.sent.push(text);
      }
      close() {
        this.closed = true;
      }
      say(type, payload) {
        this.onmessage?.({ data: JSON.stringify({ type, payload }) });
      }
    }
    const lists = [],
      states = [],
      ended = [];
    watchStage(
      admission.token,
      {
        participants: (l) => lists.push(l),
        connected: (c) => states.push(c),
        ended: (why) => ended.push(why),
      },
      { Socket, pause: async () => {}, random: () => 0 },
    );
    await until(() => sockets.length === 1);
    assert.match(
      sockets[0].url,
      /^ws:\/\/h\/stage-events\?error_over_ws=1&topic=x\/publishers&traceid=[0-9a-f]+$/,
    );
    assert.equal(sockets[0].token, admission.token);
    sockets[0].onmessage({ data: 'no JSON' });
    sockets[0].say('aws:ivs:STAGE_STATE', {
      sequenceNumber: 1,
      participants: [
        { id: 'me', userId: 'ana', attributes: {} },
        {
          id: 'b',
          userId: 'u',
          attributes: { name: 'Bea' },
          isPublishing: true,
          audioMuted: true,
          videoStopped: false,
        },
      ],
    });
    assert.deepEqual(lists, [
      [
        {
          id: 'b',
          userId: 'u',
          name: 'Bea',
          publishing: true,
          audioMuted: true,
          videoMuted: false,
        },
      ],
    ]);
    sockets[0].onclose();
    await until(() => sockets.length === 2);
    assert.deepEqual(states, [true, false]);
    sockets[1].say('aws:ivs:DISCONNECT', { code: 'PARTICIPANT_DISCONNECTED' });
    await turn();
    assert.deepEqual(
      [ended, sockets.length, sockets[1].closed],
      [['PARTICIPANT_DISCONNECTED'], 2, true],
    );
  });
});

describe('a local session', () => {
  it('receives the wanted participants with its token, and retries failures', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let presence;
    const hidden = new Set(['cleo']);
    const played = [],
      stopped = [],
      requests = [],
      links = [],
      removed = [];
    let fail = true;
    const session = openLocal(
      {
        admission,
        wants: (p) => !hidden.has(p.id),
        on: {
          participants() {},
          stream() {},
          removed: (id) => removed.push(id),
          link: (id, link) => links.push(`${id} ${link}`),
          joined() {},
          ended() {},
        },
      },
      {
        watch: (_token, on) => {
          presence = on;
          return { stop() {} };
        },
        async view(id, on, { fetch }) {
          await fetch('whep/x', { method: 'POST', headers: { 'Content-Type': 'application/sdp' } });
          if (fail) throw new Error('not yet');
          played.push([id, on]);
          return { stop: () => stopped.push(id), peer: null };
        },
        fetch: async (url, init) => {
          requests.push(init);
        },
      },
    );
    presence.participants([person('bea'), person('cleo'), person('dora', 'dora', false)]);
    await turn();
    assert.deepEqual(
      [requests.length, requests[0].headers.Authorization, requests[0].credentials],
      [1, `Bearer ${admission.token}`, 'omit'],
    );
    fail = false;
    t.mock.timers.tick(1_000);
    await turn();
    assert.deepEqual(
      played.map(([id]) => id),
      ['bea'],
    );
    played[0][1].state('connected');

    hidden.clear();
    session.refresh();
    await turn();
    assert.deepEqual(
      played.map(([id]) => id),
      ['bea', 'cleo'],
    );

    played[0][1].state('disconnected');
    played[0][1].state('connected');
    t.mock.timers.tick(10_000);
    await turn();
    assert.equal(played.length, 2, 'a short gap is none');
    played[0][1].state('failed');
    t.mock.timers.tick(1_000);
    await turn();
    assert.deepEqual(
      played.map(([id]) => id),
      ['bea', 'cleo', 'bea'],
    );
    assert.ok(links.includes('bea retrying'));

    presence.participants([person('cleo')]);
    assert.deepEqual(removed, ['bea']);
    session.close();
    assert.deepEqual(stopped.sort(), ['bea', 'bea', 'cleo']);
  });
});

describe('a session of AWS', () => {
  it('never publishes, and passes on the events of the SDK', async () => {
    globalThis.MediaStream ??= class {
      constructor(tracks) {
        this.tracks = tracks;
      }
      getTracks() {
        return this.tracks;
      }
    };
    const handlers = {};
    let strategy,
      left = 0;
    class Stage {
      constructor(token, s) {
        strategy = s;
      }
      on(event, handler) {
        handlers[event] = handler;
      }
      async join() {}
      leave() {
        left++;
      }
      refreshStrategy() {}
    }
    const names = [
      'CONNECTION_STATE_CHANGED',
      'PARTICIPANT_JOINED',
      'PARTICIPANT_METADATA_CHANGED',
      'PARTICIPANT_LEFT',
      'PARTICIPANT_PUBLISH_STATE_CHANGED',
      'PARTICIPANT_SUBSCRIBE_STATE_CHANGED',
      'STREAM_MUTE_CHANGED',
      'PARTICIPANT_STREAMS_ADDED',
      'PARTICIPANT_STREAMS_REMOVED',
      'LEFT',
    ];
    const StageEvents = Object.fromEntries(names.map((n) => [`STAGE_${n}`, n]));
    const lists = [],
      streams = [],
      removed = [],
      ended = [];
    const session = openIvs(
      {
        admission,
        wants: (p) => p.publishing,
        on: {
          participants: (l) => lists.push(l),
          stream: (id, s) => streams.push([id, s.getTracks()]),
          removed: (id) => removed.push(id),
          link() {},
          joined() {},
          ended: (why) => ended.push(why),
        },
      },
      {
        sdk: async () => ({
          Stage,
          StageEvents,
          StageConnectionState: { CONNECTED: 'connected' },
          SubscribeType: { AUDIO_VIDEO: 'av', NONE: 'none' },
        }),
      },
    );
    await turn();
    const bea = {
      id: 'b',
      userId: 'u',
      attributes: { name: 'Bea' },
      isPublishing: false,
      isLocal: false,
    };
    handlers.PARTICIPANT_JOINED({ id: 'me', isLocal: true });
    handlers.PARTICIPANT_JOINED(bea);
    assert.deepEqual(
      [
        strategy.shouldPublishParticipant(),
        strategy.stageStreamsToPublish(),
        strategy.shouldSubscribeToParticipant(bea),
      ],
      [false, [], 'none'],
    );
    handlers.PARTICIPANT_PUBLISH_STATE_CHANGED(bea, 'published');
    assert.deepEqual(
      [
        strategy.shouldSubscribeToParticipant(bea),
        lists[lists.length - 1].map((p) => [p.id, p.name, p.publishing]),
      ],
      ['av', [['b', 'Bea', true]]],
    );
    handlers.PARTICIPANT_STREAMS_ADDED(bea, [{ mediaStreamTrack: 'audio' }]);
    handlers.PARTICIPANT_STREAMS_ADDED(bea, [{ mediaStreamTrack: 'video' }]);
    assert.deepEqual(streams[1], ['b', ['audio', 'video']]);
    handlers.PARTICIPANT_STREAMS_REMOVED(bea);
    assert.deepEqual(removed, ['b']);
    handlers.LEFT('token-reused');
    assert.deepEqual(ended, ['token-reused']);
    session.close();
    assert.equal(left, 1);
  });
});
