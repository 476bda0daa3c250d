/** A list that the server searches and pages: the page holds what was asked for, not everything. */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { button, errorLine, errorText, field } from '../lib/page.js';
import { t } from '../lib/strings.js';

/** @typedef {import('../lib/dom.js').Child} Child */

const SEARCH_AFTER = 250; // milliseconds after the last key

/**
 * @template T
 * @param {object} about
 * @param {string} about.path of the API, without a query
 * @param {string} about.member that holds the items
 * @param {(item: T) => string} about.keyOf
 * @param {() => void} about.draw
 * @param {Record<string, string>} [about.filters] more of the query
 */
export function createList({ path, member, keyOf, draw, filters = {} }) {
  const state = {
    /** @type {T[]} */ items: [],
    next: '', q: '', busy: false, loaded: false,
    /** @type {string | undefined} */ error: undefined,
    filters: { ...filters },
    /** Of the newest request: an older answer is dropped. */ turn: 0,
    timer: 0,
  };

  /** @param {string} after */
  const query = (after) => new URLSearchParams(
    Object.entries({ q: state.q, ...state.filters, after }).filter(([, value]) => value)).toString();

  /** @param {boolean} [more] the page after those that are shown */
  async function load(more = false) {
    const turn = ++state.turn;
    state.busy = true;
    try {
      const answer = await api('GET', `${path}?${query(more ? state.next : '')}`);
      if (turn !== state.turn) return;
      state.items = more ? [...state.items, ...answer[member]] : answer[member];
      state.next = answer.next ?? '';
      Object.assign(state, { error: undefined, loaded: true });
    } catch (err) {
      if (turn !== state.turn) return;
      state.error = errorText(err);
    }
    state.busy = false;
    draw();
  }

  /** @param {string} q */
  function search(q) {
    state.q = q;
    clearTimeout(state.timer);
    state.timer = setTimeout(() => void load(), SEARCH_AFTER);
  }

  return {
    state, load, search,
    /** @param {string} name @param {string} value */
    filter(name, value) {
      state.filters[name] = value;
      void load();
    },
    /** @param {string} id @param {Partial<T>} change */
    change(id, change) {
      const item = state.items.find((each) => keyOf(each) === id);
      if (item) Object.assign(item, change);
    },
    /**
     * @param {{search?: string, empty: string, row: (item: T) => Child, more?: Child[]}} about
     * @returns {Child[]}
     */
    view: ({ search: label, empty, row, more = [] }) => [
      h('div', { className: 'inline', key: 'find' },
        label && field(label, { name: `find-${member}`, type: 'search', maxLength: 100, oninput: (/** @type {Event} */ e) => search(/** @type {HTMLInputElement} */ (e.target).value) }),
        ...more),
      errorLine(state.error),
      !state.loaded && !state.error && h('p', { className: 'hint', key: 'loading' }, t('app.loading')),
      state.loaded && state.items.length === 0 && h('p', { className: 'hint', key: 'empty' }, empty),
      h('ul', { className: 'list', key: 'items' }, ...state.items.map(row)),
      state.next && button(t('op.more'), () => { if (!state.busy) void load(true); }, { key: 'more', 'aria-disabled': state.busy && 'true' }),
    ],
  };
}

/**
 * A choice among few.
 * @param {string} label @param {string} name @param {[string, string][]} options value and text
 * @param {string} value @param {(value: string) => void} onchange
 */
export const choice = (label, name, options, value, onchange) => h('div', { className: 'field', key: name },
  h('label', { for: `choice-${name}` }, label),
  h('select', { id: `choice-${name}`, onchange: (/** @type {Event} */ e) => onchange(/** @type {HTMLSelectElement} */ (e.target).value) },
    ...options.map(([each, text]) => h('option', { value: each, key: each, selected: each === value }, text))));
