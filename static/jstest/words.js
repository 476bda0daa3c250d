/** The language files, for tests without a server. */
import { readFileSync } from 'node:fs';
import { useWords } from '../lib/strings.js';

/** @param {string} tag */
const read = (tag) =>
  JSON.parse(readFileSync(new URL(`../strings/${tag}.json`, import.meta.url), 'utf8'));

export const [en, de, es] = ['en', 'de', 'es'].map(read);

/** @param {'en' | 'de' | 'es'} tag */
export const speak = (tag) => useWords(tag, en, { en, de, es }[tag]);

speak('en');
