/** The start page: explains how to connect OBS, and links to the other pages. */
import { api } from './lib/api.js';
import { header, href, page } from './lib/page.js';
import { connectView } from './lib/pairing.js';
import { signedIn } from './lib/signin.js';
import { h } from './lib/dom.js';
import { t } from './lib/strings.js';

/** @typedef {import('./lib/types.js').Me} Me */

/** @typedef {import('./types').SignInWays} SignInWays */

/** @param {string} path @param {string} text @param {string} hint */
const step = (path, text, hint) =>
  h('li', null, h('a', { href: href(path) }, text), h('p', { className: 'hint' }, hint));

/**
 * The steps of an operator in the first hour. Without passwords nobody is invited: people sign in
 * with the provider.
 * @param {SignInWays} ways
 */
const next = ({ passwords, provider }) =>
  h(
    'section',
    { className: 'card', key: 'next' },
    h('h2', null, t('start.next')),
    h(
      'ol',
      { className: 'steps' },
      step('dock', t('start.nextLive'), t('start.nextLiveHint')),
      provider && !passwords
        ? step('operator/rules', t('start.nextRules'), t('start.nextRulesHint', { name: provider }))
        : step('operator/people', t('start.nextInvite'), t('start.nextInviteHint')),
    ),
  );

/**
 * The card for a person who signed in with the provider while there is no operator yet.
 * @param {string} name
 */
const noOperator = (name) =>
  h(
    'section',
    { className: 'card', key: 'noOperator' },
    h('h2', null, t('start.noOperator')),
    h('p', null, t('start.noOperatorHint', { name })),
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

/** @param {Me} me */
async function ready(me) {
  /** @type {SignInWays} */
  const ways = await api('GET', 'api/sign-in').catch(() => ({ passwords: true }));
  page(
    header(me, ''),
    h(
      'main',
      { className: 'columns' },
      h('h1', null, t('app')),
      h('p', null, t('start.lead')),
      me.role === 'operator' && next(ways),
      ways.setUp && ways.provider && noOperator(ways.provider),
      connect(me),
      places(me),
    ),
  );
}

void signedIn((me) => void ready(me), '');
