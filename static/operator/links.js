/** Invite links on the console. A link that was used or has expired disappears. */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { copyField } from '../lib/page.js';
import { t, time } from '../lib/strings.js';

/**
 * @typedef {{id: string, name: string, invite: string, inviteExpiresAt: string, seen?: string}}
 *   Link - seen: the user's `lastSeenAt` when the link was created
 */

const LOOK_EVERY = 5_000;
const AT_ONCE = 3; // users per round, so that hundreds of links cause few requests

/**
 * Whether a link was used or has expired. Using a link signs its user in, which changes lastSeenAt.
 * @param {Link} link
 */
async function isOver({ id, inviteExpiresAt, seen }) {
  if (Date.parse(inviteExpiresAt) <= Date.now()) return true;
  try {
    const user = await api('GET', `api/v1/users/${encodeURIComponent(id)}`);
    return user.lastSeenAt !== seen;
  } catch (/** @type {any} */ err) {
    return err.status === 404; // the user was removed
  }
}

/**
 * Checks links while the page is visible.
 * @param {() => Link[]} links returns the shown links @param {(link: Link) => void} forget
 * @returns {() => void} call it when there are new links
 */
export function watchLinks(links, forget) {
  let timer = 0;
  let turn = 0;

  async function look() {
    const shown = document.hidden ? [] : links();
    for (let i = 0; i < Math.min(AT_ONCE, shown.length); i++) {
      const link = shown[turn++ % shown.length];
      if ((await isOver(link)) && links().includes(link)) forget(link);
    }
    again();
  }

  function again() {
    clearTimeout(timer);
    if (links().length > 0) timer = setTimeout(() => void look(), LOOK_EVERY);
  }

  return again;
}

/** A link to copy, and its expiry. @param {Link} link */
export const linkView = ({ name, invite, inviteExpiresAt }) =>
  h(
    'div',
    { key: `link-${name}` },
    h('p', null, t('op.inviteLink', { name, time: time(inviteExpiresAt) })),
    copyField({ key: `invite-${name}`, label: t('op.invite'), text: invite }),
  );
