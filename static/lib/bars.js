/** The text on a page for a person who is barred from a stage. */
import { h } from './dom.js';
import { NO_REASON, t, time } from './strings.js';

/** @typedef {import('../types').MyBar} Bar */

/** The reason for a bar as a sentence; '' if there is none. @param {string} reason */
export const reasonText = (reason) => (!NO_REASON.test(reason) ? t('bars.reason', { reason }) : '');

/** @param {Bar} bar */
export const barText = ({ name, since, reason }) =>
  `${t('bars.from', { stage: name, time: time(since) })} ${reasonText(reason)}`.trim();

/** @param {Bar[] | undefined} bars */
export function barsView(bars) {
  if (!bars?.length) return null;
  return h(
    'div',
    { className: 'notice warning', role: 'status', key: 'bars' },
    ...bars.map((bar) => h('p', { key: bar.arn, dir: 'auto' }, barText(bar))),
    h('p', { key: 'ends' }, t('bars.ends')),
  );
}
