/** The summary after a broadcast: its duration and its quality. */
import { h } from '../lib/dom.js';
import { mbits, percent } from '../lib/numbers.js';
import { button } from '../lib/page.js';
import { number, span, t } from '../lib/strings.js';
import { stains } from '../lib/tally.js';

/** @param {import('../lib/tally.js').Summary | null} summary @param {() => void} dismiss */
export function afterView(summary, dismiss) {
  if (!summary) return null;
  const bad = stains(summary);
  const share = (/** @type {number} */ of) =>
    t('numbers.percent', { percent: number(percent(of)) });
  /** @type {[string, string][]} */
  const rows = [
    ['after.time', span(summary.seconds)],
    ['after.reconnects', String(summary.reconnects)],
    ...(summary.bitrate > 0
      ? /** @type {[string, string][]} */ ([
          ['after.sent', t('numbers.mbits', { mbits: number(mbits(summary.bitrate)) })],
          ['after.loss', share(summary.loss)],
          ['numbers.encoder', share(summary.encoderLag)],
          ['numbers.render', share(summary.renderLag)],
        ])
      : []),
  ];
  return h(
    'section',
    { className: 'card after', key: 'after', 'aria-labelledby': 'after-title' },
    h('h2', { id: 'after-title' }, t('after.title')),
    (bad.length > 0 || !summary.failed) &&
      h(
        'p',
        { role: 'status', className: bad.length > 0 ? 'warning' : 'notice good' },
        t(bad.length > 0 ? `after.stain.${bad[0]}` : 'after.good'),
      ),
    h(
      'dl',
      { className: 'numbers' },
      ...rows.flatMap(([name, value]) => [
        h('dt', { key: name }, t(name)),
        h('dd', { key: `${name}=` }, value),
      ]),
    ),
    button(t('live.dismiss'), dismiss, { key: 'dismiss', className: 'small' }),
  );
}
