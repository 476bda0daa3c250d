import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Obs, obsAddress, ObsError, whyUnreachable } from '../lib/obs.js';
import { Turns } from '../lib/obs-turns.js';
import { until } from './fake.js';

/**
 * A fake of the library obs-websocket-js for obs.js. `fakes.connect` determines the result of a
 * connection. As in the library, pending calls never settle when the socket closes.
 */
function library() {
  const fakes = {
    sockets: [],
    connect: [],
    answer: {},
    said: [],
    running: 0,
    most: 0,
    get last() {
      return this.sockets[this.sockets.length - 1];
    },
  };
  class Socket {
    listeners = {};
    constructor() {
      fakes.sockets.push(this);
    }
    on(event, f) {
      (this.listeners[event] ??= []).push(f);
      return this;
    }
    emit(event, data) {
      for (const f of this.listeners[event] ?? []) f(data);
      return true;
    }
    async connect(url, password, options) {
      Object.assign(this, { url, password, options });
      const code = fakes.connect.shift() ?? 0;
      if (code === 'hang') return new Promise(() => {});
      if (code) throw Object.assign(new Error('closed'), { code });
      return {};
    }
    async call(request, data) {
      fakes.said.push([request, data]);
      fakes.most = Math.max(fakes.most, ++fakes.running);
      try {
        await null; // not a timer, which could fire too late on a busy machine
        const answer = fakes.answer[request];
        const now = typeof answer === 'function' ? answer(data) : answer;
        if (now === 'hang') return await new Promise(() => {});
        if (typeof now === 'number') throw Object.assign(new Error('no'), { code: now });
        return now ?? (request === 'GetVersion' ? { obsVersion: '32.1.2' } : {});
      } finally {
        fakes.running--;
      }
    }
    async disconnect() {
      this.closed(1000);
    }
    closed(code) {
      this.emit('ConnectionClosed', Object.assign(new Error(''), { code }));
    }
  }
  fakes.Socket = Socket;
  return fakes;
}

let lib, phases, pauses, obs;
const make = (options = {}) => {
  phases = [];
  pauses = [];
  obs = new Obs({
    Socket: lib.Socket,
    onStatus: (s) => {
      if (phases[phases.length - 1] !== s.phase) phases.push(s.phase);
    },
    pause: async (ms) => {
      pauses.push(ms);
      await new Promise((resolve) => setTimeout(resolve, 1));
    },
    random: () => 0.5,
    quiet: 40,
    ...options,
  });
};
const phase = (name) =>
  until(
    () => obs.status.phase === name,
    () => phases,
  );

beforeEach(() => {
  lib = library();
  make();
});

describe('the connection to OBS', () => {
  it('asks for the events that a dock needs and no more', async () => {
    void obs.open('ws://127.0.0.1:4455', 'word');
    await phase('ready');
    assert.deepEqual(
      [lib.last.url, lib.last.password, lib.last.options],
      ['ws://127.0.0.1:4455', 'word', { rpcVersion: 1, eventSubscriptions: 67 }],
    );
    assert.equal(obs.version.obsVersion, '32.1.2');
  });

  it('finds a restarted OBS by itself within 2 to 3 seconds', async () => {
    lib.connect = [1006, 1006, 1006, 1006];
    void obs.open('ws://127.0.0.1:4455', '');
    await phase('ready');
    assert.deepEqual(pauses, [1000, 2000, 2500, 2500]);
    lib.last.closed(1001);
    await until(
      () => lib.sockets.length === 6 && obs.status.phase === 'ready',
      () => phases,
    );
    assert.deepEqual(phases, [
      'connecting',
      'lost',
      'connecting',
      'lost',
      'connecting',
      'lost',
      'connecting',
      'lost',
      'connecting',
      'ready',
      'lost',
      'connecting',
      'ready',
    ]);
  });

  it('sends nothing on a connection that closes: the browser would log an error', async () => {
    void obs.open('ws://127.0.0.1:4455', '');
    await phase('ready');
    const before = lib.said.length;
    lib.last.socket = { readyState: 2 };
    await assert.rejects(obs.call('GetStats'), { code: 'closed' });
    assert.equal(lib.said.length, before);
  });

  it('asks for the password again (4009), and does not try in vain', async () => {
    lib.connect = [4009];
    await obs.open('ws://127.0.0.1:4455', 'wrong');
    assert.equal(obs.status.phase, 'password');
    assert.equal(obs.status.triedPassword, true);
    assert.equal(lib.sockets.length, 1);
  });

  it('stays away when it was kicked (4011)', async () => {
    const opened = obs.open('ws://127.0.0.1:4455', '');
    await phase('ready');
    lib.last.closed(4011);
    await opened;
    assert.equal(obs.status.phase, 'kicked');
    assert.equal(lib.sockets.length, 1);
  });

  it('does not go on with a server that speaks another version (4010)', async () => {
    lib.connect = [4010];
    await obs.open('ws://127.0.0.1:4455', '');
    assert.equal(obs.status.phase, 'unsupported');
  });

  it('waits while OBS is loading (207)', async () => {
    let asked = 0;
    lib.answer.GetVersion = () => (++asked < 4 ? 207 : { obsVersion: '31.0.0' });
    void obs.open('ws://127.0.0.1:4455', '');
    await phase('ready');
    assert.deepEqual(phases, ['connecting', 'starting', 'ready']);
  });

  it('gives up a connection that is never established', async () => {
    make({ connectLimit: 10 });
    lib.connect = ['hang'];
    void obs.open('ws://127.0.0.1:4455', '');
    await phase('ready');
    assert.deepEqual(phases, ['connecting', 'lost', 'connecting', 'ready']);
  });

  it('ends an earlier attempt when another address is given', async () => {
    make({ connectLimit: 10 });
    lib.connect = ['hang'];
    const earlier = obs.open('ws://127.0.0.1:1', '');
    void obs.open('ws://127.0.0.1:2', '');
    await phase('ready');
    await earlier;
    assert.deepEqual(
      lib.sockets.map((s) => s.url),
      ['ws://127.0.0.1:1', 'ws://127.0.0.1:2'],
    );
    assert.equal(obs.status.phase, 'ready');
  });
});

describe('a request', () => {
  beforeEach(async () => {
    void obs.open('ws://127.0.0.1:4455', '');
    await phase('ready');
  });

  it('waits for the previous one: obs-websocket answers out of order otherwise', async () => {
    lib.most = 0;
    await Promise.all(Array.from({ length: 5 }, () => obs.call('GetStats')));
    assert.equal(lib.most, 1);
  });

  it('has a time limit, and the next one goes on', async () => {
    lib.answer.StartStream = 'hang';
    await assert.rejects(
      obs.call('StartStream', undefined, { limit: 10 }),
      (err) => err instanceof ObsError && err.code === 'timeout' && err.request === 'StartStream',
    );
    assert.deepEqual(await obs.call('GetStats'), {});
  });

  it('ends when the socket closes, though the library leaves it pending', async () => {
    lib.answer.SetCurrentProfile = 'hang';
    const call = obs.call('SetCurrentProfile', {}, { limit: 60_000 });
    await until(() => lib.running === 1);
    lib.last.closed(1006);
    await assert.rejects(call, (err) => err.code === 'closed');
  });

  it('fails with OBS’s code and comment', async () => {
    lib.answer.SetStreamServiceSettings = 500;
    await assert.rejects(
      obs.call('SetStreamServiceSettings'),
      (err) => err.code === 500 && err.message === 'no',
    );
  });

  it('waits while the scene collection changes (207)', async () => {
    let asked = 0;
    lib.answer.GetStats = () => (++asked < 3 ? 207 : { activeFps: 30 });
    assert.deepEqual(await obs.call('GetStats'), { activeFps: 30 });
  });

  it('is refused at once without a connection', async () => {
    obs.close();
    await assert.rejects(obs.call('GetStats'), (err) => err.code === 'closed');
  });

  it('is not needed for events, also after a reconnection', async () => {
    const heard = [];
    obs.on('StreamStateChanged', (e) => heard.push(e.outputState));
    lib.last.emit('StreamStateChanged', { outputState: 'STARTED' });
    lib.last.closed(1006);
    await until(() => lib.sockets.length === 2 && obs.status.phase === 'ready');
    lib.last.emit('StreamStateChanged', { outputState: 'STOPPED' });
    assert.deepEqual(heard, ['STARTED', 'STOPPED']);
  });
});

describe('a switch of profiles', () => {
  const said = () =>
    lib.said.filter(([request]) => request !== 'BroadcastCustomEvent').map(([request]) => request);
  const soon = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const changing = () => lib.last.emit('CurrentProfileChanging', { profileName: 'A' });
  const changed = () => lib.last.emit('CurrentProfileChanged', { profileName: 'B' });
  const custom = (stagedoor) => lib.last.emit('CustomEvent', { stagedoor });
  beforeEach(async () => {
    make({ quiet: 200 });
    void obs.open('ws://127.0.0.1:4455', '');
    await phase('ready');
    await obs.call('GetStats');
    lib.said.length = 0;
  });

  it('is not disturbed, no matter what caused it: requests wait until a time after the last event', async () => {
    changing();
    const call = obs.call('GetStreamStatus');
    await soon(300);
    changed();
    await soon(100);
    changing();
    changed();
    const at = Date.now();
    await soon(100);
    assert.deepEqual(said(), []);
    await call;
    assert.ok(Date.now() - at >= 195, `${Date.now() - at} ms`);
    assert.deepEqual(said(), ['GetStreamStatus']);
  });

  it('may follow another at once', async () => {
    changing();
    changed();
    await obs.call('SetCurrentProfile', { profileName: 'A' });
    assert.deepEqual(said(), ['SetCurrentProfile']);
  });

  it('by another Stagedoor client delays requests until its last step', async () => {
    custom({ claim: 'another' });
    const call = obs.call('GetStreamStatus');
    await soon(250);
    assert.deepEqual(said(), []);
    custom({ claim: 'a third' });
    custom({ release: 'a third' });
    custom({ release: 'another' });
    await call;
    assert.deepEqual(said(), ['GetStreamStatus']);
  });

  it('fails if OBS does not send its claim back', async () => {
    lib.answer.BroadcastCustomEvent = () => ({});
    await assert.rejects(obs.takeTurn(), { name: 'ObsError', code: 'timeout' });
  });

  it('makes the other clients wait, also those that connect meanwhile', async () => {
    lib.answer.BroadcastCustomEvent = ({ eventData }) => {
      lib.last.emit('CustomEvent', eventData);
      return {};
    };
    const turn = await obs.takeTurn();
    const { claim } = lib.said[0][1].eventData.stagedoor;
    custom({ claim: 'another' });
    await obs.call('GetStats');
    custom({ asks: 'another' });
    await turn.end();
    assert.deepEqual(
      lib.said.map(([request, data]) => data?.eventData?.stagedoor ?? request),
      [{ claim }, 'GetStats', { claim }, { release: claim }],
    );
  });
});

it('a claim does not expire while OBS switches profiles', () => {
  let now = 0;
  const turns = new Turns({ id: 'a', now: () => now, repeat: () => {} });
  turns.heard('CustomEvent', turns.claim);
  now += 15_000;
  turns.heard('CurrentProfileChanging', {});
  now += 59_000; // a dialog of OBS
  assert.equal(turns.mine, true);
  turns.heard('CurrentProfileChanged', {});
  now += 19_000;
  assert.equal(turns.mine, true);
  now += 1_000;
  assert.equal(turns.mine, false, 'the client has died');
  turns.heard('CurrentProfileChanged', {});
  assert.equal(turns.mine, false, 'a switch renews no claim that has expired');
});

it('addresses are accepted as people type them', () => {
  const url = (text) => obsAddress(text)?.url;
  assert.equal(url(''), 'ws://127.0.0.1:4455');
  assert.equal(url('4460'), 'ws://127.0.0.1:4460');
  assert.equal(url(' ws://localhost:4455/ '), 'ws://localhost:4455');
  assert.equal(url('127.0.0.1'), 'ws://127.0.0.1:4455');
  assert.equal(url('[::1]:4455'), 'ws://127.0.0.1:4455');
  assert.equal(url('not an address'), undefined);
  assert.equal(obsAddress('192.168.1.20').local, false);
});

it('says why OBS may be out of reach', () => {
  const page = {
    origin: 'https://live.example',
    secure: true,
    embedded: false,
    chromium: 150,
    permission: 'granted',
    address: { local: true },
    inObs: false,
  };
  assert.equal(whyUnreachable(page), 'off');
  assert.equal(whyUnreachable({ ...page, address: { local: false } }), 'other_computer');
  assert.equal(whyUnreachable({ ...page, permission: 'denied' }), 'blocked');
  assert.equal(whyUnreachable({ ...page, permission: 'prompt' }), 'ask');
  assert.equal(
    whyUnreachable({ ...page, secure: false, origin: 'http://192.168.1.5:8080' }),
    'insecure',
  );
  assert.equal(whyUnreachable({ ...page, embedded: true }), 'insecure');
  assert.equal(
    whyUnreachable({
      ...page,
      secure: false,
      permission: 'denied',
      origin: 'http://stagedoor.lan',
    }),
    'insecure',
    'nobody could allow it',
  );
  assert.equal(
    whyUnreachable({ ...page, chromium: 127, secure: false }),
    'off',
    'before Local Network Access',
  );
  assert.equal(
    whyUnreachable({ ...page, permission: 'denied', inObs: true }),
    'off',
    'docks have none',
  );
  assert.equal(
    whyUnreachable({ ...page, permission: 'prompt', origin: 'http://127.0.0.1:8080' }),
    'off',
    'this computer may reach itself',
  );
});
