/**
 * Publishes from this page by WHIP: one POST with an offer, one answer, and a DELETE at the end.
 */
import { base, problem } from './api.js';
import { iceServers } from './whep.js';

/**
 * The highest bitrate of the video, in bits per second, which is below the limit of stages. The
 * browser has no other limit.
 */
const MAX_BITRATE = 2_500_000;

/**
 * @param {{token: string, stream: MediaStream, state: (state: RTCPeerConnectionState) => void}}
 *   about token: a participant token
 * @param {{fetch?: import('./types.js').Fetch, Peer?: typeof RTCPeerConnection}} [deps]
 * @returns {Promise<{stop: () => void, peer: RTCPeerConnection}>} rejects with an ApiError when the
 *   server refuses
 */
export async function publish(
  { token, stream, state },
  { fetch = globalThis.fetch, Peer = globalThis.RTCPeerConnection } = {},
) {
  const peer = new Peer();
  /** @type {RequestInit} */
  const bearer = { credentials: 'omit', headers: { Authorization: `Bearer ${token}` } };
  let session = '';
  const stop = () => {
    peer.onconnectionstatechange = null;
    peer.close();
    // keepalive, because the page may be closing
    if (session)
      void fetch(session, { ...bearer, method: 'DELETE', keepalive: true }).catch(() => {});
    session = '';
  };
  try {
    peer.onconnectionstatechange = () => state(peer.connectionState);
    for (const track of stream.getTracks()) {
      const sendEncodings = track.kind === 'video' ? [{ maxBitrate: MAX_BITRATE }] : undefined;
      peer.addTransceiver(track, {
        direction: 'sendonly',
        streams: [stream],
        ...(sendEncodings && { sendEncodings }),
      });
    }
    const offer = await peer.createOffer();
    const response = await fetch(new URL('whip', base), {
      ...bearer,
      method: 'POST',
      headers: { ...bearer.headers, 'Content-Type': 'application/sdp' },
      body: offer.sdp,
    });
    if (response.status !== 201) throw await problem(response);
    session = new URL(response.headers.get('Location') ?? '', response.url).href;
    // As in whep.js, the browser gathers candidates after it knows the TURN servers of the answer.
    peer.setConfiguration({ iceServers: iceServers(response.headers.get('Link') ?? '') });
    await peer.setLocalDescription(offer);
    await peer.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    return { stop, peer };
  } catch (err) {
    stop();
    throw err;
  }
}
