/**
 * A stage that Stagedoor serves itself: the participants come from the events socket, each video by
 * WHEP.
 */
import { growing } from '../events.js';
import { play } from '../whep.js';
import { watchStage } from './socket.js';

/** How many milliseconds a video may be missing before it is requested again. */
const PATIENCE = 4_000;

/** @typedef {import('./client.js').Participant} Participant */

/**
 * @param {Parameters<import('./client.js').Open>[0]} about
 * @param {{watch?: typeof watchStage, view?: typeof play, fetch?: import('../types.js').Fetch}}
 *   [deps]
 * @returns {import('./client.js').Session}
 */
export function openLocal(
  { admission, wants, lines = () => 0, on },
  { watch = watchStage, view = play, fetch = globalThis.fetch } = {},
) {
  /** @type {Map<string, ReturnType<typeof createReceiver>>} */
  const receiving = new Map();
  /** @type {Participant[]} */
  let present = [];

  /**
   * fetch with the token instead of the cookie, so that the page acts as this participant.
   * @type {import('../types.js').Fetch}
   */
  const bearer = (url, init = {}) =>
    fetch(url, {
      ...init,
      credentials: 'omit',
      headers: { ...init.headers, Authorization: `Bearer ${admission.token}` },
    });

  function follow() {
    const wanted = present.filter((p) => p.publishing && wants(p)).map((p) => p.id);
    for (const [id, received] of receiving) {
      if (wanted.includes(id)) continue;
      receiving.delete(id);
      received.stop();
      on.removed(id);
    }
    for (const id of wanted)
      if (!receiving.has(id))
        receiving.set(
          id,
          createReceiver({ id, lines, on, view: (events) => view(id, events, { fetch: bearer }) }),
        );
  }

  const presence = watch(admission.token, {
    participants(list) {
      present = list;
      on.participants(list);
      follow();
    },
    connected: on.joined,
    ended: (why) => on.ended(why),
  });
  return {
    refresh: follow,
    fit: (id) => receiving.get(id)?.fit(),
    close() {
      presence.stop();
      for (const received of receiving.values()) received.stop();
      receiving.clear();
    },
  };
}

/**
 * Receives one participant until it is stopped, and reconnects after each failure.
 * @param {object} about
 * @param {string} about.id
 * @param {(id: string) => number} about.lines
 * @param {import('./client.js').SessionEvents} about.on
 * @param {(events: Parameters<typeof play>[1]) => ReturnType<typeof play>} about.view
 */
function createReceiver({ id, lines, on, view }) {
  let stopped = false;
  let tries = 0;
  let timer = 0;
  let session = { stop() {}, fit(/** @type {number} */ _) {} };

  async function connect() {
    on.link(id, tries === 0 ? 'connecting' : 'retrying');
    try {
      const now = await view({
        stream: (stream) => {
          if (!stopped) on.stream(id, stream);
        },
        state: linked,
      });
      if (stopped) return now.stop();
      session = now;
      fit();
    } catch {
      again(growing(++tries, Math.random())); // until the participant leaves
    }
  }

  /** @param {RTCPeerConnectionState} state */
  function linked(state) {
    clearTimeout(timer);
    if (stopped) return;
    if (state === 'connected') {
      tries = 0;
      on.link(id, 'connected');
    }
    if (state === 'disconnected') again(PATIENCE);
    if (state === 'failed' || state === 'closed') again(growing(++tries, Math.random()));
  }

  /** @param {number} ms */
  function again(ms) {
    if (stopped) return;
    on.link(id, 'retrying');
    timer = setTimeout(() => {
      session.stop();
      void connect();
    }, ms);
  }

  function fit() {
    const shown = lines(id);
    if (shown > 0) session.fit(shown);
  }

  void connect();
  return {
    fit,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      session.stop();
    },
  };
}
