/**
 * The notice that the script that paired this dock does not answer: the person removed it, or chose
 * another scene collection. Removing a script undoes nothing, because OBS may crash when a script
 * writes files then. So the notice undoes what a page can undo, and names the rest.
 */
import { h } from '../lib/dom.js';
import { KEYS } from '../lib/memory.js';
import { backToMyProfile } from '../lib/obs-setup.js';
import { button, errorLine, errorText, href, withFlags } from '../lib/page.js';
import { has, t } from '../lib/strings.js';

/** The command that undoes the pairing with the server of this dock. */
const command = () => {
  const server = localStorage.getItem(KEYS.scriptServer) || href('').replace(/\/$/, '');
  return `stagedoor obs pair --undo --server ${server}`;
};

/** What it means that the script is gone, and what the person can do. */
export const goneText = () => t('gone', { command: command() });

/**
 * @param {object} about
 * @param {import('../lib/obs.js').ObsCaller} about.obs
 * @param {() => void} about.changed
 */
export function createGonePart({ obs, changed }) {
  // back: the profile that is selected since the person pressed the button, or ''
  const seen = localStorage.getItem(KEYS.gone) !== null;
  const state = { seen, busy: false, error: '', back: '' };
  /** @param {Partial<typeof state>} change */
  const set = (change) => {
    Object.assign(state, change);
    changed();
  };

  async function takeBack() {
    if (state.busy) return;
    set({ busy: true, error: '' });
    try {
      state.back = await backToMyProfile(obs, { blank: true });
    } catch (/** @type {any} */ err) {
      state.error = has(err.text) ? t(err.text, err.values) : errorText(err);
    }
    set({ busy: false });
  }

  function dismiss() {
    localStorage.setItem(KEYS.gone, 'seen');
    set({ seen: true });
  }

  return {
    isBusy: () => state.busy,
    isBack: () => state.back !== '',
    /** Called when Stagedoor's profile is selected again. */
    forget: () => void (state.back = ''),
    /** @param {string | undefined} previous the profile to which the button leads */
    view: (previous) => (state.seen ? null : goneView({ ...state, previous, takeBack, dismiss })),
  };
}

/**
 * @param {{back: string, error: string, busy: boolean, previous: string | undefined,
 *   takeBack: () => void, dismiss: () => void}} about
 */
const goneView = ({ back, error, busy, previous, takeBack, dismiss }) =>
  h(
    'section',
    { className: 'card notice warning', key: 'gone' },
    h(
      'p',
      { role: 'status' },
      withFlags(back ? t('gone.done', { profile: back, command: command() }) : goneText()),
    ),
    previous &&
      !back &&
      button(t('gone.back', { profile: previous }), takeBack, {
        className: 'wide',
        'aria-disabled': busy && 'true',
      }),
    errorLine(error),
    h('div', { className: 'row' }, button(t('live.dismiss'), dismiss)),
  );
