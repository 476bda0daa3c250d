/**
 * Lets a paired dock follow a server that has a new public URL. The dock opens the new address with
 * the values that the script in OBS gave it. The dock at the new address asks the script to open
 * that address from then on (docs/decisions/0203).
 */
import { KEYS } from './memory.js';

/**
 * @typedef {object} Move
 * @property {string} from the address that the script in OBS opens
 * @property {string} to the address of the server
 * @property {boolean} arrived this page is at the new address
 * @property {boolean} able the script supports moves; an older script has to be downloaded again
 */

/**
 * An origin that the script accepts: https, or this computer. '' for any other text.
 * @param {string} text
 */
export function originOf(text) {
  try {
    const { origin, protocol, hostname } = new URL(text);
    const own = /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(hostname);
    return protocol === 'https:' || (protocol === 'http:' && own) ? origin : '';
  } catch {
    return '';
  }
}

/**
 * The move of the server from the address that the script in OBS opens. Null if the server has no
 * other address, if no script has paired this page, or if the operator has set no address.
 * @param {string | undefined} publicUrl
 * @param {Pick<Storage, 'getItem'>} [storage]
 * @param {string} [here]
 * @returns {Move | null}
 */
export function moveOf(publicUrl, storage = localStorage, here = location.origin) {
  const told = originOf(storage.getItem(KEYS.scriptServer) ?? '');
  const to = originOf(publicUrl ?? '');
  const from = told || originOf(here);
  if (!storage.getItem(KEYS.secret) || !to || !from || from === to) return null;
  return { from, to, arrived: to === here, able: told !== '' };
}

/**
 * The address of the dock at the new server, with the values that the script would hand over and a
 * code that signs the dock in. The secrets are in the fragment, which browsers do not send to
 * servers.
 * @param {Move} move
 * @param {string} code
 * @param {Pick<Storage, 'getItem'>} [storage]
 */
export function addressOf({ from, to }, code, storage = localStorage) {
  const values = new URLSearchParams({
    'obs-port': /:(\d+)$/.exec(storage.getItem(KEYS.address) ?? '')?.[1] ?? '4455',
    'obs-password': storage.getItem(KEYS.password) ?? '',
    'obs-secret': storage.getItem(KEYS.secret) ?? '',
    'obs-encoders': storage.getItem(KEYS.encoders) ?? '',
    'obs-server': from,
    'obs-moving': '1',
    enrol: code,
  });
  return `${to}/dock#${values}`;
}

/** Whether this page was opened by a move that the script has not confirmed yet. */
export const isMoving = (storage = localStorage) => storage.getItem(KEYS.moving) === '1';

/**
 * Forgets a move that has ended.
 * @param {string} server the address that the script opens from now on; '' if it refused
 */
export function moved(server, storage = localStorage) {
  storage.removeItem(KEYS.moving);
  if (server) storage.setItem(KEYS.scriptServer, server);
}
