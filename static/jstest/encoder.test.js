import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bestHardware, ENCODERS } from '../lib/encoders.js';
import { isReady } from '../lib/obs-check.js';
import { createScript } from '../lib/obs-script.js';
import { setUpObs } from '../lib/obs-setup.js';
import { fakeObs, memory } from './fake.js';
import './words.js';

const limits = {
  maxHeight: 720,
  advisedBitrate: 2_500_000,
  maxBitrate: 8_500_000,
  maxKeyframeInterval: 2,
};
const endpoint = async () => ({ server: 'https://stage.example/whip', bearer_token: 'secret' });
const CARD = 'obs_nvenc_h264_tex';

/**
 * An OBS with a script, and the module with which a dock asks that script.
 * @param {{secret?: string, known?: string}} [with_]
 */
function paired({ secret = 'shared', known = 'shared' } = {}) {
  const storage = memory();
  storage.setItem('stagedoor.obs.secret', known);
  storage.setItem('stagedoor.obs.encoders', `${CARD} obs_x264`);
  const obs = fakeObs({ secret, encoders: [CARD, 'obs_x264'] });
  const script = createScript(storage, { limit: 30, pause: async () => {} });
  return { obs, script, options: { limits, endpoint, script } };
}

describe('A hardware encoder', () => {
  it('is set in Advanced mode; the script writes its file, which is then read back', async () => {
    const { obs, script, options } = paired();
    const before = structuredClone(obs.profiles.Untitled);
    const done = await setUpObs(obs, { ...options, encoder: bestHardware(script.encoders())?.id });
    assert.equal(isReady(done.findings), true);
    assert.equal(obs.now.params['Output/Mode'], 'Advanced');
    assert.equal(obs.now.params['AdvOut/Encoder'], CARD);
    assert.deepEqual(
      [obs.now.file.keyint_sec, obs.now.file.bf, obs.now.file.bitrate],
      [2, 0, 2500],
    );
    assert.equal(done.findings.find((f) => f.id === 'encoderFile')?.level, 'ok');
    assert.deepEqual(obs.profiles.Untitled, before, 'the person’s own profile');
    assert.equal(
      (await setUpObs(obs, { ...options, encoder: CARD })).changed,
      false,
      'the second time',
    );
  });

  it('is corrected if a person changed its file, except for a lower bitrate', async () => {
    const { obs, options } = paired();
    await setUpObs(obs, { ...options, encoder: CARD });
    Object.assign(obs.now.file, { keyint_sec: 10, bf: 2, bitrate: 900, preset: 'p7' });
    const done = await setUpObs(obs, options);
    assert.equal(done.changed, true);
    assert.deepEqual([obs.now.file.keyint_sec, obs.now.file.bf, obs.now.file.bitrate], [2, 0, 900]);
    obs.now.file.preset = 'p7';
    assert.equal(
      (await setUpObs(obs, options)).changed,
      false,
      'how much work it puts into a picture is theirs to choose',
    );
  });

  it('is replaced by x264 in Simple mode', async () => {
    const { obs, options } = paired();
    await setUpObs(obs, { ...options, encoder: CARD });
    const done = await setUpObs(obs, { ...options, encoder: '' });
    assert.deepEqual([done.changed, obs.now.params['Output/Mode']], [true, 'Simple']);
  });

  it('has its earlier file if the set-up fails afterwards', async () => {
    const { obs, options } = paired();
    await setUpObs(obs, { ...options, encoder: CARD });
    Object.assign(obs.now.file, { keyint_sec: 10, bf: 2 });
    const mine = structuredClone(obs.now.file);
    for (const elsewhere of [false, true]) {
      if (elsewhere) await obs.call('SetCurrentProfile', { profileName: 'Untitled' });
      const failing = async () => {
        throw new Error('no token');
      };
      await assert.rejects(setUpObs(obs, { ...options, endpoint: failing }), { undone: true });
      assert.deepEqual(obs.profiles.Stagedoor.file, mine);
      assert.equal(obs.current, elsewhere ? 'Untitled' : 'Stagedoor');
    }
  });

  it('an error says if the script did not restore the file; the rest is restored', async () => {
    for (const elsewhere of [false, true]) {
      const { obs, script, options } = paired();
      await setUpObs(obs, { ...options, encoder: CARD });
      Object.assign(obs.now.file, { bf: 2 });
      obs.now.params['Output/Mode'] = 'Simple';
      if (elsewhere) await obs.call('SetCurrentProfile', { profileName: 'Untitled' });
      const silent = { ...script, restore: async () => '' };
      const failing = async () => {
        throw new Error('no token');
      };
      const setUp = { ...options, script: silent, encoder: CARD, endpoint: failing };
      await assert.rejects(setUpObs(obs, setUp), { undone: false });
      assert.equal(obs.current, elsewhere ? 'Untitled' : 'Stagedoor');
      if (!elsewhere) assert.equal(obs.now.params['Output/Mode'], 'Simple');
    }
  });

  for (const [why, with_] of /** @type {const} */ ([
    ['no script is there', { secret: '' }],
    ['the secret is another one', { known: 'wrong' }],
  ])) {
    it(`changes nothing where ${why}`, async () => {
      const { obs, options } = paired(with_);
      await assert.rejects(setUpObs(obs, { ...options, encoder: CARD }), {
        text: 'setup.noScript',
        undone: true,
      });
      assert.deepEqual([obs.current, Object.keys(obs.profiles)], ['Untitled', ['Untitled']]);
    });
  }
});

describe('The table of encoders', () => {
  it('has x264 last, and fit settings for each encoder', () => {
    assert.equal(ENCODERS.at(-1)?.id, 'obs_x264');
    for (const { id, settings } of ENCODERS) {
      assert.deepEqual(
        [settings.keyint_sec, settings.bitrate, settings.bf],
        ['{seconds}', '{kbits}', 0],
        id,
      );
    }
  });
});
