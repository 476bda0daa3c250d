/** How a list shows an issued token. */
import { h } from '../lib/dom.js';
import { button } from '../lib/page.js';
import { t, time } from '../lib/strings.js';

/**
 * A token as the lists show it.
 * @param {import('../lib/types.js').Issued} token @param {string} stage @param {string} who @param {(id: string) => void} revoke
 */
export function tokenItem(token, stage, who, revoke) {
  const over = Date.parse(token.expiresAt) <= Date.now();
  return h('li', { className: 'item', key: token.participantId },
    h('div', { className: 'head' }, who && h('b', null, who), h('span', null, stage), h('span', { className: 'hint' }, time(token.issuedAt)),
      h('span', { className: 'tag' }, token.revokedAt ? t('op.revoked') : over ? t('op.expired') : t('op.until', { time: time(token.expiresAt) }))),
    !token.revokedAt && !over && button(t('op.revoke'), () => revoke(token.participantId), { className: 'small' }));
}
