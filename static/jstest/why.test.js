import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { why } from '../operator/why.js';
import { speak } from './words.js';

const barred = { code: 'barred', detail: 'You may not enter this stage at present: Noise.' };
const kicked = { code: 'kicked', detail: 'Removed by the operator.' };
const olga = { name: 'olga' };

it('operators read about a participant what the server says to the participant', () => {
  for (const [lang, event, want] of [
    ['en', barred, 'The person is barred from this stage. Reason: Noise.'],
    ['de', barred, 'Die Person ist für diese Bühne gesperrt. Grund: Noise.'],
    [
      'en',
      { ...barred, detail: 'You may not enter this stage at present: Removed by a moderator.' },
      'The person is barred from this stage.',
    ],
    [
      'en',
      { code: 'no_grant', detail: 'You have no access to this stage; ask the operator for it.' },
      'The person has no access to this stage.',
    ],
    ['en', kicked, 'Disconnected.'],
    ['en', { ...kicked, by: olga }, 'Disconnected by olga.'],
    ['es', { ...kicked, by: olga, detail: 'Noise.' }, 'olga desconectó a la persona: Noise.'],
    ['de', { ...kicked, by: olga, barred: true }, 'Getrennt und gesperrt von olga.'],
    [
      'de',
      { code: 'kicked', detail: 'The account was suspended.' },
      'Getrennt: Das Konto wurde gesperrt.',
    ],
    ['en', { code: 'something_new', detail: 'A sentence.' }, 'A sentence.'],
    ['en', { code: 'something_new' }, 'something_new'],
  ]) {
    speak(lang);
    assert.equal(why(event), want);
  }
  speak('en');
});

it('operators read in their language why each session ended', () => {
  const docs = readFileSync(new URL('../../docs/http.md', import.meta.url), 'utf8');
  const list = docs.match(/Of `ended`: (.*?)Of `warning`/s)?.[1] ?? '';
  const codes = [...list.matchAll(/`([a-z_]+)`/g)].map((m) => m[1]);
  assert.ok(codes.length > 10, list);
  for (const language of ['en', 'de', 'es']) {
    const words = JSON.parse(
      readFileSync(new URL(`../strings/${language}.json`, import.meta.url), 'utf8'),
    );
    assert.deepEqual(
      codes.filter((code) => !words[`op.why.${code}`]),
      [],
      language,
    );
  }
});
