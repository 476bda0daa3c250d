import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { PROFILE } from '../lib/obs-check.js';
import { setUpObs } from '../lib/obs-setup.js';
import { fakeObs } from './fake.js';
import './words.js';

// Both implementations must send these requests to OBS in this order. The other one is
// internal/obs/setup.go.
const runs = JSON.parse(
  readFileSync(new URL('../../internal/obs/testdata/setup.json', import.meta.url)),
);
const limits = {
  maxHeight: 720,
  advisedBitrate: 2_500_000,
  maxBitrate: 8_500_000,
  maxKeyframeInterval: 2,
};

/**
 * The requests with the data that distinguishes them. Consecutive readings of parameters become one
 * line.
 */
function written(calls) {
  const lines = calls
    .filter(([request]) => request !== 'BroadcastCustomEvent')
    .map(([request, data = {}]) => {
      if (request === 'SetProfileParameter')
        return `${request} ${data.parameterCategory}/${data.parameterName}`;
      return data.profileName ? `${request} ${data.profileName}` : request;
    });
  return lines.filter((line, i) => line !== 'GetProfileParameter' || lines[i - 1] !== line);
}

describe('the order of Set up OBS', () => {
  for (const { name, profiles, params = {}, fails, requests } of runs) {
    it(name, async () => {
      const screen = { outputWidth: 1280, outputHeight: 720 };
      const obs = fakeObs({ video: screen, screen });
      const untitled = obs.profiles.Untitled;
      obs.profiles = Object.fromEntries(
        profiles.map((profile) => [profile, structuredClone(untitled)]),
      );
      obs.current = profiles[0];
      Object.assign(obs.now.params, params);
      const endpoint = async () => {
        if (fails) throw new Error('no token');
        return { server: 'https://stage.example/whip', bearer_token: 'secret' };
      };
      const done = setUpObs(obs, { limits, endpoint });
      if (fails) await assert.rejects(done, (err) => err.undone);
      else await done;
      assert.deepEqual(written(obs.calls), requests);
      assert.ok(fails || obs.current === PROFILE);
    });
  }
});
