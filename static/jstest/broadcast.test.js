import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { FIRST, step } from '../lib/broadcast.js';
import { en } from './words.js';

// These stories test both implementations of the machine. The other one is internal/obs/machine.go.
const stories = JSON.parse(
  readFileSync(new URL('../../internal/obs/testdata/broadcast.json', import.meta.url)),
);
const ANSWERS = ['status', 'service', 'token', 'put', 'stopSent', 'timeout', 'failed', 'refreshed'];

describe('a broadcast', () => {
  for (const { name, unattended, steps, reason } of stories) {
    it(name, () => {
      let state = { ...FIRST, unattended };
      for (const [i, [fact, at, effects]] of steps.entries()) {
        const next = step(
          state,
          ANSWERS.includes(fact.kind) ? { ...fact, turn: state.turn } : fact,
        );
        state = next.state;
        assert.deepEqual(
          [state.at, next.effects.map((e) => `${e.do} ${e.wait ?? ''}`.trim())],
          [at, effects],
          `step ${i + 1}`,
        );
      }
      assert.equal(state.reason ? state.reason.detail || state.reason.text : '', reason);
      if (reason.startsWith('live.')) assert.ok(reason in en);
    });
  }
});
