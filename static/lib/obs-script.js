/**
 * Sends requests to the script in OBS: to read and write the settings file of the encoder, which no
 * WebSocket request reaches, and to move the dock to another address. A request is a parameter of
 * the selected profile, signed with the secret of the pairing; the response is another parameter
 * (docs/decisions/0127).
 */
import { KEYS } from './memory.js';

/**
 * Milliseconds to wait for an answer. The script looks for requests four times a second, but not
 * within a second after a change of profile.
 */
const ANSWER_LIMIT = 4_000;
const LOOK_AGAIN = 100;

/**
 * @typedef {{at: number, result?: string, settings?: string, encoders?: string}} Answer
 * @typedef {object} Script
 * @property {(obs: import('./obs.js').ObsCaller) => Promise<Record<string, any> | undefined>}
 *   settings of the encoder; undefined without an answer
 * @property {(obs: import('./obs.js').ObsCaller, request: import('./encoders.js').Request, setup:
 *   number) => Promise<string>} write resolves to "done", to another word after a failure, or to ""
 *   without an answer
 * @property {(obs: import('./obs.js').ObsCaller, setup: number) => Promise<string>} restore
 *   restores the file as it was before the first write of that set-up
 * @property {(obs: import('./obs.js').ObsCaller, server: string) => Promise<string>} move opens the
 *   dock at that address from the next start of OBS on; resolves as `write` does
 * @property {(obs: import('./obs.js').ObsCaller) => Promise<boolean>} isGone whether the script
 *   that paired this page no longer answers
 * @property {() => string[]} encoders the IDs of the encoders of OBS; none without a script
 */

/** Whether a script has paired this page. */
export const isPaired = (storage = localStorage) => Boolean(storage.getItem(KEYS.secret));

/** @param {Uint8Array} bytes */
const hex = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');

/** @param {string} secret @param {string} text */
export async function sign(secret, text) {
  const bytes = new TextEncoder();
  const key = await crypto.subtle.importKey(
    'raw',
    bytes.encode(secret),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['sign'],
  );
  return hex(new Uint8Array(await crypto.subtle.sign('HMAC', key, bytes.encode(text))));
}

/** @param {string} parameterName */
const parameter = (parameterName) => ({ parameterCategory: 'Stagedoor', parameterName });

/**
 * Reads a response that the script has signed.
 * @param {string} secret
 * @param {string} text
 * @returns {Promise<Answer | undefined>}
 */
async function read(secret, text) {
  const blank = text.indexOf(' ');
  const body = text.slice(blank + 1);
  if (blank < 0 || text.slice(0, blank) !== (await sign(secret, `answer ${body}`)))
    return undefined;
  return JSON.parse(body);
}

/**
 * Returns the function that sends a request to the script and resolves to its answer.
 * @param {() => string} secret
 * @param {{limit?: number, pause?: (ms: number) => Promise<void>, now?: () => number}} deps
 */
function createAsk(
  secret,
  { limit = ANSWER_LIMIT, pause = (ms) => new Promise((r) => setTimeout(r, ms)), now = Date.now },
) {
  let last = 0;
  /** @type {Promise<unknown>} */
  let turn = Promise.resolve();

  /**
   * @param {import('./obs.js').ObsCaller} obs
   * @param {Record<string, any>} body
   * @returns {Promise<Answer | undefined>}
   */
  async function exchange(obs, body) {
    if (!secret()) return undefined;
    last = Math.max(now(), last + 1); // the script requires increasing times
    const text = JSON.stringify({ at: last, ...body });
    await obs.call('SetProfileParameter', {
      ...parameter('Ask'),
      parameterValue: `${await sign(secret(), `ask ${text}`)} ${text}`,
    });
    for (const until = now() + limit; now() < until; await pause(LOOK_AGAIN)) {
      const { parameterValue } = await obs.call('GetProfileParameter', parameter('Answer'));
      const answer = await read(secret(), parameterValue ?? '');
      if (answer?.at === last) return answer;
    }
    return undefined;
  }

  /** @type {typeof exchange} */
  return (obs, body) => {
    // Requests are sent one after the other, because they share the parameter.
    const answer = turn.then(() => exchange(obs, body));
    turn = answer.catch(() => {});
    return answer;
  };
}

/**
 * Removes the request and the response of a move. A move is sent in whatever profile is selected,
 * and must not stay in the person's profiles.
 * @param {import('./obs.js').ObsCaller} obs
 */
async function forget(obs) {
  for (const name of ['Ask', 'Answer']) {
    await obs
      .call('SetProfileParameter', { ...parameter(name), parameterValue: null })
      .catch(() => {}); // no script has answered
  }
}

/**
 * @param {Pick<Storage, 'getItem'>} [storage]
 * @param {Parameters<typeof createAsk>[1]} [deps]
 * @returns {Script}
 */
export function createScript(storage = localStorage, deps = {}) {
  // An insecure page has no crypto.subtle. It cannot sign requests, so it uses no secret.
  const secret = () => (globalThis.crypto?.subtle ? (storage.getItem(KEYS.secret) ?? '') : '');
  const ask = createAsk(secret, deps);

  return {
    async settings(obs) {
      const answer = await ask(obs, { do: 'read' });
      return answer && parsed(answer.settings);
    },
    write: async (obs, request, setup) =>
      (await ask(obs, { do: 'write', setup, ...request }))?.result ?? '',
    async move(obs, server) {
      const answer = await ask(obs, { do: 'move', server });
      await forget(obs);
      return answer?.result ?? '';
    },
    async isGone(obs) {
      // Try twice, because the script may miss a request on a busy computer.
      for (let tries = 0; tries < 2; tries++)
        if (secret() === '' || (await ask(obs, { do: 'read' }))) return false;
      return true;
    },
    restore: async (obs, setup) => (await ask(obs, { do: 'restore', setup }))?.result ?? '',
    encoders: () =>
      secret() ? (storage.getItem(KEYS.encoders) ?? '').split(' ').filter(Boolean) : [],
  };
}

/**
 * The settings in the file. A file that is missing or not valid JSON has none.
 * @param {string | undefined} text
 * @returns {Record<string, any>}
 */
function parsed(text) {
  try {
    const settings = JSON.parse(text || '{}');
    return settings && typeof settings === 'object' && !Array.isArray(settings) ? settings : {};
  } catch {
    return {};
  }
}
