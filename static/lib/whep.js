/** Plays a participant by WHEP: one POST with an offer, one answer, and a DELETE at the end. */
import { base, problem } from './api.js';

/** Milliseconds for the candidates of the offer; the server's are all in its answer. */
const GATHER = 1_000;

/**
 * @param {string} participantId
 * @param {object} on
 * @param {(stream: MediaStream) => void} on.stream
 * @param {(state: RTCPeerConnectionState) => void} [on.state]
 * @param {{fetch?: import('./types.js').Fetch, Peer?: typeof RTCPeerConnection}} [world]
 * @returns {Promise<{stop: () => void, fit: (lines: number) => void, peer: RTCPeerConnection}>} fit says how large the picture is shown; rejects with an ApiError when the server says no
 */
export async function play(participantId, on, { fetch = globalThis.fetch, Peer = globalThis.RTCPeerConnection } = {}) {
  const peer = new Peer();
  const stream = new MediaStream();
  let session = '';
  const stop = () => {
    peer.onconnectionstatechange = null;
    peer.close();
    // keepalive: the page may be going
    if (session) void fetch(session, { method: 'DELETE', credentials: 'same-origin', keepalive: true }).catch(() => {});
    session = '';
  };
  const fit = (/** @type {number} */ lines) => {
    if (!session) return;
    void fetch(`${session}/layers`, {
      method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ height: lines }),
    }).catch(() => {});
  };
  try {
    peer.ontrack = ({ track }) => { stream.addTrack(track); on.stream(stream); };
    peer.onconnectionstatechange = () => on.state?.(peer.connectionState);
    peer.addTransceiver('video', { direction: 'recvonly' });
    peer.addTransceiver('audio', { direction: 'recvonly' });
    await peer.setLocalDescription();
    await gathered(peer);
    const response = await fetch(new URL(`whep/${encodeURIComponent(participantId)}`, base), {
      method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/sdp' }, body: peer.localDescription?.sdp,
    });
    if (response.status !== 201) throw await problem(response);
    session = new URL(response.headers.get('Location') ?? '', response.url).href;
    await peer.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    return { stop, fit, peer };
  } catch (err) {
    stop();
    throw err;
  }
}

/** @param {RTCPeerConnection} peer @returns {Promise<void>} */
function gathered(peer) {
  if (peer.iceGatheringState === 'complete') return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER);
    peer.addEventListener('icegatheringstatechange', () => {
      if (peer.iceGatheringState !== 'complete') return;
      clearTimeout(timer);
      resolve();
    });
  });
}
