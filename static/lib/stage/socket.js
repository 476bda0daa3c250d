/** The events socket of a stage: the server reports the participants as IVS does. */
import { claims } from '../claims.js';
import { growing, sleep } from '../events.js';

const PING_EVERY = 15_000;
const SILENCE = 30_000;

/**
 * @typedef {object} On
 * @property {(list: import('./client.js').Participant[]) => void} participants
 * @property {(connected: boolean) => void} connected
 * @property {(why: string) => void} ended
 *
 * @typedef {object} Dependencies
 * @property {typeof WebSocket} Socket
 * @property {(ms: number) => Promise<void>} pause
 * @property {() => number} random
 */

/**
 * Receives the participants until stop() is called or the server ends the session.
 * @param {string} token
 * @param {On} on
 * @param {Partial<Dependencies>} [deps]
 */
export function watchStage(token, on, deps = {}) {
  const watch = new StageWatch(token, on, {
    Socket: globalThis.WebSocket,
    pause: sleep,
    random: Math.random,
    ...deps,
  });
  void watch.run();
  return { stop: () => watch.stop() };
}

class StageWatch {
  #token;
  #on;
  #deps;
  /** The participant ID of this page. */
  #own;
  #url;
  #stopped = false;
  /** @type {WebSocket | null} */
  #socket = null;

  /** @param {string} token @param {On} on @param {Dependencies} deps */
  constructor(token, on, deps) {
    const { jti, topic, events_url: url } = claims(token);
    const trace = crypto.getRandomValues(new Uint32Array(1))[0].toString(16);
    this.#token = token;
    this.#on = on;
    this.#deps = deps;
    this.#own = jti;
    this.#url = `${url}?error_over_ws=1&topic=${topic}/publishers&traceid=${trace}`;
  }

  async run() {
    const { pause, random } = this.#deps;
    for (let tries = 0; !this.#stopped; tries++) {
      if (tries > 0) await pause(growing(tries, random()));
      if (this.#stopped) return;
      if (await this.#connection()) tries = 0;
      if (!this.#stopped) this.#on.connected(false);
    }
  }

  stop() {
    this.#stopped = true;
    this.#socket?.close();
  }

  /**
   * One socket, from open to close.
   * @returns {Promise<boolean>} whether it received the state of the stage
   */
  #connection() {
    const ws = new this.#deps.Socket(this.#url, this.#token);
    this.#socket = ws;
    return new Promise((resolve) => {
      let received = false;
      const close = () => {
        beat.stop();
        ws.onclose = null;
        ws.onmessage = null;
        ws.close();
        resolve(received);
      };
      const beat = heartbeat(ws, close);
      ws.onclose = close;
      ws.onmessage = ({ data }) => {
        beat.heard();
        const { type, payload } = parse(data);
        if (type === 'STAGE_STATE') {
          received = true;
          this.#state(payload);
        } else if (isFinal(type, payload)) {
          this.#stopped = true;
          close();
          this.#on.ended(payload.code);
        }
      };
    });
  }

  /** @param {{participants: any[]}} payload */
  #state({ participants }) {
    this.#on.connected(true);
    this.#on.participants(participants.filter((p) => p.id !== this.#own).map(participant));
  }
}

/**
 * Sends pings, and reports if there is no answer, because after a computer has slept, a socket may
 * look open although it is dead.
 * @param {WebSocket} ws
 * @param {() => void} silent
 */
function heartbeat(ws, silent) {
  let last = Date.now();
  const timer = setInterval(() => {
    if (Date.now() - last > SILENCE) return silent();
    if (ws.readyState === 1) ws.send('{"type":"PING"}');
  }, PING_EVERY);
  return {
    heard: () => {
      last = Date.now();
    },
    stop: () => clearInterval(timer),
  };
}

/**
 * Whether a message means that the page must not connect again.
 * @param {string} type @param {any} payload
 */
const isFinal = (type, { code }) =>
  type === 'DISCONNECT' || (type === 'JOIN_ERROR' && code !== 'INTERNAL');

/** @param {string} text @returns {{type: string, payload: any}} */
function parse(text) {
  try {
    const { type = '', payload = {} } = JSON.parse(text);
    return { type: type.replace('aws:ivs:', ''), payload };
  } catch {
    return { type: '', payload: {} }; // a message that is not JSON
  }
}

/** @param {any} p @returns {import('./client.js').Participant} */
export const participant = (p) => ({
  id: p.id,
  userId: p.userId ?? '',
  name: p.attributes?.name || p.userId || p.id,
  ...(p.attributes?.guest === 'true' && { guest: true }),
  publishing: Boolean(p.isPublishing),
  audioMuted: Boolean(p.audioMuted),
  videoMuted: Boolean(p.videoStopped),
  ...(p.stalled ? { stalled: true } : {}),
});
