import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemOf, takePairing } from '../lib/pairing.js';

const handed = {
  'obs-port': '4455',
  'obs-password': 'a #&= word',
  'obs-secret': 's',
  'obs-encoders': 'obs_x264',
};

/** @param {string} userAgent @param {Record<string, string>} fragment */
function take(userAgent, fragment) {
  /** @type {Record<string, string>} */
  const stored = {};
  const left = { ...fragment };
  const taken = takePairing(
    { userAgent },
    {
      setItem: (key, value) => {
        stored[key] = value;
      },
    },
    (name) => {
      const value = left[name] ?? '';
      delete left[name];
      return value;
    },
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
    assert.equal(taken, true);
    assert.deepEqual(left, {});
    assert.equal(stored['stagedoor.obs.address'], '127.0.0.1:4455');
    assert.equal(stored['stagedoor.obs.password'], 'a #&= word');
  });
  it('is dropped anywhere else, and out of the address all the same', () => {
    const { taken, stored, left } = take('Mozilla/5.0 Chrome/150.0.0.0 Safari/537.36', handed);
    assert.deepEqual([taken, stored, left], [false, {}, {}]);
  });
  it('changes nothing where the address has none, or an odd one', () => {
    for (const fragment of [{}, { 'obs-port': '1@evil.example' }, { 'obs-password': 'x' }]) {
      assert.deepEqual(take('Chrome/127 OBS/32.2.2', fragment).stored, {});
    }
  });
});
