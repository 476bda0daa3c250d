/** The page that is shown for an address that does not exist. */
import { h } from '../lib/dom.js';
import { header, href, page, prepare } from '../lib/page.js';
import { t } from '../lib/strings.js';

void prepare().then(() =>
  page(
    header(null, ''),
    h(
      'main',
      { className: 'card' },
      h('h1', null, t('lost.title')),
      h('p', null, t('lost.lead')),
      h('a', { className: 'button primary', href: href('') }, t('lost.start')),
    ),
  ),
);
