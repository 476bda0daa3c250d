/** What a page says to a person who may not enter a stage at present. */
import { h } from './dom.js';
import { t, time } from './strings.js';

/** @typedef {import('../types').MyBar} Bar */

/** The reason that the server stores if a moderator gave none. */
const NO_REASON = 'Removed by the operator.';

/** @param {Bar} bar */
export function barText({ name, since, reason }) {
  const text = t('bars.from', { stage: name, time: time(since) });
  return reason === NO_REASON ? text : `${text} ${t('bars.reason', { reason })}`;
}

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
