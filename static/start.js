/** The address that people type: leads on. */
import { copyField, header, href, page, signOut } from './lib/page.js';
import { signedIn } from './lib/signin.js';
import { h } from './lib/dom.js';
import { t } from './lib/strings.js';

void signedIn((me) => {
  /** @type {[string, string][]} */
  const places = [['dock', 'start.dock'], ['watch', 'start.watch'], ['account', 'start.account']];
  if (me.role === 'operator') places.splice(2, 0, ['operator', 'start.operator']);
  page(header(me, '', { onSignOut: signOut }), h('main', { className: 'card' },
    h('h1', null, t('app')),
    h('p', null, t('start.lead')),
    h('ul', { className: 'steps' }, ...places.map(([path, text]) => h('li', null, h('a', { href: href(path) }, t(text))))),
    h('p', { className: 'hint' }, t('start.dockHow')),
    copyField({ key: 'dock', label: t('menu.dock'), text: href('dock') })));
}, '');
