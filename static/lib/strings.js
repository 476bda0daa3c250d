/**
 * The texts of the pages. They are in static/strings, with one file per language, which the server
 * also reads. English is the source and the fallback.
 */

/** @typedef {Record<string, string>} Words */

const LANGUAGES = Object.freeze(['en', 'de', 'es']);

/** The detail that the server sends for a kick or a bar without a reason. */
export const NO_REASON =
  /^(An operator( or a moderator)? ended the session\.?|Removed by (the operator|a moderator)\.)?$/;

/** The server's words before the reason of a bar. */
export const BARRED = /^You may not enter this stage at present: /;

/** Milliseconds before the file of a language is requested again. */
const AGAIN_AFTER = 1_000;

/** @type {Words} */
let english = {};
/** @type {Words} */
let words = {};
let language = 'en';

/** The first of these languages that Stagedoor supports. @param {readonly string[]} wanted */
export const chosen = (wanted) =>
  wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.includes(tag)) ?? 'en';

const CHOSEN = 'stagedoor.language';

/** The languages, by their own names. @type {readonly [string, string][]} */
export const languageNames = Object.freeze([
  ['en', 'English'],
  ['de', 'Deutsch'],
  ['es', 'Español'],
]);

/** The language that the person chose on a page; '' if the browser's language is used. */
export const ownLanguage = () => globalThis.localStorage?.getItem(CHOSEN) ?? '';

/** Stores the choice of a language, which the next page uses. @param {string} tag */
export function chooseLanguage(tag) {
  localStorage.setItem(CHOSEN, tag);
}

/** The language in use. */
export const inLanguage = () => language;

/**
 * Loads the person's language. It retries until the server answers, since a page needs its texts.
 * @param {readonly string[]} wanted
 */
export async function useLanguage(wanted) {
  const tag = chosen(wanted);
  const [source, own] = await Promise.all(['en', tag].map(load));
  useWords(tag, source, own);
  document.documentElement.lang = tag;
}

/** @param {string} tag @param {Words} source in English @param {Words} own in that language */
export function useWords(tag, source, own) {
  language = tag;
  sentences.clear();
  english = source;
  words = own;
}

/** @param {string} tag @returns {Promise<Words>} */
async function load(tag) {
  for (;;) {
    try {
      const response = await fetch(new URL(`../strings/${tag}.json`, import.meta.url));
      if (response.ok) return await response.json();
    } catch {
      // the network or the server cannot be reached
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER));
  }
}

/**
 * A sentence in the person's language. If the value `n` is 1, it is the sentence whose key ends in
 * ".one", if there is one.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values) {
  const one = `${key}.one`;
  const found = String(values?.n) === '1' && one in english ? one : key;
  return fill(words[found] ?? english[found] ?? found, values);
}

/** The sentence of a key; any other text unchanged. @param {string} text */
export const said = (text) => (has(text) ? t(text) : text);

/**
 * The server's reason for a refusal, or what happened on a stage. The detail is in English. If the
 * language has a sentence for the code, that sentence is used. Otherwise the detail is recognized
 * and translated. For a kick, the sentence names the role of the person who kicked, and the reason
 * if one was given.
 * @param {string} code
 * @param {string} detail
 * @param {{wait?: number, byRole?: string}} [more] wait: seconds, if the server sent them; byRole:
 *   that of the person who kicked
 */
export function serverSaid(code, detail, { wait = 0, byRole = '' } = {}) {
  const own = words[keyOfCode(code, detail, byRole)];
  return own
    ? fill(own, {
        detail:
          code === 'barred'
            ? detail.replace(BARRED, '')
            : recognized(/^(conflict|invalid)$/.test(code) ? code : 'reason', detail),
        wait: wait > 0 ? duration(wait) : words['server.later'],
      })
    : recognized('event', detail);
}

/**
 * The server's sentences by family, each with a regular expression that recognizes it, most
 * specific first.
 * @type {Map<string, {key: string, looks: RegExp}[]>}
 */
const sentences = new Map();

/**
 * Families whose sentences contain those of another one: an entry of the audit trail may have the
 * reason why a session ended, and a conflict may name a rule as the entries do.
 * @type {Record<string, string>}
 */
const ALSO = { record: 'said.reason', conflict: 'said.record' };

/** @param {string} family */
function sentencesOf(family) {
  const known = sentences.get(family);
  if (known) return known;
  const among = [family, `said.${family}`, 'said.word', ALSO[family] ?? ''];
  const fixed = (/** @type {string} */ text) => text.replace(/\{\w+\}/g, '').length;
  const list = Object.entries(english)
    .filter(([key]) => among.includes(key.split('.', 2).join('.')))
    .sort(([, a], [, b]) => fixed(b) - fixed(a))
    .map(([key, text]) => ({ key, looks: lookOf(text) }));
  sentences.set(family, list);
  return list;
}

/** A regular expression for a sentence, with a group for each placeholder. @param {string} text */
const lookOf = (text) =>
  new RegExp(
    `^${text
      .split(/(\{\w+\})/)
      .map((part) =>
        /^\{\w+\}$/.test(part)
          ? `(?<${part.slice(1, -1)}>.+?)`
          : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
      )
      .join('')}$`,
    's',
  );

/**
 * Translates a sentence that the server stores or sends only in English. It finds the sentence
 * among the keys of the family (`said.FAMILY.…`), and also translates the values of its
 * placeholders; a number with a decimal gets the format of the language. Any other text is returned
 * unchanged.
 * @param {string} family
 * @param {string} text
 * @returns {string}
 */
export function recognized(family, text) {
  if (language === 'en') return text;
  for (const { key, looks } of sentencesOf(family)) {
    const found = looks.exec(text);
    if (!found) continue;
    const values = Object.entries(found.groups ?? {}).map(([name, value]) => [
      name,
      /^\d+\.\d$/.test(value) ? number(Number(value)) : recognized(family, value),
    ]);
    return t(key, Object.fromEntries(values));
  }
  return text;
}

/** @param {string} code @param {string} detail @param {string} role of the person who kicked */
function keyOfCode(code, detail, role) {
  if (code === 'kicked') return kickedKey(detail, role);
  const plain = code === 'barred' && NO_REASON.test(detail.replace(BARRED, ''));
  return `server.${code}${plain ? '.plain' : ''}`;
}

/** @param {string} detail @param {string} role of the person who kicked */
function kickedKey(detail, role) {
  const who = ['operator', 'moderator'].includes(role) ? `.${role}` : '';
  return `server.kicked${who}${NO_REASON.test(detail) ? '.plain' : ''}`;
}

/** @param {number} seconds */
function duration(seconds) {
  const [n, unit] =
    seconds < 60
      ? [seconds, 'second']
      : seconds < 5400
        ? [seconds / 60, 'minute']
        : [seconds / 3600, 'hour'];
  return new Intl.NumberFormat(language, {
    style: 'unit',
    unit: String(unit),
    unitDisplay: 'long',
  }).format(Math.ceil(Number(n)));
}

/**
 * The sentence in English, for the server.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export const inEnglish = (key, values) => fill(english[key] ?? key, values);

/** @param {string} key */
export const has = (key) => key in english;

/** @param {string} text @param {Record<string, string | number>} [values] */
const fill = (text, values = {}) =>
  text.replace(/\{(\w+)\}/g, (whole, name) =>
    name in values ? isolated(String(values[name])) : whole,
  );

/** Letters of scripts that are written from right to left. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/**
 * Encloses a name in a right-to-left script in isolating marks. Otherwise a number after the name,
 * for example, would be shown before it.
 * @param {string} value
 */
const isolated = (value) => (RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : value);

/** A time of day, with the date if it is not today. @param {string | number | Date} when */
export function time(when) {
  const date = new Date(when);
  const today = date.toDateString() === new Date().toDateString();
  /** @type {Intl.DateTimeFormatOptions} */
  const shape = today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' };
  return formatter(`time ${today}`, () => new Intl.DateTimeFormat(language, shape)).format(date);
}

/**
 * The formatters are cached, because creating one costs more than using it a hundred times.
 * @type {Map<string, any>}
 */
const formatters = new Map();

/** @template T @param {string} name @param {() => T} make @returns {T} */
function formatter(name, make) {
  const key = `${language} ${name}`;
  if (!formatters.has(key)) formatters.set(key, make());
  return formatters.get(key);
}

/** @param {number} seconds */
export function span(seconds) {
  const n = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ x) => String(x).padStart(2, '0');
  return `${Math.floor(n / 3600)}:${two(Math.floor((n % 3600) / 60))}:${two(n % 60)}`;
}

/** A number in the format of the language. @param {number} n */
export const number = (n) =>
  formatter('number', () => new Intl.NumberFormat(language, { maximumFractionDigits: 1 })).format(
    n,
  );
