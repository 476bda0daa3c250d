import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { why } from '../operator/why.js';
import { de, en, es, speak } from './words.js';

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
    [
      'de',
      { code: 'connected', detail: 'The connection is up; waiting for sound and picture.' },
      'Die Verbindung steht; Bild und Ton fehlen noch.',
    ],
    [
      'de',
      { code: 'bitrate_high', detail: '9.4 Mb/s come in; the stage takes 8.5 at most.' },
      '9,4 Mb/s kommen an; die Bühne nimmt höchstens 8,5.',
    ],
    ['es', { detail: 'Amazon IVS receives the broadcast.' }, 'Amazon IVS recibe la emisión.'],
    ['en', { code: 'something_new', detail: 'A sentence.' }, 'A sentence.'],
    ['en', { code: 'something_new' }, 'something_new'],
  ]) {
    speak(lang);
    assert.equal(why(event), want);
  }
  speak('en');
});

/** The codes in a list of docs/http.md. @param {RegExp} list */
function documented(list) {
  const docs = readFileSync(new URL('../../docs/http.md', import.meta.url), 'utf8');
  const codes = [...(docs.match(list)?.[1] ?? '').matchAll(/`([a-z_0-9]+)`/g)].map((m) => m[1]);
  assert.ok(codes.length > 6, String(codes));
  return codes;
}

it('operators read in their language why each session ended', () => {
  const codes = documented(/Of `ended`: (.*?)Of `warning`/s);
  for (const [language, words] of Object.entries({ en, de, es }))
    assert.deepEqual(
      codes.filter((code) => !words[`op.why.${code}`]),
      [],
      language,
    );
});

it('every documented warning has a sentence', () =>
  assert.deepEqual(
    documented(/Of `warning`: (.*?)\. AWS/s).filter((code) => !en[`said.event.${code}`]),
    [],
  ));
