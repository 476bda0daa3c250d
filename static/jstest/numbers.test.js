import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMeter, disagreements } from '../lib/numbers.js';
import { fingerprint } from '../lib/tokens.js';
import { audio, limits, video } from './fake.js';
import { en } from './words.js';

const stats = (n = {}) => ({
  outputSkippedFrames: 0,
  outputTotalFrames: 0,
  renderSkippedFrames: 0,
  renderTotalFrames: 0,
  activeFps: 30,
  cpuUsage: 5,
  ...n,
});
const sent = { bitrate: 2_500_000, encoderLag: 0, renderLag: 0 };
const wrong = (reception, more = {}) =>
  disagreements({
    sent,
    seconds: 60,
    limits,
    presence: { publishing: true, reception },
    ...more,
  }).map((w) => w.text);

describe('what OBS sends', () => {
  it('is measured over the last seconds', () => {
    const meter = createMeter();
    assert.equal(meter.add(0, { outputBytes: 1000 }, stats()).bitrate, 0);
    assert.equal(meter.add(2000, { outputBytes: 626_000 }, stats()).bitrate, 2_500_000);
  });

  it('begins anew when OBS has reconnected and counts from 0', () => {
    const meter = createMeter();
    meter.add(0, { outputBytes: 9_000_000 }, stats());
    assert.equal(meter.add(2000, { outputBytes: 0 }, stats()).bitrate, 0);
    assert.equal(meter.add(4000, { outputBytes: 250_000 }, stats()).bitrate, 1_000_000);
  });

  it('has the lag of the last seconds, not since the start of OBS', () => {
    const meter = createMeter();
    meter.add(
      0,
      { outputBytes: 0 },
      stats({
        outputSkippedFrames: 500,
        outputTotalFrames: 1000,
        renderSkippedFrames: 70,
        renderTotalFrames: 1000,
      }),
    );
    const now = meter.add(
      2000,
      { outputBytes: 0 },
      stats({
        outputSkippedFrames: 506,
        outputTotalFrames: 1060,
        renderSkippedFrames: 73,
        renderTotalFrames: 1060,
      }),
    );
    assert.deepEqual([now.encoderLag, now.renderLag], [0.1, 0.05]);
  });
});

describe('OBS and the stage disagree', () => {
  it('has no problem if all is well', () =>
    assert.deepEqual(wrong({ video, audio, loss: 0.001 }), []));
  it('when OBS sends and nothing arrives', () => {
    assert.deepEqual(wrong({ loss: 0 }), ['wrong.nothing']);
    assert.deepEqual(
      disagreements({ sent, seconds: 60, limits, presence: undefined }).map((w) => w.text),
      ['wrong.nothing'],
    );
    assert.deepEqual(
      disagreements({ sent, seconds: 3, limits, presence: undefined }),
      [],
      'not at the very beginning',
    );
  });
  it('when the sound is not Opus', () =>
    assert.deepEqual(wrong({ video, audio: { ...audio, valid: false }, loss: 0 }), [
      'wrong.notOpus',
    ]));
  it('when picture or sound is missing', () => {
    assert.deepEqual(wrong({ audio, loss: 0 }), ['wrong.noVideo']);
    assert.deepEqual(wrong({ video, loss: 0 }), ['wrong.noAudio']);
  });
  it('when the picture is beyond the stage’s limits', () => {
    assert.deepEqual(
      wrong({
        video: {
          ...video,
          bitrate: 9_000_000,
          width: 1920,
          height: 1080,
          bFrames: true,
          keyframeInterval: 8.3,
        },
        audio,
        loss: 0,
      }),
      ['wrong.bitrate', 'wrong.height', 'wrong.bFrames', 'wrong.keyframes'],
    );
    assert.deepEqual(
      wrong({
        video: { ...video, width: 720, height: 1280, keyframeInterval: 2.1 },
        audio,
        loss: 0,
      }),
      [],
      'upright, and two seconds as they arrive',
    );
  });
  it('when the picture has a profile that some browsers do not decode', () => {
    assert.deepEqual(
      wrong({ video: { ...video, codec: 'H264', profile: 'High' }, audio, loss: 0 }),
      ['wrong.profile'],
    );
    for (const profile of ['Baseline', 'Constrained Baseline', ''])
      assert.deepEqual(wrong({ video: { ...video, codec: 'H264', profile }, audio, loss: 0 }), []);
  });
  it('when the network or the computer is too slow', () => {
    assert.deepEqual(
      wrong({ video, audio, loss: 0.05 }, { sent: { ...sent, encoderLag: 0.2, renderLag: 0.1 } }),
      ['wrong.loss', 'wrong.encoderLag', 'wrong.renderLag'],
    );
  });
  it('leaves out what cannot be measured', () => assert.deepEqual(wrong(undefined), []));
  it('uses keys that exist', () => {
    for (const key of wrong({ loss: 0.5 })) assert.ok(key in en);
  });
});

it('a fingerprint distinguishes tokens, and does not contain one', () => {
  assert.notEqual(fingerprint('eyJhbGciOi.a'), fingerprint('eyJhbGciOi.b'));
  assert.ok(fingerprint('x'.repeat(900)).length <= 11);
});
