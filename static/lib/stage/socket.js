/** The events socket of a stage: who is there, told by the server as IVS tells it. */
import { growing, sleep } from '../events.js';
import { claims } from './claims.js';

const PING_EVERY = 15_000;
const SILENCE = 30_000;

/**
 * Listens until stop() is called or the server sends the page away.
 * @param {string} token
 * @param {object} on
 * @param {(list: import('./client.js').Participant[]) => void} on.participants
 * @param {(connected: boolean) => void} on.connected
 * @param {(why: string) => void} on.ended
 * @param {{Socket?: typeof WebSocket, pause?: (ms: number) => Promise<void>, random?: () =>
 *   number}} [world]
 */
export function watchStage(
  token,
  on,
  { Socket = globalThis.WebSocket, pause = sleep, random = Math.random } = {},
) {
  const own = claims(token);
  const url = `${own.events_url}?error_over_ws=1&topic=${own.topic}/publishers&traceid=${crypto.getRandomValues(new Uint32Array(1))[0].toString(16)}`;
  let stopped = false;
  /** @type {WebSocket | null} */
  let socket = null;
  void run();
  return {
    stop() {
      stopped = true;
      socket?.close();
    },
  };

  async function run() {
    for (let tries = 0; !stopped; tries++) {
      if (tries > 0) await pause(growing(tries, random()));
      if (stopped) return;
      const told = await connection();
      if (told) tries = 0;
      if (!stopped) on.connected(false);
    }
  }

  /**
   * One socket, from open to close; answers whether it told anything.
   * @returns {Promise<boolean>}
   */
  function connection() {
    return new Promise((resolve) => {
      let told = false;
      let heard = Date.now();
      const ws = new Socket(url, token);
      socket = ws;
      const beat = setInterval(() => {
        // A laptop that slept leaves a line that is open and dead.
        if (Date.now() - heard > SILENCE) return done();
        if (ws.readyState === 1) ws.send('{"type":"PING"}');
      }, PING_EVERY);
      const done = () => {
        clearInterval(beat);
        ws.onclose = null;
        ws.onmessage = null;
        ws.close();
        resolve(told);
      };
      ws.onclose = done;
      ws.onmessage = ({ data }) => {
        heard = Date.now();
        const { type, payload } = parse(data);
        if (type === 'STAGE_STATE') {
          told = true;
          on.connected(true);
          on.participants(
            payload.participants
              .filter((/** @type {any} */ p) => p.id !== own.jti)
              .map(participant),
          );
        } else if (
          type === 'DISCONNECT' ||
          (type === 'JOIN_ERROR' && payload.code !== 'INTERNAL')
        ) {
          stopped = true;
          done();
          on.ended(payload.code);
        }
      };
    });
  }
}

/** @param {string} text @returns {{type: string, payload: any}} */
function parse(text) {
  try {
    const { type = '', payload = {} } = JSON.parse(text);
    return { type: type.replace('aws:ivs:', ''), payload };
  } catch {
    return { type: '', payload: {} }; // not for us
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
