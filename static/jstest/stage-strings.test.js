import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { en as house } from '../lib/strings.js';
import { de } from '../stage/strings.de.js';
import { es } from '../stage/strings.es.js';
import { en } from '../stage/strings.js';

const root = new URL('../', import.meta.url);
const source = readdirSync(root, { recursive: true })
  .filter((name) => name.endsWith('.js') && /^(stage|source|lib\/stage)\//.test(name) && !name.includes('strings'))
  .map((name) => readFileSync(new URL(name, root), 'utf8')).join('\n');
const placeholders = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join();

for (const [name, words] of Object.entries({ de, es })) {
  describe(`the stage's ${name}`, () => {
    it('says everything, and nothing that English does not', () => assert.deepEqual(Object.keys(words).sort(), Object.keys(en).sort()));
    it('has the same blanks to fill', () => {
      for (const key of Object.keys(en)) assert.equal(placeholders(words[key]), placeholders(en[key]), key);
    });
  });
}

describe("the stage's English", () => {
  const said = [...source.matchAll(/'([a-z]+(?:\.[a-zA-Z]+)+)'/g)].map((m) => m[1]);
  // Keys that are put together at run time: `stage.phase.${phase}`.
  const prefixes = [...source.matchAll(/`([\w.]+[.])\$\{/g)].map((m) => m[1]);
  it('has every text that is asked for', () => {
    const asked = [...source.matchAll(/\bt\('([^']+)'/g)].map((m) => m[1]);
    assert.ok(asked.length > 40);
    assert.deepEqual(asked.filter((key) => !(key in en) && !(key in house)), []);
  });
  it('has no text that nobody says', () => {
    assert.deepEqual(Object.keys(en).filter((key) => !said.includes(key) && !prefixes.some((p) => key.startsWith(p))), []);
  });
});
