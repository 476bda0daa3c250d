/** The pictures that a browser source shows, and their arrangement. Pure. */
import { viewOf } from '../lib/stage/view.js';

/** @typedef {import('../lib/stage/client.js').Participant} Participant */

/**
 * How many milliseconds a participant keeps the spotlight at least, so that a short sound does not
 * switch it.
 */
const HOLD = 1_500;
/** The level above which a participant counts as speaking. It is louder than background noise. */
const SPEAKING = 0.35;

/** @param {string} view @returns {'grid' | 'spotlight' | 'person'} */
export const kindOf = (view) => (view === 'grid' || view === 'spotlight' ? view : 'person');

/**
 * The participants that a view receives. The view of one person receives that person's newest
 * broadcast; the other views receive every publisher.
 * @param {string} view @param {Participant[]} list in the order in which they joined
 * @returns {Participant[]}
 */
export function cast(view, list) {
  const publishing = list.filter((p) => p.publishing);
  return kindOf(view) === 'person'
    ? publishing.filter((p) => viewOf(p) === view).slice(-1)
    : publishing;
}

/**
 * The number of columns with which the pictures are largest in a frame of that size. Of two numbers
 * that are equally good, it is the larger one.
 * @param {number} n
 * @param {number} width
 * @param {number} height
 */
export function columns(n, width, height) {
  let best = 1;
  let largest = 0;
  for (let c = 1; c <= n; c++) {
    const size = Math.min(width / c / 16, height / Math.ceil(n / c) / 9);
    if (size >= largest) {
      largest = size;
      best = c;
    }
  }
  return best;
}

/**
 * Finds the active speaker: the loudest participant. A speaker keeps the spotlight for at least
 * HOLD, unless the speaker leaves.
 */
export function createSpotlight() {
  let shown = '';
  let since = -Infinity;
  return {
    /**
     * @param {Map<string, number>} levels the level of each participant who can be shown
     * @param {number} now
     * @returns {string}
     */
    next(levels, now) {
      const [loudest = '', level = 0] = [...levels].sort((a, b) => b[1] - a[1])[0] ?? [];
      const gone = !levels.has(shown);
      const louder =
        level > SPEAKING && level > (levels.get(shown) ?? 0) + 0.05 && now - since > HOLD;
      if (loudest !== shown && (gone || louder)) {
        shown = loudest;
        since = now;
      }
      if (levels.size === 0) shown = '';
      return shown;
    },
  };
}
