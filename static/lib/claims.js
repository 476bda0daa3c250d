/** Reads participant tokens. Pure. */

/**
 * The claims of a token. They are not verified: the server that receives the token verifies it, and
 * decides what it permits.
 * @param {string} token a JWT
 * @returns {{events_url: string, whip_url: string, topic: string, jti: string, exp: number}}
 */
export function claims(token) {
  const bytes = Uint8Array.from(
    atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')),
    (c) => c.charCodeAt(0),
  );
  return JSON.parse(new TextDecoder().decode(bytes));
}
