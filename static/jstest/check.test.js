import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { check, fitted, isReady, toFix, x264Options } from '../lib/obs-check.js';
import { en } from './words.js';

// This table tests both implementations of the rules. The other one is internal/obs.
const table = JSON.parse(
  readFileSync(new URL('../../internal/obs/testdata/cases.json', import.meta.url)),
);

const overlay = (under, over) => {
  const out = structuredClone(under);
  for (const [name, value] of Object.entries(over ?? {})) {
    const both =
      value &&
      out[name] &&
      typeof value === 'object' &&
      typeof out[name] === 'object' &&
      !Array.isArray(value);
    out[name] = both ? overlay(out[name], value) : value;
  }
  return out;
};

describe('the findings about OBS', () => {
  for (const c of table.cases) {
    it(c.name, () => {
      const findings = check(overlay(table.states[c.like], c.with), {
        ...table.limits,
        ...c.limits,
      });
      assert.deepEqual(
        Object.fromEntries(findings.filter((f) => f.level !== 'ok').map((f) => [f.id, f.level])),
        c.want,
      );
      const changes = toFix(findings).map((f) => f.change);
      const [params, video] = ['params', 'video'].map((kind) =>
        Object.assign({}, ...changes.map((change) => change[kind])),
      );
      assert.deepEqual(
        { params, video },
        { params: c.change.params ?? {}, video: c.change.video ?? {} },
      );
      for (const f of findings)
        assert.ok(f.text in en, `${f.id} says ${f.text}, which nobody wrote`);
    });
  }

  it('is ready if no setting must change and nothing blocks', () => {
    assert.equal(isReady(check(table.states.ready, table.limits)), true);
    assert.equal(isReady(check(table.states.fresh, table.limits)), false);
    assert.equal(isReady([]), false);
  });
});

it('a fitted picture keeps its aspect ratio and has even sizes', () => {
  assert.deepEqual(fitted(1920, 1080, 720), [1280, 720]);
  assert.deepEqual(fitted(1080, 1920, 720), [720, 1280]);
  assert.deepEqual(fitted(1280, 720, 720), [1280, 720]);
  assert.deepEqual(fitted(2560, 1080, 720), [1280, 540]);
  assert.deepEqual(fitted(641, 361, 720), [642, 362]);
});

it('the person’s own x264 options stay', () => {
  const ours = 'keyint=60 bframes=0 profile=baseline tune=zerolatency sliced-threads=0';
  assert.equal(
    x264Options('tune=film keyint=250 bframes=2 rc-lookahead=0 preset=faster aq-mode=2', 60),
    `${ours} rc-lookahead=0 aq-mode=2`,
  );
});
