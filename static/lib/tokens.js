/**
 * Which token this dock put into OBS. The token itself stays in OBS; here lie its participant, its
 * expiry and a fingerprint, so that after a reload a token that is still good is recognised, and
 * one that was put there elsewhere is not taken for ours.
 */

/**
 * Milliseconds before its end at which a token is renewed, since a broadcast may have to reconnect
 * for a while. Of one that lives only for a short time it is a quarter: else it would be renewed as
 * soon as it is there.
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
 * @param {object} world
 * @param {(stage: string) => Promise<import('./types.js').Token>} world.mint
 * @param {() => string} world.user
 * @param {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} [world.storage]
 * @param {() => number} [world.now]
 */
export function createTokens({ mint, user, storage = localStorage, now = Date.now }) {
  /** @returns {Kept | null} */
  function kept() {
    try {
      return JSON.parse(storage.getItem(KEY) ?? 'null');
    } catch {
      return null;
    }
  }

  return {
    kept,
    /**
     * What OBS has, if it is this broadcaster's, for this stage, put there by this dock, and good
     * for a while.
     * @param {Record<string, any>} settings OBS's
     * @param {string} stage
     * @returns {Ready | null}
     */
    reusable(settings, stage) {
      const k = kept();
      const token = String(settings.bearer_token ?? '');
      if (!k || !token || k.user !== user() || k.stage !== stage || k.print !== fingerprint(token))
        return null;
      if (settings.server !== k.endpoint || now() >= k.renewAt) return null;
      return { server: k.endpoint, bearer_token: token, kept: k };
    },
    /** @param {string} stage @returns {Promise<Ready>} */
    async fresh(stage) {
      const t = await mint(stage);
      const expiresAt = Date.parse(t.expiresAt);
      const renewAt = expiresAt - Math.min(RENEW_BEFORE, (expiresAt - now()) * RENEW_SHARE);
      const k = {
        participantId: t.participantId,
        expiresAt,
        renewAt,
        stage,
        endpoint: t.endpoint,
        user: user(),
        print: fingerprint(t.token),
      };
      return { server: t.endpoint, bearer_token: t.token, kept: k };
    },
    /** Called when OBS has taken it. @param {Ready} ready */
    keep(ready) {
      storage.setItem(KEY, JSON.stringify(ready.kept));
    },
    /**
     * The one that OBS has now, however old, or null if it is not from here.
     * @param {Record<string, any>} settings
     */
    inObs(settings) {
      const k = kept();
      return k && settings.bearer_token && k.print === fingerprint(String(settings.bearer_token))
        ? k
        : null;
    },
    /**
     * It was turned away: known as ours still, but not to be used again.
     * @param {string} participantId
     */
    spoil(participantId) {
      const k = kept();
      if (k?.participantId === participantId)
        storage.setItem(KEY, JSON.stringify({ ...k, expiresAt: 0, renewAt: 0 }));
    },
    forget() {
      storage.removeItem(KEY);
    },
  };
}

/** @typedef {ReturnType<typeof createTokens>} Tokens */

/**
 * 53 bits of a token, enough to tell two apart and too few to be of use (cyrb53; crypto.subtle is
 * missing on plain http).
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
