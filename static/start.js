/** The start page: it first explains how to connect OBS, and links to the other pages. */
import { header, href, page } from './lib/page.js';
import { connectView } from './lib/pairing.js';
import { signedIn } from './lib/signin.js';
import { h } from './lib/dom.js';
import { t } from './lib/strings.js';

/** @typedef {import('./lib/types.js').Me} Me */

/** The steps of an operator in the first hour. */
const next = () =>
  h(
    'section',
    { className: 'card', key: 'next' },
    h('h2', null, t('start.next')),
    h(
      'ol',
      { className: 'steps' },
      h(
        'li',
        null,
        h('a', { href: href('dock') }, t('start.nextLive')),
        h('p', { className: 'hint' }, t('start.nextLiveHint')),
      ),
      h(
        'li',
        null,
        h('a', { href: href('operator/people') }, t('start.nextInvite')),
        h('p', { className: 'hint' }, t('start.nextInviteHint')),
      ),
    ),
  );

/** The script for OBS in two steps, and the manual steps below. @param {Me} me */
const connect = (me) =>
  h(
    'section',
    { className: 'card', key: 'obs' },
    h('h2', null, t('start.nextDock')),
    ...connectView(me),
  );

/** @param {Me} me */
function places(me) {
  /** @type {[string, string][]} */
  const list = [
    ['dock', 'start.dock'],
    ['watch', 'start.watch'],
    ['account', 'start.account'],
  ];
  if (me.role === 'operator') list.splice(2, 0, ['operator', 'start.operator']);
  if (me.role === 'moderator') list.splice(0, 0, ['operator/live', 'start.moderate']);
  return h(
    'section',
    { className: 'card', key: 'places' },
    h(
      'ul',
      { className: 'steps' },
      ...list.map(([path, text]) => h('li', null, h('a', { href: href(path) }, t(text)))),
    ),
  );
}

void signedIn((me) => {
  page(
    header(me, ''),
    h(
      'main',
      { className: 'columns' },
      h('h1', null, t('app')),
      h('p', null, t('start.lead')),
      me.role === 'operator' && next(),
      connect(me),
      places(me),
    ),
  );
}, '');
