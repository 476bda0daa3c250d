import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { de } from '../static/lib/strings.de.js';
import { es } from '../static/lib/strings.es.js';
import { en } from '../static/lib/strings.js';

const root = new URL('../static/', import.meta.url);
const source = readdirSync(root, { recursive: true })
  // The stage's page and the browser source have words of their own, and a test of their own.
  .filter((name) => name.endsWith('.js') && !/^(vendor|stage|source|lib\/stage)\//.test(name) && !name.includes('strings'))
  .map((name) => readFileSync(new URL(name, root), 'utf8')).join('\n');
const placeholders = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join();

for (const [name, words] of Object.entries({ de, es })) {
  describe(name, () => {
    it('says everything', () => assert.deepEqual(Object.keys(en).filter((key) => !words[key]), []));
    it('says nothing that English does not', () => assert.deepEqual(Object.keys(words).filter((key) => !(key in en)), []));
    it('has the same blanks to fill', () => {
      for (const key of Object.keys(en)) assert.equal(placeholders(words[key]), placeholders(en[key]), key);
    });
  });
}

describe('English', () => {
  // Keys that are put together at run time: `setup.step.${step}`.
  const prefixes = [...source.matchAll(/`([\w.]+[.])\$\{/g)].map((m) => m[1]);
  it('has every text that is asked for', () => {
    const asked = [...source.matchAll(/\bt\('([^']+)'/g)].map((m) => m[1]);
    assert.ok(asked.length > 100);
    assert.deepEqual(asked.filter((key) => !(key in en)), []);
  });
  it('has no text that nobody says', () => {
    const unused = Object.keys(en).filter((key) => !source.includes(`'${key}'`) && !prefixes.some((p) => key.startsWith(p)));
    assert.deepEqual(unused, []);
  });
});
