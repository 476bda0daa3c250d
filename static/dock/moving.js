/** The notice "This server has moved". One click makes OBS open the dock at the new address. */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { addressOf, isMoving, moved, moveOf } from '../lib/moving.js';
import { button, errorLine, errorText } from '../lib/page.js';
import { t } from '../lib/strings.js';

/**
 * @param {object} about
 * @param {import('../lib/obs.js').ObsCaller} about.obs
 * @param {import('../lib/obs-script.js').Script} about.script
 * @param {() => string | undefined} about.publicUrl the server's public URL, if it was set
 * @param {() => void} about.changed
 * @param {(notice: string) => void} about.note
 */
export function createMovePart({ obs, script, publicUrl, changed, note }) {
  const state = { busy: false, error: '' };

  /** @param {() => Promise<void>} work */
  async function busy(work) {
    if (state.busy) return;
    Object.assign(state, { busy: true, error: '' });
    changed();
    try {
      await work();
    } catch (err) {
      state.error = errorText(err);
    }
    state.busy = false;
    changed();
  }

  /** @param {import('../lib/moving.js').Move} move */
  async function go(move) {
    const { code } = await api('POST', 'api/enrolments');
    location.replace(addressOf(move, code));
  }

  /**
   * Asks the script to open this address at each start of OBS.
   * @param {import('../lib/moving.js').Move} move
   */
  async function keep({ to }) {
    const done = (await script.move(obs, to)) === 'done';
    moved(done ? to : '');
    if (done) note(t('move.done', { address: to }));
    else state.error = t('move.noScript', { address: to });
  }

  return {
    /**
     * Called when OBS is connected: if the person clicked at the old address, reports the move to
     * the script.
     */
    async connected() {
      const move = moveOf(publicUrl());
      if (move?.arrived && isMoving()) await busy(() => keep(move));
    },
    /** @param {boolean} ready OBS is connected */
    view(ready) {
      const move = moveOf(publicUrl());
      if (!move || (move.arrived && !ready)) return null;
      const work = () => busy(() => (move.arrived ? keep(move) : go(move)));
      return moveView(move, { ...state, work });
    },
  };
}

/**
 * @param {import('../lib/moving.js').Move} move
 * @param {{busy: boolean, error: string, work: () => void}} about
 */
function moveView({ from, to, arrived, able }, { busy, error, work }) {
  const words = arrived ? 'move.arrived' : able ? 'move.away' : 'move.oldScript';
  return h(
    'section',
    { className: 'card notice warning', key: 'move' },
    h('p', null, t(words, { from, address: to })),
    able &&
      button(t(arrived ? 'move.keep' : 'move.go', { address: to }), work, {
        className: 'primary wide',
        'aria-disabled': busy && 'true',
      }),
    errorLine(error),
  );
}
