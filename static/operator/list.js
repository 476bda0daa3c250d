/**
 * A list that the server searches and divides into pages. The browser has only the requested part.
 */
import { api } from '../lib/api.js';
import { choice } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, errorLine, errorText, field } from '../lib/page.js';
import { number, t } from '../lib/strings.js';

/** @typedef {import('../lib/dom.js').Child} Child */

const SEARCH_AFTER = 250; // milliseconds after the last key
const MOST = 500; // items that the server sends at once
const MOST_COUNTED = 1000; // access.MaxCount

/**
 * @typedef {object} About
 * @property {string} path of the API, without a query
 * @property {string} member that holds the items
 * @property {() => void} draw
 * @property {(query: Record<string, string>) => void} [onfilter] stores the filters
 * @property {Record<string, string>} [fixed] parts of the query that do not change
 */

/** @template T */
export class List {
  /** @type {T[]} */
  items = [];
  next = '';
  loaded = false;
  busy = false;
  /** @type {string | undefined} */
  error = undefined;
  /** The filters that the person chose; q is the search text. @type {Record<string, string>} */
  filters = {};
  /** The number of the newest request. Answers to older requests are dropped. */
  #turn = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer = undefined;

  /** @param {About} about */
  constructor(about) {
    this.about = about;
    this.fixed = about.fixed ?? {};
  }

  /** @param {Record<string, string>} more */
  #query(more) {
    const all = Object.entries({ ...this.filters, ...this.fixed, ...more }).filter(
      ([, value]) => value,
    );
    return new URLSearchParams(all).toString();
  }

  /**
   * Reads the first page of the list, with the filters of the address.
   * @param {URLSearchParams} query
   */
  enter(query) {
    this.filters = Object.fromEntries(query);
    return this.load();
  }

  /**
   * @param {boolean} [more] read the page after those that are shown
   * @param {Record<string, string>} [query] more parts of the query
   */
  async load(more = false, query = {}) {
    const turn = ++this.#turn;
    this.busy = true;
    try {
      const answer = await api(
        'GET',
        `${this.about.path}?${this.#query(more ? { ...query, after: this.next } : query)}`,
      );
      if (turn !== this.#turn) return;
      this.items = more ? [...this.items, ...answer[this.about.member]] : answer[this.about.member];
      this.next = answer.next ?? '';
      Object.assign(this, { error: undefined, loaded: true });
    } catch (err) {
      if (turn !== this.#turn) return;
      this.error = errorText(err);
    }
    this.busy = false;
    this.about.draw();
  }

  /** Reads the rows again, as many as are shown. */
  refresh() {
    const limit = Math.min(MOST, Math.max(this.items.length, Number(this.fixed.limit ?? 0)));
    return this.load(false, limit > 0 ? { limit: String(limit) } : {});
  }

  /** @param {string} name @param {string} value */
  filter(name, value) {
    this.filters[name] = value;
    this.about.onfilter?.(this.filters);
    return this.load();
  }

  /** @param {string} q */
  search(q) {
    this.filters.q = q;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.filter('q', q), SEARCH_AFTER);
  }

  /**
   * @param {{search?: string, empty: string, row: (item: T) => Child, more?: Child[], className?:
   *   string}} about
   * @returns {Child[]}
   */
  view({ search: label, empty, row, more = [], className = 'lines' }) {
    return [
      (label || more.length > 0) &&
        h(
          'div',
          { className: 'inline', key: 'find', role: 'search' },
          label && this.#field(label),
          ...more,
        ),
      errorLine(this.error),
      !this.loaded &&
        !this.error &&
        h('p', { className: 'hint', key: 'loading' }, t('app.loading')),
      this.loaded &&
        this.items.length === 0 &&
        h(
          'p',
          { className: 'hint', key: 'empty' },
          Object.values(this.filters).some(Boolean) ? t('op.noMatch') : empty,
        ),
      this.items.length > 0 && h('ul', { className, key: 'items' }, ...this.items.map(row)),
      this.next &&
        button(
          t('op.more'),
          () => {
            if (!this.busy) void this.load(true);
          },
          { key: 'more', 'aria-disabled': this.busy && 'true' },
        ),
    ];
  }

  /** @param {string} label */
  #field(label) {
    return field(label, {
      name: `find-${this.about.member}`,
      type: 'search',
      maxLength: 100,
      value: this.filters.q ?? '',
      oninput: (/** @type {Event} */ e) =>
        this.search(/** @type {HTMLInputElement} */ (e.target).value),
    });
  }
}

/** A count from the server, which counts only up to MOST_COUNTED. @param {number} n */
export const counted = (n) => (n >= MOST_COUNTED ? `${number(n)}+` : number(n));

/**
 * A choice that filters a list.
 * @param {List<any>} list @param {string} name of the filter @param {string} label
 * @param {[string, string][]} options value and text
 */
export const filterChoice = (list, name, label, options) =>
  choice(
    label,
    {
      id: `choice-${name}`,
      chosen: list.filters[name] ?? '',
      onchoose: (value) => void list.filter(name, value),
    },
    options,
  );

/**
 * A filter that a link has set. One click clears it.
 * @param {string} text
 * @param {() => void} clear
 */
export const chip = (text, clear) =>
  h(
    'p',
    { className: 'row chip', key: `chip ${text}` },
    h('span', { dir: 'auto' }, text),
    button('×', clear, { className: 'small', 'aria-label': `${t('op.clearFilter')}: ${text}` }),
  );

/**
 * The filter by stage of a list, if there is one.
 * @param {import('./operator.js').Console} console
 * @param {List<any>} list
 */
export const stageChip = ({ stageName }, list) =>
  list.filters.stage &&
  chip(
    t('op.ofStage', { name: stageName(list.filters.stage) }),
    () => void list.filter('stage', ''),
  );

/**
 * A row for each item, or a sentence if there are none.
 * @template T
 * @param {T[]} items
 * @param {(item: T) => Child} row
 * @param {string} none
 * @param {string} [key]
 */
export const rowsOr = (items, row, none, key = 'rows') =>
  items.length === 0
    ? h('p', { className: 'hint', key: `no ${key}` }, none)
    : h('ul', { className: 'lines', key }, ...items.map(row));
