/** The console's tokens, which can be filtered by person, stage and state. */
import { h } from '../lib/dom.js';
import { button } from '../lib/page.js';
import { t, time } from '../lib/strings.js';
import { chip, filterChoice, List, stageChip } from './list.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../types').V1Token} Token */

/**
 * @typedef {(key: string, label: string, question: string, about: string, yes: () => void) =>
 *   import('../lib/dom.js').Child} Asking - a button that asks for confirmation
 */

/**
 * An item for a token in a list.
 * @param {import('../lib/types.js').Issued} token
 * @param {string} stage
 * @param {string} who
 * @param {(id: string) => void} revoke
 * @param {{live?: boolean, asking?: Asking}} [more] whether the token is live now, and the function
 *   that asks before a live token is revoked
 */
export function tokenItem(token, stage, who, revoke, { live = false, asking } = {}) {
  const { participantId: id } = token;
  const over = Date.parse(token.expiresAt) <= Date.now();
  const may = token.capabilities.map((c) => t(`op.${c}`)).join(', ');
  const yes = () => revoke(id);
  return h(
    'li',
    { className: 'item', key: id, 'data-participant': id },
    h(
      'div',
      { className: 'head' },
      who && h('b', { dir: 'auto' }, who),
      h('b', { dir: 'auto' }, stage),
      h('span', { className: 'tag' }, may),
      live && h('span', { className: 'tag live' }, t('op.liveNow')),
      h(
        'span',
        { className: 'hint' },
        token.revokedAt
          ? t('op.revoked')
          : over
            ? t('op.expired')
            : t('op.until', { time: time(token.expiresAt) }),
      ),
    ),
    h(
      'p',
      { className: 'hint' },
      t('op.issuedTo', { time: time(token.issuedAt), address: token.address }),
    ),
    !token.revokedAt &&
      !over &&
      (live && asking
        ? asking(`token ${id}`, t('op.revoke'), t('op.sureRevoke'), stage, yes)
        : button(t('op.revoke'), yes, {
            className: 'small',
            'aria-label': `${t('op.revoke')}: ${stage}, ${may}, ${time(token.issuedAt)}`,
          })),
  );
}

/**
 * @param {Console} console
 * @param {Token} k
 * @param {boolean} [named] whether the row names the user
 */
export function tokenRow({ link, stageName, asking, act, state: { present } }, k, named = true) {
  const live = present
    .get(k.stage)
    ?.some((p) => p.publishing && p.participantId === k.participantId);
  const path = `api/v1/tokens/${encodeURIComponent(k.participantId)}`;
  const state = {
    active: t('op.until', { time: time(k.expiresAt) }),
    expired: t('op.expired'),
    revoked: t('op.revoked'),
  }[k.state];
  return h(
    'li',
    { key: k.participantId },
    named &&
      h('b', { dir: 'auto', className: 'main' }, link('person', { id: k.user.id }, k.user.name)),
    h(
      'span',
      { dir: 'auto', className: named ? 'side' : 'main', key: 'stage' },
      link('tokens', { stage: k.stage }, stageName(k.stage)),
    ),
    live && h('span', { className: 'tag live', key: 'live' }, t('op.liveNow')),
    h('span', { className: 'hint' }, time(k.issuedAt)),
    h('span', { className: k.state === 'active' ? 'tag good' : 'tag' }, state),
    k.state === 'active' &&
      asking(
        `token ${k.participantId}`,
        t('op.revoke'),
        t(live ? 'op.sureRevoke' : 'op.sureToken'),
        `${k.user.name}, ${time(k.issuedAt)}`,
        () =>
          void act('DELETE', path, undefined, {
            done: t('op.done.tokenRevoked', { name: k.user.name, stage: stageName(k.stage) }),
          }),
      ),
    h(
      'span',
      { className: 'hint rest' },
      [
        k.capabilities.map((c) => t(`op.${c}`)).join(', '),
        signedBy(k.issuedBy),
        k.address,
        k.participantId,
      ]
        .filter(Boolean)
        .join(' · '),
    ),
  );
}

/** The key or the API that signed a token, in the language of the page. @param {string} by */
function signedBy(by) {
  if (by === 'local key') return t('op.by.local');
  if (by === 'AWS API') return t('op.by.aws');
  const own = /^own key (.*)$/.exec(by);
  return own ? t('op.by.own', { key: own[1] }) : by;
}

/** @param {Console} console @returns {import('./operator.js').Page} */
export function createTokens(console) {
  const list = new List({
    path: 'api/v1/tokens',
    member: 'tokens',
    draw: console.draw,
    onfilter: console.filterBy,
  });
  return {
    load: (query) => list.enter(query),
    view: () =>
      h(
        'section',
        { className: 'card', key: 'tokens' },
        h('h1', null, t('op.tokens')),
        list.filters.user &&
          chip(
            t('op.ofUser', { name: list.items[0]?.user.name ?? list.filters.user }),
            () => void list.filter('user', ''),
          ),
        stageChip(console, list),
        ...list.view({
          search: t('op.searchTokens'),
          empty: t('op.noTokens'),
          row: (k) => tokenRow(console, k),
          more: [
            filterChoice(list, 'state', t('op.tokenState'), [
              ['', t('op.anyState')],
              ['active', t('op.active')],
              ['expired', t('op.expired')],
              ['revoked', t('op.revoked')],
            ]),
          ],
        }),
      ),
  };
}
