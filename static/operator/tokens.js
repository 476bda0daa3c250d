/** How a list shows an issued token. */
import { h } from '../lib/dom.js';
import { button } from '../lib/page.js';
import { t, time } from '../lib/strings.js';

/** @typedef {(key: string, label: string, question: string, about: string, yes: () => void) => import('../lib/dom.js').Child} Asking a button that asks first */

/**
 * A token as the lists show it.
 * @param {import('../lib/types.js').Issued} token @param {string} stage @param {string} who @param {(id: string) => void} revoke
 * @param {{live?: boolean, asking?: Asking}} [more] whether it is live now, and how to ask before a live one is revoked
 */
export function tokenItem(token, stage, who, revoke, { live = false, asking } = {}) {
  const { participantId: id } = token;
  const over = Date.parse(token.expiresAt) <= Date.now();
  const may = token.capabilities.map((c) => t(`op.${c}`)).join(', ');
  const yes = () => revoke(id);
  return h('li', { className: 'item', key: id, 'data-participant': id },
    h('div', { className: 'head' }, who && h('b', { dir: 'auto' }, who), h('b', { dir: 'auto' }, stage), h('span', { className: 'tag' }, may),
      live && h('span', { className: 'tag live' }, t('op.liveNow')),
      h('span', { className: 'hint' }, token.revokedAt ? t('op.revoked') : over ? t('op.expired') : t('op.until', { time: time(token.expiresAt) }))),
    h('p', { className: 'hint' }, t('op.issuedTo', { time: time(token.issuedAt), address: token.address })),
    !token.revokedAt && !over && (live && asking
      ? asking(`token ${id}`, t('op.revoke'), t('op.sureRevoke'), stage, yes)
      : button(t('op.revoke'), yes, { className: 'small', 'aria-label': `${t('op.revoke')}: ${stage}, ${may}, ${time(token.issuedAt)}` })));
}
