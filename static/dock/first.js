/** The set-up without a click after the first pairing, and the notice that offers to undo it. */
import { h } from '../lib/dom.js';
import { firstState, step } from '../lib/first-setup.js';
import { KEYS } from '../lib/memory.js';
import { button, errorLine, errorText } from '../lib/page.js';
import { has, t } from '../lib/strings.js';

/**
 * @param {object} about
 * @param {import('../lib/pairing.js').Pairing} about.pairing
 * @param {() => Promise<boolean>} about.setUp sets OBS up; returns whether that changed OBS
 * @param {() => Promise<void>} about.undo selects the previous profile and removes Stagedoor's
 * @param {() => void} about.changed
 */
export function createFirstPart({ pairing, setUp, undo, changed }) {
  let state = firstState(pairing, localStorage.getItem(KEYS.first));
  let error = '';

  /** @param {import('../lib/first-setup.js').Fact} fact */
  async function tell(fact) {
    const before = state;
    const move = step(state, fact);
    state = move.state;
    if (move.store !== undefined) localStorage.setItem(KEYS.first, move.store);
    if (move.effect) error = '';
    if (state !== before) changed();
    if (move.effect === 'set-up') await tell({ kind: (await setUp()) ? 'done' : 'failed' });
    if (move.effect === 'undo') await tell({ kind: await undone() });
  }

  /** @returns {Promise<'done' | 'failed'>} */
  async function undone() {
    try {
      await undo();
      return 'done';
    } catch (/** @type {any} */ err) {
      error = has(err.text) ? t(err.text, err.values) : errorText(err);
      return 'failed';
    }
  }

  return {
    tell,
    /** @param {string | undefined} previous the profile to which Undo returns */
    view: (previous) =>
      previous && (state === 'told' || state === 'undoing')
        ? firstView(previous, { error, busy: state === 'undoing', tell })
        : null,
  };
}

/**
 * @param {string} previous
 * @param {{error: string, busy: boolean, tell: (fact: import('../lib/first-setup.js').Fact) =>
 *   void}} about
 */
const firstView = (previous, { error, busy, tell }) =>
  h(
    'section',
    { className: 'card notice good', key: 'first' },
    h('p', { role: 'status' }, t('first.done', { profile: previous })),
    h(
      'div',
      { className: 'row wrap' },
      button(t('first.undo'), () => tell({ kind: 'undo' }), { 'aria-disabled': busy && 'true' }),
      button(t('live.dismiss'), () => tell({ kind: 'dismissed' })),
    ),
    errorLine(error),
  );
