/** The start page, which links to the other pages. */
import { copyField, header, href, page } from './lib/page.js';
import { signedIn } from './lib/signin.js';
import { h } from './lib/dom.js';
import { t } from './lib/strings.js';

/** The steps of an operator in the first hour. */
const next = () =>
  h(
    'section',
    { key: 'next' },
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
        t('start.nextDock'),
        h('p', { className: 'hint' }, t('start.dockHow')),
        copyField({ key: 'dock', label: t('menu.dock'), text: href('dock') }),
      ),
      h(
        'li',
        null,
        h('a', { href: href('operator/people') }, t('start.nextInvite')),
        h('p', { className: 'hint' }, t('start.nextInviteHint')),
      ),
    ),
  );

void signedIn((me) => {
  /** @type {[string, string][]} */
  const places = [
    ['dock', 'start.dock'],
    ['watch', 'start.watch'],
    ['account', 'start.account'],
  ];
  if (me.role === 'operator') places.splice(2, 0, ['operator', 'start.operator']);
  page(
    header(me, ''),
    h(
      'main',
      { className: 'card' },
      h('h1', null, t('app')),
      h('p', null, t('start.lead')),
      me.role === 'operator' && next(),
      h(
        'ul',
        { className: 'steps' },
        ...places.map(([path, text]) => h('li', null, h('a', { href: href(path) }, t(text)))),
      ),
      ...(me.role === 'operator'
        ? []
        : [
            h('p', { className: 'hint' }, t('start.dockHow')),
            copyField({ key: 'dock', label: t('menu.dock'), text: href('dock') }),
          ]),
    ),
  );
}, '');
