/**
 * A choice of one stage among all stages. The server searches the stages, since there may be
 * thousands.
 */
import { choice } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { errorLine, field } from '../lib/page.js';
import { t } from '../lib/strings.js';
import { List } from './list.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../lib/choices.js').Option} Option */

const OFFERED = 50; // stages

export class StageChoice {
  /** The value of the chosen option, which stays an option during a search. */
  chosen = '';

  /**
   * @param {Console} console
   * @param {{changed?: () => void, without?: (arn: string) => boolean}} [about] changed: called
   *   after another choice; without: whether to omit a stage
   */
  constructor(console, { changed = () => {}, without = () => false } = {}) {
    this.console = console;
    this.changed = changed;
    this.without = without;
    this.list = new List({
      path: 'api/v1/stages',
      member: 'stages',
      draw: () => this.found(),
      fixed: { limit: String(OFFERED) },
    });
  }

  /** Reads the first stages, and forgets the search and the choice. */
  enter() {
    this.chosen = '';
    return this.list.enter(new URLSearchParams());
  }

  offered() {
    return this.list.items.filter((s) => !this.without(s.arn));
  }

  /** Chooses the first stage that a search has found. */
  found() {
    const first = this.list.filters.q && this.offered()[0];
    if (first) this.choose(first.arn);
    this.console.draw();
  }

  /** @param {string} value */
  choose(value) {
    if (value === this.chosen) return;
    this.chosen = value;
    this.changed();
  }

  /**
   * The choice, with a search if there are more stages than it offers.
   * @param {{id: string, name: string, first?: Option[]}} about the options before the stages
   */
  view({ id, name, first = [] }) {
    const { filters, next, error, loaded } = this.list;
    const options = [...first, ...this.#stages(first)];
    const none = loaded && this.offered().length === 0;
    return [
      (next || filters.q) && this.#search(`${id}-find`),
      choice(
        t('live.stage'),
        {
          id,
          name,
          required: first.length === 0,
          chosen: this.chosen,
          onchoose: (value) => {
            this.choose(value);
            this.console.draw();
          },
        },
        options,
      ),
      errorLine(error),
      none &&
        h(
          'p',
          { className: 'hint', key: `${id}-none` },
          t(filters.q ? 'op.noStages' : 'op.noFreeStage'),
        ),
    ];
  }

  /** @param {Option[]} first @returns {Option[]} */
  #stages(first) {
    const { chosen } = this;
    const offered = this.offered();
    const known =
      !chosen || [...first.map(([value]) => value), ...offered.map((s) => s.arn)].includes(chosen);
    return [
      ...offered.map(({ arn, name }) => /** @type {Option} */ ([arn, name])),
      ...(known ? [] : [/** @type {Option} */ ([chosen, this.console.stageName(chosen)])]),
    ];
  }

  /** @param {string} id */
  #search(id) {
    return field(t('op.searchStages'), {
      id,
      type: 'search',
      maxLength: 100,
      value: this.list.filters.q ?? '',
      oninput: (/** @type {Event} */ e) =>
        this.list.search(/** @type {HTMLInputElement} */ (e.target).value),
      onkeydown: (/** @type {KeyboardEvent} */ e) => {
        if (e.key === 'Enter') e.preventDefault(); // the Enter key would send the form
      },
    });
  }
}
