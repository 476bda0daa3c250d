/**
 * Stores which token this dock has written into OBS. The token itself stays in OBS. The browser
 * stores the token's participant, expiry and fingerprint. By the fingerprint, the dock recognizes
 * its own token after a reload, and distinguishes it from another dock's.
 */

/**
 * How many milliseconds before its expiry a token is renewed, because a broadcast may have to
 * reconnect later. A token with a short life is renewed in its last quarter, because otherwise a
 * new one would be renewed at once.
 */
const RENEW_BEFORE = 60 * 60 * 1000;
const RENEW_SHARE = 1 / 4;

const KEY = 'stagedoor.token';

/**
 * @typedef {{participantId: string, expiresAt: number, renewAt: number, stage: string, endpoint:
 *   string, user: string, print: string}} Kept
 * @typedef {{server: string, bearer_token: string, kept: Kept}} Ready
 */

/**
 * @typedef {object} Dependencies
 * @property {(stage: string) => Promise<import('./types.js').Token>} mint
 * @property {() => string} user
 * @property {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} [storage]
 * @property {() => number} [now]
 */

export class Tokens {
  #mint;
  #user;
  #storage;
  #now;

  /** @param {Dependencies} deps */
  constructor({ mint, user, storage = localStorage, now = Date.now }) {
    this.#mint = mint;
    this.#user = user;
    this.#storage = storage;
    this.#now = now;
  }

  /** @returns {Kept | null} */
  kept() {
    try {
      return JSON.parse(this.#storage.getItem(KEY) ?? 'null');
    } catch {
      return null;
    }
  }

  /**
   * The token in OBS, if this dock has written it for this user and this stage, and it need not be
   * renewed yet; otherwise null.
   * @param {Record<string, any>} settings OBS's
   * @param {string} stage
   * @returns {Ready | null}
   */
  reusable(settings, stage) {
    const kept = this.inObs(settings);
    if (!kept || kept.user !== this.#user() || kept.stage !== stage) return null;
    if (settings.server !== kept.endpoint || this.#now() >= kept.renewAt) return null;
    return { server: kept.endpoint, bearer_token: String(settings.bearer_token), kept };
  }

  /** @param {string} stage @returns {Promise<Ready>} */
  async fresh(stage) {
    const t = await this.#mint(stage);
    const expiresAt = Date.parse(t.expiresAt);
    const renewAt = expiresAt - Math.min(RENEW_BEFORE, (expiresAt - this.#now()) * RENEW_SHARE);
    const kept = {
      participantId: t.participantId,
      expiresAt,
      renewAt,
      stage,
      endpoint: t.endpoint,
      user: this.#user(),
      print: fingerprint(t.token),
    };
    return { server: t.endpoint, bearer_token: t.token, kept };
  }

  /** Called when the token was written into OBS. @param {Ready} ready */
  keep(ready) {
    this.#store(ready.kept);
  }

  /**
   * The token that is in OBS now, even if it has expired, or null if this dock has not written it.
   * @param {Record<string, any>} settings
   */
  inObs(settings) {
    const kept = this.kept();
    const token = settings.bearer_token;
    return kept && token && kept.print === fingerprint(String(token)) ? kept : null;
  }

  /**
   * Called when the stage has refused the token. It is still recognized as this dock's token, but
   * is not used again.
   * @param {string} participantId
   */
  spoil(participantId) {
    const kept = this.kept();
    if (kept?.participantId === participantId) this.#store({ ...kept, expiresAt: 0, renewAt: 0 });
  }

  forget() {
    this.#storage.removeItem(KEY);
  }

  /** @param {Kept} kept */
  #store(kept) {
    this.#storage.setItem(KEY, JSON.stringify(kept));
  }
}

/**
 * A hash of a token with 53 bits (cyrb53). This is enough to distinguish tokens, and too little to
 * reconstruct one. crypto.subtle is not available on plain http.
 * @param {string} text
 */
export function fingerprint(text) {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 2654435761);
    b = Math.imul(b ^ text.charCodeAt(i), 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36);
}
