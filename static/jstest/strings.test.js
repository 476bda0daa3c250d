import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { chosen, recognized, serverSaid, t } from '../lib/strings.js';
import { de, en, es, speak } from './words.js';

const root = new URL('../', import.meta.url);
const read = (folder, is) =>
  readdirSync(folder, { recursive: true })
    .filter(is)
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n');
const source = read(root, (name) => name.endsWith('.js') && !/^(vendor|jstest)\//.test(name));
// The terminal and the script in OBS use sentences, too.
const obs = new URL('../../internal/obs/', import.meta.url);
const terminal = read(obs, (name) => name.endsWith('.go') && !name.endsWith('_test.go'));
const script = [...read(obs, (name) => name.endsWith('.lua')).matchAll(/\bsay\.(\w+)/g)].map(
  (m) => `script.${m[1]}`,
);
const placeholders = (text) =>
  [...text.matchAll(/\{(\w+)\}/g)]
    .map((m) => m[1])
    .sort()
    .join();
/**
 * The sentences without the server's, whose keys contain their codes, and which the tests compare
 * separately.
 */
const own = (words) =>
  Object.fromEntries(Object.entries(words).filter(([key]) => !key.startsWith('server.')));
const server = (words) =>
  Object.fromEntries(
    Object.entries(words)
      .filter(([key]) => key.startsWith('server.'))
      .map(([key, text]) => [key.slice(7), text]),
  );
const [inGerman, inSpanish] = [server(de), server(es)];

for (const [name, words] of Object.entries({ de, es })) {
  describe(name, () => {
    it('has every sentence, in the order of English, and no other', () =>
      assert.deepEqual(Object.keys(own(words)), Object.keys(own(en))));
    it('has no empty one', () =>
      assert.deepEqual(
        Object.entries(words).filter(([, text]) => !text.trim()),
        [],
      ));
    it('has no word that is wider than a card of a narrow dock: soft hyphens let it break', () => {
      const pieces = (text) => text.split(/[^\p{L}]+/u);
      assert.deepEqual(
        Object.values(words)
          .flatMap(pieces)
          .filter((piece) => piece.length > 20),
        [],
      );
    });
    it('has the same placeholders', () => {
      for (const key of Object.keys(en))
        assert.equal(placeholders(words[key]), placeholders(en[key]), key);
    });
  });
}

describe('English', () => {
  // Keys that are composed at run time: `setup.step.${step}`.
  const prefixes = [...source.matchAll(/`([\w.]+[.])\$\{/g)].map((m) => m[1]);
  it('has every text that is requested', () => {
    const asked = [...source.matchAll(/\bt\('([^']+)'/g)].map((m) => m[1]);
    const keys = [...terminal.matchAll(/"((?:api|find|live|obs|server|setup)\.[\w.]+)"/g)]
      .map((m) => m[1])
      .filter((key) => !key.endsWith('.'));
    assert.ok(asked.length > 150 && script.length > 20);
    assert.deepEqual(
      [...asked, ...keys, ...script].filter((key) => !(key in en)),
      [],
    );
  });
  it('has no text that is used nowhere', () => {
    const unused = Object.keys(own(en))
      .map((key) => key.replace(/\.one$/, ''))
      .filter(
        (key) =>
          !source.includes(`'${key}'`) &&
          !terminal.includes(`"${key}"`) &&
          !script.includes(key) &&
          !prefixes.some((p) => key.startsWith(p)),
      );
    assert.deepEqual(unused, []);
  });
  it('has the words of OBS and Amazon IVS', () => {
    for (const [key, text] of Object.entries(en)) {
      assert.doesNotMatch(
        text,
        /\bbit rate|full picture|Let on|Take off|May go onto|\bLook\b(?! again| for| at)|\bwhoever\b|\bsomebody\b|\bknock/i,
        key,
      );
    }
  });
});

/**
 * Words that no text may have: the last column of docs/glossary.md, "German and Spanish". Names of
 * placeholders are exempt, and so are the paths after them, as in "{server}/dock".
 */
const otherWords = {
  de: /\bStages?\b|Operator|Sendende[nr]?\b|Rechner|Mischer|\bMixer|Audio-Mixer|Übertragung|Telefon|Keyframe-Intervall|zurückgezogen|\bLeute\b|\b(alle|keine|viele|offenen?) Token\b|unterschreib|live gehen|[^ ]…/,
  es: /\bstages?\b|\bdocks?\b|ordenador|\b(la|una) wifi|como mucho|\bbitrate|público|\bGente\b|\bConfiguración|fotogramas B\b/,
};
for (const [name, words] of Object.entries({ de, es })) {
  it(`one word for one thing in ${name}`, () => {
    const written = Object.entries(words).map(([key, text]) => [
      key,
      text.replace(/\{\w+\}[/\w]*/g, ''),
    ]);
    assert.deepEqual(
      written.filter(([, text]) => otherWords[name].test(text)),
      [],
    );
  });
}

it('the singular is used for one', () => {
  speak('en');
  const said = [0, 1, 2].map((n) => t('op.onStages', { n }));
  assert.deepEqual(said, ['access to 0 stages', 'access to 1 stage', 'access to 2 stages']);
  assert.equal(t('op.hours', { n: '1' }), '1 hour');
  for (const key of Object.keys(en).filter((k) => k.endsWith('.one')))
    assert.ok(key.replace(/\.one$/, '') in en, key);
});

it('a sentence of the server that a page recognizes is in the language of the page', () => {
  const rule =
    'everybody → a stage of their own, "{name}" (publish,subscribe, tokens up to 1 hour)';
  const details = [rule, 'publish, by rule', 'name Ana, role moderator', 'publish, own key k1'];
  const inLanguage = (lang, family, texts) => {
    speak(lang);
    return texts.map((text) => recognized(family, text));
  };
  assert.deepEqual(inLanguage('en', 'record', details), details);
  assert.deepEqual(inLanguage('de', 'record', details), [
    'alle → eine eigene Bühne „{name}“ (senden, ansehen, Tokens bis zu 1 Stunde)',
    'senden, durch eine Regel',
    'Name Ana, Rolle Moderator',
    'senden, eigener Schlüssel k1',
  ]);
  assert.deepEqual(inLanguage('es', 'doctor', ['/var/lib can be written', 'the moon is full']), [
    'Se puede escribir en /var/lib.',
    'the moon is full',
  ]);
  const where = 'us-west-2 of the account 123456789012';
  assert.deepEqual(
    inLanguage('de', 'issuer', [
      'By the AWS API: the list of own keys cannot be read.',
      `By the AWS API: there is no own key for ${where} (stagedoor keys create).`,
      'By the AWS API: the own key k1 cannot be used (no such file).',
      `Signed here with the own key k1 in AWS KMS, which is that of ${where}.`,
      `Signed here with the own key k1, which is that of ${where}.`,
    ]),
    [
      'Von der API von AWS: Die Liste der eigenen Schlüssel ist nicht lesbar.',
      'Von der API von AWS: Für us-west-2 im Konto 123456789012 gibt es keinen eigenen Schlüssel ' +
        '(stagedoor keys create).',
      'Von der API von AWS: Der eigene Schlüssel k1 ist nicht benutzbar (no such file).',
      'Hier signiert mit dem eigenen Schlüssel k1 in AWS KMS, dem von us-west-2 im Konto ' +
        '123456789012.',
      'Hier signiert mit dem eigenen Schlüssel k1, dem von us-west-2 im Konto 123456789012.',
    ],
  );
  // Text that a person wrote is not translated.
  assert.deepEqual(
    inLanguage('de', 'reason', ['role model, by rule', 'Removed by the operator.']),
    ['role model, by rule', 'Vom Betreiber entfernt.'],
  );
  speak('en');
});

it('the words of an entry that Go does not take from the files are those of Go', () => {
  const go = ['access', 'passkey', 'stage']
    .map((name) => new URL(`../../internal/${name}/`, import.meta.url))
    .map((folder) => read(folder, (name) => name.endsWith('.go') && !name.endsWith('_test.go')))
    .join('\n')
    .replace(/" ?\+\s*"/g, '')
    .replaceAll('\\"', '"');
  // These are composed of a number and a unit, or of two capabilities.
  const composed = /^said\.word\.(both|days?|hours?)$|^said\.record\.message$/;
  const pieces = Object.entries(en)
    .filter(([key]) => /^said\.(record|word)\./.test(key) && !composed.test(key))
    .filter(([key]) => !go.includes(`"${key}"`))
    .flatMap(([, text]) => text.split(/\{\w+\}/))
    .map((piece) => piece.replace(/^, /, '').trim());
  assert.ok(pieces.length > 40);
  assert.deepEqual(
    pieces.filter((piece) => !go.includes(piece)),
    [],
  );
});

it('every reason for which the server ends a session is in the language of the page', () => {
  const file = new URL('../../internal/access/reasons.go', import.meta.url);
  const keys = [...readFileSync(file, 'utf8').matchAll(/endReason = "(\w+)"/g)].map((m) => m[1]);
  assert.deepEqual(
    [...keys, 'none', 'moderator'].map((key) => `said.reason.${key}`).sort(),
    Object.keys(en)
      .filter((key) => key.startsWith('said.reason.'))
      .sort(),
  );
  const reasons = keys.map((key) => en[`said.reason.${key}`]);
  assert.ok(reasons.length > 8, `the search finds what is there: ${reasons}`);
  for (const lang of ['de', 'es']) {
    speak(lang);
    assert.deepEqual(
      reasons.filter((reason) => recognized('reason', reason) === reason),
      [],
      lang,
    );
  }
  speak('de');
  assert.equal(
    serverSaid('kicked', 'The account was suspended.'),
    'Deine Sendung wurde beendet: Das Konto wurde gesperrt.',
  );
  speak('en');
});

it('every event of a stage is in the language of the page', () => {
  const go = ['sfu', 'ivs']
    .map((name) => new URL(`../../internal/${name}/`, import.meta.url))
    .map((folder) => read(folder, (name) => name.endsWith('.go') && !name.endsWith('_test.go')))
    .join('\n');
  const keys = [...go.matchAll(/"said\.event\.(\w+)"|\.find(?:As)?\("(\w+)"/g)].map(
    ([, key, code]) => `said.event.${key ?? code}`,
  );
  assert.ok(keys.length > 12, `the search finds what is there: ${keys}`);
  assert.deepEqual(
    [...new Set(keys)].sort(),
    Object.keys(en)
      .filter((key) => key.startsWith('said.event.'))
      .sort(),
  );
  for (const lang of ['de', 'es']) {
    speak(lang);
    assert.deepEqual(
      keys.filter((key) => serverSaid('', en[key]) !== t(key)),
      [],
      lang,
    );
  }
  speak('en');
});

it('the first supported language of the person is used', () => {
  assert.deepEqual(
    [chosen(['fr', 'de-AT', 'en']), chosen(['es-419']), chosen(['fr']), chosen([])],
    ['de', 'es', 'en', 'en'],
  );
});

describe('errors that a page shows', () => {
  // This error is for programmers.
  const others = ['the page has no #${id}'];
  it('have no English of their own', () => {
    const thrown = [...source.matchAll(/\b\w*Error\(([^\n]*)/g)].flatMap((m) =>
      [...m[1].matchAll(/'([^']*)'|`([^`]*)`/g)].map((x) => x[1] ?? x[2]),
    );
    assert.ok(thrown.includes('obs.timeout'), 'the search finds what is there');
    assert.deepEqual(
      thrown.filter((text) => /[a-z] [a-z]/i.test(text) && !others.includes(text)),
      [],
    );
  });
  it('have keys that exist', () => {
    const keys = [...source.matchAll(/(?:ObsError|SetupError)\(([^\n]*)/g)].flatMap((m) =>
      [...m[1].matchAll(/'([a-z]+\.[\w.]+)'/g)].map((x) => x[1]),
    );
    assert.ok(keys.length > 5);
    assert.deepEqual(
      keys.filter((key) => !(key in en)),
      [],
    );
  });
});

/**
 * The server's sentences are in English. The other languages have a sentence for each code that a
 * broadcaster may receive.
 */
describe('the server’s codes', () => {
  const go = (folder) =>
    readdirSync(new URL(`../../internal/${folder}/`, import.meta.url))
      .filter((name) => name.endsWith('.go') && !name.endsWith('_test.go'))
      .map((name) =>
        readFileSync(new URL(`../../internal/${folder}/${name}`, import.meta.url), 'utf8'),
      )
      .join('\n');
  const code = String.raw`\((?:[\w.]+,)?\s*"([a-z][a-z0-9_]+)",?`;
  const said = 'access app feed homes ivs keys oidc passkey sfu signal store token web webhook whip'
    .split(' ')
    .map(go)
    .join('\n');
  const found = new Set([
    ...[
      ...said.matchAll(
        new RegExp(String.raw`(?:WithCode|refuse|\.end|\.Close(?:All)?)${code}`, 'g'),
      ),
    ].map((m) => m[1]),
    ...[...said.matchAll(/\bCode(?:: |, \w+\.Detail = )"(\w+)"/g)].map((m) => m[1]),
    ...[...go('ivs').matchAll(/return stage\.EventEnded, "(\w+)"/g)].map((m) => m[1]),
    ...[...go('ivs').matchAll(/case ("[A-Z_]+"(?:, "[A-Z_]+")*):\n\t\treturn "/g)].flatMap((m) =>
      [...m[1].matchAll(/\w+/g)].map((x) => x[0].toLowerCase()),
    ),
    // An error without a code gets the name of its kind as the code.
    ...[...go('stage').matchAll(/Err\w+ += errors\.New\("([\w ]+)"\)/g)].map((m) =>
      m[1].replaceAll(' ', '_'),
    ),
    ...[...go('stage').matchAll(/const Code\w+ = "(\w+)"/g)].map((m) => m[1]),
    'internal',
    'cross_origin',
    'token_expired',
    'token_revoked',
  ]);
  /** Codes that only programs or operators receive. */
  const notForThem = {
    'the operator, in the terminal': ['key_gone', 'key_damaged', 'port_taken', 'database_newer'],
    'a browser source that goes beyond its view': ['view_only', 'not_in_view'],
    'a program that speaks to the server wrongly, which the pages and OBS do not': [
      'bad_json',
      'bad_body',
      'bad_cursor',
      'scope',
      'unknown_field',
      'method_not_allowed',
      'not_acceptable',
      'unsupported_media_type',
      'unsupported_encoding',
      'wrong_etag',
      'ice_restart',
      'too_many',
      'too_many_offers',
      'wrong_topic',
    ],
  };
  for (const [name, words] of Object.entries({ de: inGerman, es: inSpanish })) {
    it(`are all said in ${name}, as far as a broadcaster meets them`, () => {
      assert.ok(found.size > 60, `the search finds what is there: ${[...found]}`);
      for (const there of [
        'too_many_tokens',
        'kicked',
        'token_malformed',
        'bitrate_exceeded',
        'not_found',
        'stage_deleted',
        'server_lost',
      ])
        assert.ok(found.has(there), there);
      const exempt = Object.values(notForThem).flat();
      assert.deepEqual(
        [...found].filter((c) => !words[c] && !exempt.includes(c)),
        [],
      );
      assert.deepEqual(
        exempt.filter((c) => !found.has(c) || words[c]),
        [],
        'no longer there, or said after all',
      );
    });
  }
  it('are the same in both', () => assert.deepEqual(Object.keys(inGerman), Object.keys(inSpanish)));
  it('are filled with the given values', () => {
    for (const words of [inGerman, inSpanish]) {
      for (const text of Object.values(words))
        assert.ok(!/\{(?!detail|wait)\w+\}/.test(text), text);
    }
  });
});

describe('the server’s sentences about what is wrong with a form', () => {
  const rules = ['access', 'feed', 'ivs', 'keys', 'stage', 'web']
    .map((name) => new URL(`../../internal/${name}/`, import.meta.url))
    .flatMap((folder) => readdirSync(folder).map((name) => new URL(name, folder)))
    .filter((file) => file.pathname.endsWith('.go'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n')
    .replace(/" ?\+\s*"/g, ''); // a sentence over several lines
  it('are those of the rules', () => {
    const sentences = Object.entries(en).filter(([key]) => /^said\.(invalid|conflict)/.test(key));
    assert.ok(sentences.length > 30);
    assert.deepEqual(
      sentences.filter(([key, text]) => !rules.includes(`"${key}"`) && !rules.includes(text)),
      [],
    );
  });
  it('are in the language of the page', () => {
    const plain = (/** @type {string} */ text) => text.replace(/[\u2068\u2069]/g, '');
    const said = (/** @type {string} */ detail) => plain(serverSaid('invalid', detail));
    speak('de');
    assert.equal(
      said('This name has 65 characters; a name has at most 64.'),
      'Das geht so nicht: Dieser Name hat 65 Zeichen; ein Name hat höchstens 64.',
    );
    assert.equal(
      said("The name of the users' own stages must contain {name}."),
      'Das geht so nicht: Der Name der eigenen Bühnen muss {name} enthalten.',
    );
    assert.equal(said('A new sentence.'), 'Das geht so nicht: A new sentence.');
    assert.equal(
      plain(
        serverSaid(
          'conflict',
          'ana is the last operator who can sign in; add another operator first.',
        ),
      ),
      'So, wie es gerade steht, geht das nicht: ana ist der letzte Betreiber, der sich anmelden ' +
        'kann; füge zuerst einen anderen hinzu.',
    );
    const rule = '"{name}" (publish, tokens up to 1 hour)';
    assert.match(
      serverSaid(
        'conflict',
        `Another rule gives access to the stages of this one: everybody → all stages ${rule}. ` +
          'Remove that rule first.',
      ),
      /: alle → alle Bühnen .*1 Stunde\)\. Entferne/,
    );
    speak('es');
    assert.equal(
      said('A rule needs a claim and its value, or neither for every user.'),
      'Así no se puede: Una regla necesita un atributo (claim) y su valor, o ninguno de los dos: ' +
        'entonces vale para todos.',
    );
    speak('en');
  });
});

it('a language has its own words for a refusal, with the wait and the operator’s reason; English has the server’s', () => {
  assert.equal(
    serverSaid('too_many_tokens', 'Try again in 4 minutes.', { wait: 240 }),
    'Try again in 4 minutes.',
  );
  for (const [detail, byRole, want] of [
    ['time is up', 'operator', 'The operator ended your broadcast: time is up'],
    ['time is up', 'moderator', 'A moderator ended your broadcast: time is up'],
    ['The access was removed.', '', 'Your broadcast was ended: The access was removed.'],
    [
      'An operator or a moderator ended the session.',
      'moderator',
      'A moderator ended your broadcast.',
    ],
    ['An operator ended the session.', '', 'Your broadcast was ended.'],
  ])
    assert.equal(serverSaid('kicked', detail, { byRole }), want);
  speak('de');
  assert.match(
    serverSaid('too_many_tokens', 'Try again in 4 minutes.', { wait: 240 }),
    /Warte 4 Minuten und/,
  );
  assert.match(
    serverSaid('too_many_tokens', 'Try again in 4 minutes.'),
    /Warte ein paar Minuten und/,
  );
  assert.equal(
    serverSaid('kicked', 'The hall is closing.', { byRole: 'moderator' }),
    'Ein Moderator hat deine Sendung beendet: The hall is closing.',
  );
  const barred = (/** @type {string} */ reason) =>
    serverSaid('barred', `You may not enter this stage at present: ${reason}`);
  assert.equal(barred('Noise.'), 'Du darfst diese Bühne zurzeit nicht betreten. Grund: Noise.');
  assert.equal(barred('Removed by a moderator.'), 'Du darfst diese Bühne zurzeit nicht betreten.');
  assert.equal(serverSaid('too_large', 'A body must be shorter.'), 'Das ist zu groß.');
  assert.match(serverSaid('logo_too_large', 'A logo must be smaller.'), /Logo .* 48 KiB/);
  assert.equal(serverSaid('something_new', 'A sentence.'), 'A sentence.');
  speak('es');
  assert.match(serverSaid('too_many_attempts', '', { wait: 30 }), /Espera 30 segundos/);
  speak('en');
});
