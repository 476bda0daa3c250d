import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const LONGEST = 60;
const root = new URL('../', import.meta.url);
const names = readdirSync(root, { recursive: true }).filter(
  (name) => name.endsWith('.js') && !/^(vendor|jstest)\//.test(name),
);

/**
 * A source text in which underscores replace comments, strings and regular expressions. The number
 * of lines stays the same.
 * @param {string} source
 */
function blanked(source) {
  const tokens =
    /\/\/[^\n]*|\/\*[^]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|\$\{(?:[^{}`]|\{[^}]*\}|`[^`]*`)*\}|[^`\\])*`|(?<=[(,=:[!&|?;{}\n]\s*|return )\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/g;
  return source.replace(tokens, (text) => text.replace(/[^\n]/g, '_'));
}

/**
 * The position at which the bracket or the expression that begins at `from` ends. An expression
 * ends before a comma, a semicolon or a bracket that it did not open.
 */
function end(text, from, expression) {
  for (let depth = 0, i = from; i < text.length; i++) {
    if ('([{'.includes(text[i])) depth++;
    else if (')]}'.includes(text[i])) depth--;
    else if (expression && depth === 0 && ',;'.includes(text[i])) return i;
    if (depth < 0 || (!expression && depth === 0)) return i;
  }
  return text.length;
}

/** [first line, number of lines] of every function. @param {string} source */
export function lengths(source) {
  const text = blanked(source);
  const lines = (from, to) => text.slice(from, to).split('\n').length;
  const found = [];
  for (const { 0: arrow, index } of text.matchAll(/=>\s*/g)) {
    const at = index + arrow.length;
    found.push([lines(0, index), lines(index, end(text, at, text[at] !== '{'))]);
  }
  for (const { 0: open, 1: name = '', index } of text.matchAll(/(\b\w+\s*)?\(/g)) {
    const close = end(text, index + open.length - 1, false);
    const body = /^\)\s*\{/.exec(text.slice(close));
    if (!body || /^(if|for|while|switch|catch|with|await)\b/.test(name)) continue;
    found.push([lines(0, index), lines(index, end(text, close + body[0].length - 1, false))]);
  }
  return found;
}

describe('functions', () => {
  it('are counted', () => {
    const body = Array.from(
      { length: 70 },
      (_, i) => `  if (a) { b('}', /[}/]{1}/, \`\${c({})}\`); } // } ${i}`,
    ).join('\n');
    for (const source of [
      `function long(a, { b }) {\n${body}\n}\n`,
      `function long(a, b = (c) => new Promise((r) => d(r, c))) {\n${body}\n}\n`,
      `const long = (a) => {\n${body}\n};\n`,
      `x = {\n  long(a) {\n${body}\n  },\n};`,
    ]) {
      assert.equal(Math.max(...lengths(source).map(([, n]) => n)), 72, source.slice(0, 20));
    }
    assert.deepEqual(
      lengths('const a = (b) => h(c,\n  d,\n);\nconst e = 1;\n').map(([, n]) => n),
      [3],
    );
  });
  it(`have at most ${LONGEST} lines`, () => {
    const long = names.flatMap((name) =>
      lengths(readFileSync(new URL(name, root), 'utf8'))
        .filter(([, n]) => n > LONGEST)
        .map(([line, n]) => ({ name, line, n })),
    );
    assert.ok(names.length > 30);
    assert.deepEqual(long, []);
  });
});
