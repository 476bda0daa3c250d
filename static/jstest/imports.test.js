import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const root = new URL('../', import.meta.url);

/** The modules of the pages. */
const modules = readdirSync(root, { recursive: true })
  .filter((path) => path.endsWith('.js') && !/^(jstest|vendor)\//.test(path))
  .map((path) => new URL(path, root).href);

/**
 * The modules that a module imports statically or late. Imports in comments are ignored, because
 * they import types.
 */
function importsOf(module) {
  const code = readFileSync(new URL(module), 'utf8').replace(/\/\*[^]*?\*\//g, '');
  return [
    ...code.matchAll(/\bfrom '(\.[^']+)'|\b(?:import\s|late\(\s*new URL\()\s*'(\.[^']+)'/g),
  ].map(([, from, loaded]) => new URL(from ?? loaded, module).href);
}

/** Fails if a graph has a cycle. The graph is a map from each node to its successors. */
function assertNoCircle(graph) {
  const done = new Set();
  const visit = (node, path) => {
    if (path.includes(node))
      assert.fail([...path.slice(path.indexOf(node)), node].join(' → ').replaceAll(root.href, ''));
    if (done.has(node)) return;
    for (const next of graph.get(node) ?? []) visit(next, [...path, node]);
    done.add(node);
  };
  for (const node of graph.keys()) visit(node, []);
}

describe('imports', () => {
  const imports = new Map(modules.map((module) => [module, importsOf(module)]));
  it('form no circle of modules', () => {
    assert.ok(modules.length > 50);
    const late = new URL('dock/gone.js', root).href;
    assert.ok(imports.get(new URL('dock/dock.js', root).href).includes(late));
    assertNoCircle(imports);
  });
  it('form no circle of folders', () => {
    const folderOf = (module) => new URL('.', module).href;
    const folders = new Map(modules.map((module) => [folderOf(module), []]));
    for (const [module, imported] of imports) {
      const folder = folderOf(module);
      folders.get(folder).push(...imported.map(folderOf).filter((f) => f !== folder));
    }
    assertNoCircle(folders);
  });
});
