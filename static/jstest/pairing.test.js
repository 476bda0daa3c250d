import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addressOf, isMoving, moved, moveOf } from '../lib/moving.js';
import { createScript } from '../lib/obs-script.js';
import { systemOf, takePairing } from '../lib/pairing.js';
import { fakeObs, memory } from './fake.js';

const handed = {
  'obs-port': '4455',
  'obs-password': 'a #&= word',
  'obs-secret': 's',
  'obs-encoders': 'obs_x264',
};

const HERE = 'https://here.example';

/**
 * @param {string} userAgent
 * @param {Record<string, string>} fragment
 * @param {Record<string, string>} [before] what the browser has stored
 */
function take(userAgent, fragment, before = {}) {
  const stored = { ...before };
  const left = { ...fragment };
  const taken = takePairing(
    { userAgent },
    {
      getItem: (key) => stored[key] ?? null,
      setItem: (key, value) => {
        stored[key] = value;
      },
    },
    (name) => {
      const value = left[name] ?? '';
      delete left[name];
      return value;
    },
    HERE,
  );
  return { taken, stored, left };
}

it('the pictures show the windows of the system', () => {
  const of = {
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/127': 'windows',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)': 'macos',
    'Mozilla/5.0 (X11; Linux x86_64)': 'linux',
  };
  for (const [agent, system] of Object.entries(of)) assert.equal(systemOf(agent), system);
});

describe('a pairing', () => {
  it('is taken over in a dock of OBS', () => {
    const { taken, stored, left } = take(
      'Mozilla/5.0 Chrome/127.0.0.0 OBS/32.2.2 Safari/537.36',
      handed,
    );
    assert.equal(taken, 'first');
    assert.deepEqual(left, {});
    assert.equal(stored['stagedoor.obs.address'], '127.0.0.1:4455');
    assert.equal(stored['stagedoor.obs.password'], 'a #&= word');
  });
  it('is ignored anywhere else, and still removed from the address', () => {
    const { taken, stored, left } = take('Mozilla/5.0 Chrome/150.0.0.0 Safari/537.36', handed);
    assert.deepEqual([taken, stored, left], ['', {}, {}]);
  });
  it('is the first only if this page was not paired with this OBS before', () => {
    const server = { 'obs-server': HERE };
    /** @type {[string, string, Record<string, string>, Record<string, string>][]} */
    const table = [
      ['the first start of OBS with the script', 'first', server, {}],
      ['another OBS, or one that was undone', 'first', server, { 'stagedoor.obs.secret': 'x' }],
      ['each later start', 'again', server, { 'stagedoor.obs.secret': 's' }],
      ['a move by a click', 'again', { 'obs-moving': '1' }, {}],
      ['a redirect', 'again', { 'obs-server': 'https://old.example' }, {}],
      ['a pairing without a script', 'again', { 'obs-secret': '' }, {}],
    ];
    for (const [name, want, more, before] of table)
      assert.equal(take('Chrome/127 OBS/32.2.2', { ...handed, ...more }, before).taken, want, name);
  });
  it('changes nothing if the address has no pairing, or an invalid one', () => {
    for (const fragment of [{}, { 'obs-port': '1@evil.example' }, { 'obs-password': 'x' }]) {
      assert.deepEqual(take('Chrome/127 OBS/32.2.2', fragment).stored, {});
    }
  });
});

describe('a move of the server', () => {
  const OLD = 'https://old.example';
  const NOW = 'https://now.example:8443';
  const paired = (change = {}) => {
    const storage = memory();
    const kept = { secret: 's', server: OLD, ...change };
    for (const [key, value] of Object.entries(kept)) {
      if (value) storage.setItem(`stagedoor.obs.${key}`, value);
    }
    return storage;
  };

  it('is detected if the script opens another address than that of the server', () => {
    /** @type {[string, object, string | undefined, string, object | null][]} */
    const table = [
      ['the old address', {}, NOW, OLD, { from: OLD, to: NOW, arrived: false, able: true }],
      ['a redirect', {}, NOW, NOW, { from: OLD, to: NOW, arrived: true, able: true }],
      ['another address', {}, NOW, 'https://x', { from: OLD, to: NOW, arrived: false, able: true }],
      [
        'an older script',
        { server: '' },
        NOW,
        OLD,
        { from: OLD, to: NOW, arrived: false, able: false },
      ],
      ['an older script at home', { server: '' }, NOW, NOW, null],
      ['no move', { server: NOW }, `${NOW}/`, NOW, null],
      ['no script', { secret: '' }, NOW, OLD, null],
      ['no public URL', {}, undefined, OLD, null],
      ['no TLS', {}, 'http://now.example', OLD, null],
      ['a name that looks like this computer', {}, 'http://127.0.0.1.example', OLD, null],
      [
        'this computer',
        {},
        'http://127.0.0.1:8080',
        OLD,
        { from: OLD, to: 'http://127.0.0.1:8080', arrived: false, able: true },
      ],
      ['no address', {}, 'javascript:alert(1)', OLD, null],
    ];
    for (const [name, kept, publicUrl, here, want] of table) {
      assert.deepEqual(moveOf(publicUrl, paired(kept), here), want, name);
    }
  });

  it('passes on the values of the script, each once', () => {
    const storage = paired({
      address: '127.0.0.1:4460',
      password: 'a #&=+% word',
      encoders: 'obs_x264 x',
    });
    const url = new URL(addressOf({ from: OLD, to: NOW }, 'code', storage));
    assert.equal(url.origin + url.pathname + url.search, `${NOW}/dock`);
    const { stored } = take(
      'Chrome/127 OBS/32.2.2',
      Object.fromEntries(new URLSearchParams(url.hash.slice(1))),
    );
    assert.equal(stored['stagedoor.obs.address'], '127.0.0.1:4460');
    assert.equal(stored['stagedoor.obs.password'], 'a #&=+% word');
    assert.equal(stored['stagedoor.obs.secret'], 's');
    assert.equal(stored['stagedoor.obs.encoders'], 'obs_x264 x');
    assert.equal(stored['stagedoor.obs.server'], OLD);
    const there = memory();
    for (const [key, value] of Object.entries(stored)) there.setItem(key, value);
    assert.equal(isMoving(there), true);
    moved(NOW, there);
    assert.deepEqual([isMoving(there), moveOf(NOW, there, NOW)], [false, null]);
  });

  it('is asked in turn with other requests, which share the parameter', async () => {
    const obs = fakeObs({ secret: 's' });
    const script = createScript(paired(), { limit: 1000, pause: async () => {} });
    const answers = await Promise.all([
      script.isGone(obs),
      script.move(obs, NOW),
      script.settings(obs),
    ]);
    assert.deepEqual(answers, [false, 'done', {}]);
  });

  it('is over once OBS has opened the page itself', () => {
    const { stored } = take('Chrome/127 OBS/32.2.2', { ...handed, 'obs-server': OLD });
    assert.equal(stored['stagedoor.obs.moving'], '');
  });

  it('is asked of the script with a signature', async () => {
    const obs = fakeObs({ secret: 's' });
    const script = createScript(paired(), { limit: 30, pause: async () => {} });
    assert.equal(await script.move(obs, NOW), 'done');
    assert.equal(obs.now.server, NOW);
    assert.equal('Stagedoor/Ask' in obs.now.params, false, 'the profile keeps nothing of it');
    assert.equal(await script.isGone(obs), false);
    const deaf = createScript(paired({ secret: 'another' }), { limit: 30, pause: async () => {} });
    assert.equal(await deaf.move(obs, OLD), '');
    assert.equal(await deaf.isGone(obs), true);
    assert.equal(await createScript(memory()).isGone(obs), false, 'no script has paired this page');
    assert.equal(obs.now.server, NOW);
  });
});
