import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { check, isReady, PROFILE } from '../lib/obs-check.js';
import { readObs } from '../lib/obs-read.js';
import { backToMyProfile, blankToken, previousProfile, setUpObs } from '../lib/obs-setup.js';
import { fakeObs } from './fake.js';
import './words.js';

const limits = {
  maxHeight: 720,
  advisedBitrate: 2_500_000,
  maxBitrate: 8_500_000,
  maxKeyframeInterval: 2,
};
const endpoint = async () => ({ server: 'https://stage.example/whip', bearer_token: 'secret' });
const options = { limits, endpoint };
const changes = (obs) => obs.calls.filter(([request]) => /^(Set|Create|Remove)/.test(request));

for (const asyncCreate of [true, false]) {
  describe(`Set up OBS, CreateProfile ${asyncCreate ? 'answers before it is done (5.5.4 on)' : 'is done when it answers'}`, () => {
    it('creates a profile with all settings right, and does not change the person’s profile', async () => {
      const obs = fakeObs({
        asyncCreate,
        params: { 'Audio/SampleRate': '44100', 'SimpleOutput/VBitrate': '1200' },
        video: {
          baseWidth: 2560,
          baseHeight: 1440,
          outputWidth: 2560,
          outputHeight: 1440,
          fpsNumerator: 60,
        },
      });
      const before = structuredClone(obs.profiles.Untitled);
      const steps = [];
      const done = await setUpObs(obs, { ...options, onProgress: (step) => steps.push(step) });

      assert.equal(done.changed, true);
      assert.equal(isReady(done.findings), true);
      assert.deepEqual(steps, ['check', 'profile', 'settings', 'service', 'rebuild', 'verify']);
      assert.equal(obs.current, PROFILE);
      assert.equal(obs.audio, 'opus', 'the encoder that was built');
      assert.deepEqual(obs.profiles.Untitled, before);
      const { params, video, service } = obs.now;
      assert.deepEqual(service, {
        type: 'whip_custom',
        settings: {
          service: 'WHIP',
          server: 'https://stage.example/whip',
          bearer_token: 'secret',
          use_auth: false,
          bwtest: false,
        },
      });
      assert.equal(
        params['SimpleOutput/x264Settings'],
        'keyint=120 bframes=0 profile=baseline tune=zerolatency sliced-threads=0',
      );
      assert.equal(params['SimpleOutput/VBitrate'], '1200', 'a low bitrate is the person’s choice');
      assert.equal(
        params['Audio/SampleRate'],
        '44100',
        'another one would make OBS ask for a restart',
      );
      assert.deepEqual(
        [
          video.baseWidth,
          video.baseHeight,
          video.outputWidth,
          video.outputHeight,
          video.fpsNumerator,
        ],
        [2560, 1440, 1280, 720, 60],
      );
    });

    it('a second set-up changes nothing', async () => {
      const obs = fakeObs({ asyncCreate });
      await setUpObs(obs, options);
      const before = changes(obs).length;
      const done = await setUpObs(obs, options);
      assert.equal(done.changed, false);
      assert.equal(changes(obs).length, before);
    });
  });
}

describe('Set up OBS', () => {
  it('rebuilds the encoders if the stage receives the wrong codec, although all settings read right', async () => {
    const obs = fakeObs();
    await setUpObs(obs, options);
    obs.audio = 'aac';
    const done = await setUpObs(obs, { ...options, force: true });
    assert.equal(done.changed, true);
    assert.equal(obs.audio, 'opus');
  });

  it('leaves a profile of ours that another client has made, if only a new one is wanted', async () => {
    const obs = fakeObs();
    obs.profiles[PROFILE] = structuredClone(obs.profiles.Untitled);
    assert.equal((await setUpObs(obs, { ...options, onlyNew: true })).changed, false);
    assert.deepEqual([changes(obs), obs.current], [[], 'Untitled']);
    delete obs.profiles[PROFILE];
    assert.equal((await setUpObs(obs, { ...options, onlyNew: true })).changed, true);
  });

  it('changes nothing while an output is active, and names the output', async () => {
    for (const [name, text] of [
      ['stream', 'find.busy.stream'],
      ['record', 'find.busy.record'],
      ['camera', 'find.busy.camera'],
    ]) {
      const obs = fakeObs();
      obs.active[name] = true;
      await assert.rejects(setUpObs(obs, options), (err) => err.text === text && err.undone);
      assert.deepEqual(changes(obs), []);
    }
  });

  it('names the lack of WHIP (status 700), and changes nothing', async () => {
    const obs = fakeObs({ noWhip: true });
    await assert.rejects(
      setUpObs(obs, options),
      (err) => err.noWhip && err.text === 'find.whip.missing' && err.undone,
    );
    assert.equal(obs.current, 'Untitled');
    assert.deepEqual(Object.keys(obs.profiles), ['Untitled'], 'the profile that was made is gone');
  });

  it('undoes everything if any step fails', async () => {
    for (const request of [
      'SetVideoSettings',
      'SetProfileParameter',
      'SetStreamServiceSettings',
      'SetPersistentData',
      'CreateProfile',
    ]) {
      const obs = fakeObs();
      obs.fail[request] = 702;
      await assert.rejects(
        setUpObs(obs, options),
        (err) => err.name === 'SetupError' && err.undone,
        request,
      );
      assert.equal(obs.current, 'Untitled', request);
      assert.deepEqual(Object.keys(obs.profiles), ['Untitled'], request);
    }
  });

  it('restores the settings of its own profile', async () => {
    const obs = fakeObs();
    await setUpObs(obs, options);
    obs.now.params['SimpleOutput/VBitrate'] = '9000';
    obs.now.service.settings.service = '';
    const before = structuredClone(obs.now);
    await assert.rejects(
      setUpObs(obs, {
        limits,
        endpoint: async () => {
          throw new Error('no token');
        },
      }),
    );
    assert.deepEqual(obs.now, before);
  });

  it('restores the rest if a part of its own profile cannot be restored', async () => {
    const rows = (reading) => Object.entries(reading.params).map((row) => row.join('='));
    for (const [request, lost] of [
      ['SetProfileParameter', { params: 1, video: 0 }],
      ['SetVideoSettings', { params: 0, video: 1 }],
    ]) {
      const obs = fakeObs({ video: { outputWidth: 1920, outputHeight: 1080 } });
      const { Untitled } = obs.profiles;
      Untitled.service = { type: 'rtmp_custom', settings: { server: 'rtmp://there' } };
      obs.profiles = { [PROFILE]: Untitled, Church: structuredClone(Untitled) };
      obs.current = PROFILE;
      const was = await readObs(obs);
      const onProgress = (step) => {
        if (step === 'rebuild') Object.assign(obs.fail, { SetCurrentProfile: 702, [request]: 702 });
      };
      await assert.rejects(setUpObs(obs, { ...options, onProgress }), { undone: false });
      const now = await readObs(obs);
      assert.deepEqual(now.service, was.service, request);
      const params = rows(was).filter((row) => !rows(now).includes(row)).length;
      const video = now.video.outputHeight === was.video.outputHeight ? 0 : 1;
      assert.deepEqual({ params, video }, lost, request);
    }
  });

  it('restores an empty service, and removes parameters that did not exist', async () => {
    const obs = fakeObs();
    obs.profiles = {
      [PROFILE]: obs.profiles.Untitled,
      Church: structuredClone(obs.profiles.Untitled),
    };
    obs.current = PROFILE;
    const call = obs.call;
    obs.call = (request, data) => {
      if (request === 'SetStreamServiceSettings') obs.fail.SetCurrentProfile = 702; // the next step
      return call(request, data);
    };
    await assert.rejects(setUpObs(obs, options), (err) => err.undone);
    assert.deepEqual(
      obs.now.service,
      { type: 'rtmp_common', settings: { bwtest: false } },
      'OBS takes no empty settings, and this is one of its defaults',
    );
    assert.equal('SimpleOutput/x264Settings' in obs.now.params, false);
  });

  it('after an undo, a service without a token has none', async () => {
    const obs = fakeObs();
    await setUpObs(obs, options);
    obs.now.service.settings = {};
    obs.fail.SetCurrentProfile = 702;
    await assert.rejects(setUpObs(obs, options), (err) => err.undone);
    assert.deepEqual(obs.now.service.settings, {
      service: '',
      server: '',
      bearer_token: '',
      use_auth: false,
      bwtest: false,
    });
  });

  it('respects Advanced mode in its own profile, and makes a new one in Simple mode', async () => {
    const advanced = {
      'Output/Mode': 'Advanced',
      'AdvOut/Encoder': 'obs_nvenc_h264_tex',
      'AdvOut/AudioEncoder': 'ffmpeg_aac',
    };
    const obs = fakeObs({ params: advanced });
    obs.profiles[PROFILE] = structuredClone(obs.profiles.Untitled);
    const found = check(await readObs(obs), limits).find((f) => f.id === 'mode');
    assert.equal(found.text, 'find.mode.theirs', 'what is promised');
    await setUpObs(obs, options);
    assert.equal(obs.now.params['Output/Mode'], 'Advanced', 'what is done');
    assert.equal(obs.now.params['AdvOut/Encoder'], 'obs_nvenc_h264_tex');
    assert.equal(obs.now.params['AdvOut/AudioEncoder'], 'ffmpeg_opus');

    const fresh = fakeObs({ params: advanced });
    assert.equal(
      check(await readObs(fresh), limits).find((f) => f.id === 'mode').text,
      'find.mode.fix',
    );
    await setUpObs(fresh, options);
    assert.equal((await readObs(fresh)).params['Output/Mode'], 'Simple');
  });

  it('says that an account is linked to its own profile', async () => {
    const obs = fakeObs();
    obs.profiles[PROFILE] = structuredClone(obs.profiles.Untitled);
    obs.profiles[PROFILE].params['Auth/Type'] = 'YouTube - RTMP';
    await assert.rejects(
      setUpObs(obs, options),
      (err) => err.text === 'find.account.ours' && err.undone,
    );
    assert.equal(obs.current, 'Untitled');
  });

  it('says if the undo failed, too', async () => {
    const obs = fakeObs();
    obs.profiles[PROFILE] = structuredClone(obs.profiles.Untitled);
    await assert.rejects(
      setUpObs(obs, {
        limits,
        endpoint: async () => {
          obs.fail.GetProfileList = 702;
          throw new Error('no token');
        },
      }),
      (err) => err.undone === false,
    );
  });

  it('works if there is no other profile', async () => {
    const obs = fakeObs();
    obs.profiles = { [PROFILE]: obs.profiles.Untitled };
    obs.current = PROFILE;
    await setUpObs(obs, options);
    assert.equal(obs.audio, 'opus');
    assert.deepEqual(Object.keys(obs.profiles), [PROFILE]);
  });

  it('detects that OBS did not keep a setting', async () => {
    const obs = fakeObs();
    const call = obs.call;
    obs.call = (request, data) =>
      request === 'SetProfileParameter' && data.parameterName === 'x264Settings'
        ? Promise.resolve()
        : call(request, data);
    await assert.rejects(
      setUpObs(obs, options),
      (err) =>
        err.text === 'setup.notKept' && err.values.what.startsWith('A keyframe') && err.undone,
    );
  });
});

describe('Back to my profile', () => {
  it('selects what was selected before, also from another browser', async () => {
    const obs = fakeObs();
    obs.profiles.Church = structuredClone(obs.profiles.Untitled);
    obs.current = 'Church';
    await setUpObs(obs, options);
    assert.equal(await previousProfile(obs), 'Church');
    assert.equal(await backToMyProfile(obs), 'Church');
    assert.equal(obs.current, 'Church');
    assert.equal(await previousProfile(obs), undefined);
    assert.equal(isReady(check(await readObs(obs), limits)), false);
  });

  it('removes the profile that the set-up has created, if requested', async () => {
    const obs = fakeObs();
    const before = structuredClone(obs.profiles);
    await setUpObs(obs, options);
    assert.equal(await backToMyProfile(obs, { remove: true }), 'Untitled');
    assert.deepEqual([obs.current, obs.profiles], ['Untitled', before]);
  });

  it('removes the token from the profile and from OBS’s copy of its file, if that is wanted', async () => {
    const obs = fakeObs();
    await setUpObs(obs, options);
    const { service } = obs.profiles[PROFILE];
    obs.calls.length = 0;
    assert.equal(await backToMyProfile(obs, { blank: true }), 'Untitled');
    assert.deepEqual(obs.profiles[PROFILE].service, {
      ...service,
      settings: { ...service.settings, bearer_token: '' },
    });
    assert.deepEqual(
      changes(obs).map(([request]) => request),
      ['SetStreamServiceSettings', 'SetStreamServiceSettings', 'SetCurrentProfile'],
    );
  });

  it('changes nothing if another client has selected the person’s profile meanwhile', async () => {
    for (const options of [{ blank: true }, { remove: true }, {}]) {
      const obs = fakeObs();
      await setUpObs(obs, { limits, endpoint });
      const service = { type: 'whip_custom', settings: { service: 'WHIP', bearer_token: 'mine' } };
      obs.profiles.Untitled.service = structuredClone(service);
      obs.calls.length = 0;
      let turns = 0;
      obs.takeTurn = async () => {
        obs.activate('Untitled'); // what the other client did in its turn
        turns++;
        return { renew: async () => {}, end: async () => void turns-- };
      };
      await assert.rejects(backToMyProfile(obs, options), (err) => err.text === 'setup.left');
      assert.deepEqual([changes(obs), turns], [[], 0]);
      assert.deepEqual(obs.profiles.Untitled.service, service);
    }
  });

  it('waits until nothing is active', async () => {
    const obs = fakeObs();
    await setUpObs(obs, options);
    obs.active.record = true;
    await assert.rejects(backToMyProfile(obs, { remove: true }));
    await assert.rejects(backToMyProfile(obs), (err) => err.text === 'find.busy.record');
    assert.equal(obs.current, PROFILE);
  });
});

describe('Remove the token at the sign-out', () => {
  const isOurs = ({ bearer_token: token }) => token === 'secret';

  it('removes only our token', async () => {
    const obs = fakeObs();
    await setUpObs(obs, options);
    await blankToken(obs, () => false);
    assert.equal(obs.now.service.settings.bearer_token, 'secret');
    await blankToken(obs, isOurs);
    assert.equal(obs.now.service.settings.bearer_token, '');
  });

  it('leaves a profile that another client has selected meanwhile', async () => {
    const obs = fakeObs();
    await setUpObs(obs, options);
    const { takeTurn } = obs;
    obs.takeTurn = async () => {
      obs.activate('Untitled'); // what the other client did in its turn
      return takeTurn();
    };
    await blankToken(obs, isOurs);
    assert.deepEqual(obs.profiles.Untitled.service, { type: 'rtmp_common', settings: {} });
  });
});
