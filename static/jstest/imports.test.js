import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const root = new URL('../', import.meta.url);

/** The modules of the pages. */
const modules = readdirSync(root, { recursive: true })
  .filter((path) => path.endsWith('.js') && !/^(jstest|vendor)\//.test(path))
  .map((path) => new URL(path, root).href);

/**
 * The modules that a module imports statically or dynamically. Imports in comments are ignored,
 * because they import types.
 */
function importsOf(module) {
  const code = readFileSync(new URL(module), 'utf8').replace(/\/\*[^]*?\*\//g, '');
  return [...code.matchAll(/\bfrom '(\.[^']+)'|\bimport\(?\s*'(\.[^']+)'/g)].map(
    ([, from, loaded]) => new URL(from ?? loaded, module).href,
  );
}

describe('imports', () => {
  it('form no circle', () => {
    const imports = new Map(modules.map((module) => [module, importsOf(module)]));
    const done = new Set();
    const visit = (module, path) => {
      if (path.includes(module)) {
        const circle = [...path.slice(path.indexOf(module)), module];
        assert.fail(circle.map((m) => m.slice(root.href.length)).join(' → '));
      }
      if (done.has(module)) return;
      for (const next of imports.get(module) ?? []) visit(next, [...path, module]);
      done.add(module);
    };
    assert.ok(modules.length > 50);
    for (const module of modules) visit(module, []);
  });
});
