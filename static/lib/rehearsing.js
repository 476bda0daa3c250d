/**
 * Undoes an interrupted rehearsal, which it recognizes by the token in OBS. A page may be closed
 * during a rehearsal, and the token must not stay in OBS. The module is small, since every dock
 * loads it.
 */
import { claims } from './claims.js';
import { readService } from './obs-read.js';

/** The storage key of the rehearsal that this page began, for the time after a reload. */
const KEY = 'stagedoor.rehearsing';

/** Milliseconds to wait until OBS has stopped, and between two checks. */
const PATIENCE = 5_000;
const LOOK = 100;

/**
 * The participant and the expiry of a rehearsal's token, or null for any other token. These claims
 * are not verified. They are used only to clean up.
 * @param {unknown} token
 */
export function rehearsalOf(token) {
  try {
    const { topic, jti, exp } = claims(String(token));
    return /^rehearsal-/.test(topic) ? { participantId: jti, endsAt: exp * 1000 } : null;
  } catch {
    return null; // the text is not a readable token
  }
}

/** @param {string} participantId */
export const markRehearsal = (participantId) => sessionStorage.setItem(KEY, participantId);
export const forgetRehearsal = () => sessionStorage.removeItem(KEY);

/**
 * Removes a rehearsal's token from OBS. A rehearsal that may still be running in another dock is
 * not touched until its token has expired.
 * @param {import('./obs.js').ObsCaller} obs
 * @param {Record<string, any> | null} earlier the service before the rehearsal, if this page knows
 *   it
 * @returns {Promise<boolean>} whether there was something to do
 */
export async function mend(obs, earlier, { now = Date.now, storage = sessionStorage } = {}) {
  const { type, settings } = await readService(obs);
  const found = type === 'whip_custom' ? rehearsalOf(settings.bearer_token) : null;
  if (!found) return false;
  if (await isActive(obs)) {
    if (found.participantId !== storage.getItem(KEY) && found.endsAt > now()) return false;
    await obs.call('StopStream').catch(() => {}); // the stream may have ended by itself
    for (let waited = 0; await isActive(obs); waited += LOOK) {
      if (waited >= PATIENCE) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }
  await giveBack(obs, earlier ?? { bearer_token: '' });
  storage.removeItem(KEY);
  return true;
}

/** @param {import('./obs.js').ObsCaller} obs @param {Record<string, any>} settings */
export const giveBack = (obs, settings) =>
  obs.call('SetStreamServiceSettings', {
    streamServiceType: 'whip_custom',
    streamServiceSettings: { ...settings, bearer_token: settings.bearer_token ?? '' },
  });

/** @param {import('./obs.js').ObsCaller} obs */
const isActive = async (obs) => Boolean((await obs.call('GetStreamStatus')).outputActive);
