import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Tally, stains } from '../lib/tally.js';

const at = (phase, sending = false) => ({ phase, sending });
const sent = (bitrate, encoderLag = 0) => ({ bitrate, encoderLag, renderLag: 0 });
const seen = (loss, since = new Date(1_000_000).toISOString()) => ({ since, reception: { loss } });

describe('the summary of a broadcast', () => {
  it('has the duration, the bitrate sent, and the loss', () => {
    const tally = new Tally();
    for (const phase of ['idle', 'starting'])
      assert.equal(tally.follow(at(phase, true), 999_000), null);
    tally.follow(at('live', true), 1_000_000);
    tally.sample(sent(0), undefined); // not measured yet
    tally.sample(sent(2_000_000), seen(0));
    tally.sample(sent(3_000_000, 0.04), seen(0.02));
    assert.equal(tally.follow(at('stopping', true), 1_060_000), null);
    const summary = tally.follow(at('idle'), 1_061_000);
    assert.deepEqual(summary, {
      seconds: 61,
      failed: false,
      reconnects: 0,
      bitrate: 2_500_000,
      loss: 0.01,
      encoderLag: 0.02,
      renderLag: 0,
    });
    assert.deepEqual(stains(summary), ['encoderLag']);
    assert.equal(tally.follow(at('idle'), 1_062_000), null, 'told once');
  });
  it('counts each reconnect once, and continues after it', () => {
    const tally = new Tally();
    tally.follow(at('live', true), 1_000_000);
    for (let i = 0; i < 2; i++)
      for (const phase of ['reconnecting', 'reconnecting', 'starting', 'live'])
        tally.follow(at(phase, true), 1_010_000);
    tally.follow(at('trouble', true), 1_020_000); // OBS still sends
    tally.follow(at('live', true), 1_021_000);
    const summary = tally.follow(at('trouble'), 1_030_000);
    assert.equal(summary.reconnects, 2);
    assert.equal(summary.seconds, 30);
    assert.deepEqual(stains(summary), ['reconnects']);
  });
  it('does not count the end by a kick as a reconnect', () => {
    const tally = new Tally();
    tally.follow(at('live', true), 1_000_000);
    tally.follow(at('reconnecting', true), 1_010_000);
    const summary = tally.follow(at('trouble'), 1_012_000);
    assert.equal(summary.failed, true);
    assert.deepEqual(stains(summary), []);
  });
  it('includes the time before a reload', () => {
    const tally = new Tally();
    tally.follow(at('live', true), 4_600_000);
    tally.sample(sent(1), seen(0));
    assert.equal(tally.follow(at('idle'), 4_600_000).seconds, 3600);
  });
  it('is nothing without a broadcast', () => {
    const tally = new Tally();
    for (const phase of ['starting', 'trouble', 'idle'])
      assert.equal(tally.follow(at(phase), 1), null);
  });
});
