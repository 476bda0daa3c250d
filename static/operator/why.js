/** The reasons of refusals and of ended sessions, in sentences about the participant. */
import { BARRED, has, NO_REASON, recognized, serverSaid, t } from '../lib/strings.js';

/**
 * @typedef {{code?: string, detail?: string, by?: {name: string}, barred?: boolean}} Event
 */

/**
 * Why a participant was refused or disconnected, in words for operators and moderators. The
 * server's own sentences speak to the participant.
 * @param {Event} event
 */
export function why({ code = '', detail = '', by, barred }) {
  const reason = detail.replace(BARRED, '');
  const kind = kindOf(code, by, barred);
  const key = `op.why.${kind}${NO_REASON.test(reason) && has(`op.why.${kind}.plain`) ? '.plain' : ''}`;
  if (!has(key)) return serverSaid(code, detail || code);
  return t(key, { detail: recognized('reason', reason), name: by?.name ?? '' });
}

/** @param {string} code @param {Event['by']} by @param {boolean} [barred] */
function kindOf(code, by, barred) {
  if (code !== 'kicked' || !by) return code;
  return barred ? 'kickedAndBarred.by' : 'kicked.by';
}
