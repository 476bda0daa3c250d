/** Bars: the list on the page Live, and the sentence about one bar. */
import { escapeArn } from '../lib/api.js';
import { reasonText } from '../lib/bars.js';
import { h } from '../lib/dom.js';
import { button } from '../lib/page.js';
import { t, time } from '../lib/strings.js';
import { List } from './list.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../types').V1Bar} Bar */

/**
 * The sentence about a bar: since when, by whom and why.
 * @param {{since: string, by?: string, reason?: string}} bar
 */
export const barNote = ({ since, by, reason = '' }) =>
  [
    by
      ? t('op.barredBy', { time: time(since), name: by })
      : t('op.barredSince', { time: time(since) }),
    reasonText(reason),
  ]
    .filter(Boolean)
    .join(' ');

/**
 * A button that ends a bar.
 * @param {Console} console
 * @param {{user: {id: string, name: string}, stage: string, where: string}} about where: the place
 *   for an error
 */
export const unbarButton = ({ act, stageName }, { user, stage, where }) =>
  button(
    t('op.unbar'),
    () =>
      void act(
        'DELETE',
        `api/v1/users/${encodeURIComponent(user.id)}/grants/${escapeArn(stage)}/bar`,
        undefined,
        { where, done: t('op.done.unbarred', { name: user.name, stage: stageName(stage) }) },
      ),
    {
      className: 'small',
      key: 'unbar',
      'aria-label': `${t('op.unbar')}: ${user.name}, ${stageName(stage)}`,
    },
  );

export class Bars {
  /** @param {Console} console */
  constructor(console) {
    this.console = console;
    this.list = new List({
      path: 'api/v1/bars',
      member: 'bars',
      draw: console.draw,
      fixed: { limit: '20' },
    });
  }

  card() {
    return h(
      'section',
      { className: 'card', key: 'bars' },
      h('h2', null, t('op.bars')),
      this.console.errorAt('bars'),
      ...this.list.view({ empty: t('op.noBars'), row: (bar) => this.row(bar) }),
    );
  }

  /** @param {Bar} bar */
  row(bar) {
    const { link, stageName, state } = this.console;
    const { user, stage } = bar;
    const operator = state.me?.role === 'operator';
    return h(
      'li',
      { key: `${user.id} ${stage}` },
      h(
        'b',
        { dir: 'auto', className: 'main' },
        operator ? link('person', { id: user.id }, user.name) : user.name,
      ),
      h('span', { dir: 'auto', className: 'side' }, stageName(stage)),
      unbarButton(this.console, { user, stage, where: 'bars' }),
      h('span', { dir: 'auto', className: 'hint rest' }, barNote(bar)),
    );
  }
}
