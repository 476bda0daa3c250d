/** Plays the person's own broadcast back, with a view token, and measures the reception. */
import { play } from './whep.js';

/**
 * Milliseconds between two attempts, which are needed because the stage may not have received a
 * picture yet.
 */
const AGAIN = 500;

/**
 * @param {object} about
 * @param {string} about.participantId
 * @param {string} about.token the view token
 * @param {(stream: MediaStream) => void} about.sound called when there is sound
 * @param {{view?: typeof play, fetch?: import('./types.js').Fetch}} [deps]
 */
export function createPlayback(
  { participantId, token, sound },
  { view = play, fetch = globalThis.fetch } = {},
) {
  const screen = document.createElement('video');
  Object.assign(screen, { autoplay: true, muted: true, playsInline: true, className: 'preview' });
  let stopped = false;
  /** @type {Awaited<ReturnType<typeof play>> | null} */
  let session = null;

  /** fetch with the token instead of the cookie. @type {import('./types.js').Fetch} */
  const bearer = (url, init = {}) =>
    fetch(url, {
      ...init,
      credentials: 'omit',
      headers: { ...init.headers, Authorization: `Bearer ${token}` },
    });

  /** @param {MediaStream} stream */
  function shows(stream) {
    if (stopped) return;
    if (screen.srcObject !== stream) screen.srcObject = stream;
    void screen.play().catch(() => {});
    if (stream.getAudioTracks().length > 0) sound(stream);
  }

  async function connect() {
    while (!stopped && !session) {
      try {
        const now = await view(participantId, { stream: shows }, { fetch: bearer });
        if (stopped) return now.stop();
        session = now;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, AGAIN));
      }
    }
  }

  void connect();
  return {
    screen,
    stop() {
      stopped = true;
      session?.stop();
      screen.srcObject = null;
    },
    /** @returns {Promise<import('./rehearsal-score.js').Played | null>} */
    played: async () => (session ? counted(await session.peer.getStats()) : null),
  };
}

/**
 * The counts of an RTP stream. Old browsers report freezes for the track, and new ones for the
 * stream.
 * @param {RTCStatsReport} stats
 * @returns {import('./rehearsal-score.js').Played}
 */
export function counted(stats) {
  const played = {
    frames: 0,
    freezes: 0,
    frozen: 0,
    roundTrip: /** @type {number | null} */ (null),
  };
  stats.forEach((s) => {
    if (s.kind === 'video' && (s.type === 'inbound-rtp' || s.type === 'track')) {
      played.frames = Math.max(played.frames, s.framesDecoded ?? 0);
      played.freezes = Math.max(played.freezes, s.freezeCount ?? 0);
      played.frozen = Math.max(played.frozen, s.totalFreezesDuration ?? 0);
    }
  });
  const seconds = selectedPair(stats)?.currentRoundTripTime;
  if (seconds !== undefined) played.roundTrip = seconds * 1000;
  return played;
}

/**
 * The candidate pair in use. After a change of the path, earlier pairs are still nominated, and
 * have old values. The transport names its pair. Firefox has no transport, and marks the pair as
 * selected.
 * @param {RTCStatsReport} stats
 */
export function selectedPair(stats) {
  /** @type {Record<string, any>[]} */
  const all = [];
  stats.forEach((s) => all.push(s));
  const id = all.find((s) => s.type === 'transport')?.selectedCandidatePairId;
  return all.find((s) => s.type === 'candidate-pair' && (id ? s.id === id : s.selected));
}
