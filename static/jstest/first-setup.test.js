import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstState, step } from '../lib/first-setup.js';
import { check, PROFILE } from '../lib/obs-check.js';
import { readObs } from '../lib/obs-read.js';
import { fakeObs, limits } from './fake.js';
import './words.js';

/** @param {(obs: any) => void} [change] @param {object} [options] */
async function seen(change = () => {}, options = {}) {
  const obs = fakeObs(options);
  change(obs);
  const reading = await readObs(obs);
  return { kind: 'read', reading, findings: check(reading, limits), settled: true };
}

describe('the set-up without a click', () => {
  it('waits only in a page that was paired for the first time, and was never undone', () => {
    const table = [
      ['first', null, 'waiting'],
      ['first', '', 'waiting'],
      ['first', 'undone', 'off'],
      ['again', null, 'off'],
      ['again', 'told', 'told'],
      ['', null, 'off'],
      ['', 'told', 'told'],
    ];
    for (const [pairing, stored, want] of table)
      assert.equal(firstState(pairing, stored), want, `${pairing} ${stored}`);
  });

  it('begins at the first reading of an OBS that does nothing and has no profile of ours', async () => {
    assert.deepEqual(step('waiting', await seen()), { state: 'working', effect: 'set-up' });
  });

  it('does not begin if that is not safe, not even later', async () => {
    const not = {
      'OBS streams': await seen((obs) => (obs.active.stream = true)),
      'OBS records': await seen((obs) => (obs.active.record = true)),
      'the virtual camera runs': await seen((obs) => (obs.active.camera = true)),
      'the profile is there': await seen((obs) => (obs.profiles[PROFILE] = obs.profiles.Untitled)),
      'OBS is too old': await seen(undefined, { version: '29.0.2' }),
      'no stage, or the server moves': { ...(await seen()), settled: false },
    };
    for (const [name, fact] of Object.entries(not))
      assert.deepEqual(step('waiting', fact), { state: 'off' }, name);
    assert.deepEqual(step('off', await seen()), { state: 'off' });
  });

  it('shows what it did until the person closes the notice, goes back, or undoes it', async () => {
    const ours = await seen((obs) => {
      obs.profiles[PROFILE] = obs.profiles.Untitled;
      obs.current = PROFILE;
    });
    const table = [
      ['waiting', { kind: 'acted' }, { state: 'off' }],
      ['working', ours, { state: 'working' }],
      ['working', { kind: 'done' }, { state: 'told', store: 'told' }],
      ['working', { kind: 'failed' }, { state: 'off' }],
      ['told', ours, { state: 'told' }],
      ['told', await seen(), { state: 'off', store: '' }],
      ['told', { kind: 'dismissed' }, { state: 'off', store: '' }],
      ['told', { kind: 'undo' }, { state: 'undoing', effect: 'undo' }],
      ['undoing', { kind: 'undo' }, { state: 'undoing' }],
      ['undoing', await seen(), { state: 'undoing' }],
      ['undoing', { kind: 'done' }, { state: 'off', store: 'undone' }],
      ['undoing', { kind: 'failed' }, { state: 'told' }],
    ];
    for (const [state, fact, want] of table)
      assert.deepEqual(step(state, fact), want, `${state} ${fact.kind}`);
  });
});
