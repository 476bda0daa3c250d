/**
 * Passkeys (Web Authentication Level 3), in browsers that have no parseCreationOptionsFromJSON yet.
 */
import { api } from './api.js';
import { t } from './strings.js';

/** @param {string} text base64url @returns {ArrayBuffer} */
function bytes(text) {
  const raw = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(raw, (c) => c.charCodeAt(0)).buffer;
}

/** @param {ArrayBuffer | null | undefined} buffer @returns {string | undefined} base64url */
function text(buffer) {
  if (!buffer) return undefined;
  const raw = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(raw).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** @param {any} options of the server */
const decoded = (options) => ({
  ...options,
  challenge: bytes(options.challenge),
  ...(options.user && { user: { ...options.user, id: bytes(options.user.id) } }),
  ...(options.excludeCredentials && {
    excludeCredentials: options.excludeCredentials.map((/** @type {any} */ c) => ({
      ...c,
      id: bytes(c.id),
    })),
  }),
});

/** @param {any} credential @returns {object} in the format of its toJSON() */
function encoded(credential) {
  const { response } = credential;
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: {
      clientDataJSON: text(response.clientDataJSON),
      attestationObject: text(response.attestationObject),
      authenticatorData: text(response.authenticatorData),
      signature: text(response.signature),
      userHandle: text(response.userHandle),
      transports: response.getTransports?.(),
    },
  };
}

/** Explains an error of the browser by its name. @param {any} err @returns {any} */
function explained(err) {
  const key = /** @type {Record<string, string>} */ ({
    NotAllowedError: 'passkeys.cancelled',
    InvalidStateError: 'passkeys.known',
    NotSupportedError: 'passkeys.unable',
  })[err?.name];
  return key ? new Error(t(key)) : err;
}

/** Creates a passkey on this device, and registers it. @param {string} name */
export async function createPasskey(name) {
  const { options } = await api('POST', 'api/passkeys/options');
  let made;
  try {
    made = await navigator.credentials.create({ publicKey: decoded(options) });
  } catch (err) {
    throw explained(err);
  }
  return api('POST', 'api/passkeys', { name, answer: encoded(made) });
}

/** @returns {Promise<import('./types.js').Me>} */
export async function signInWithPasskey() {
  const { options } = await api('POST', 'api/login/passkey/options');
  let found;
  try {
    found = await navigator.credentials.get({ publicKey: decoded(options) });
  } catch (err) {
    throw explained(err);
  }
  return api('POST', 'api/login/passkey', { answer: encoded(found) });
}
