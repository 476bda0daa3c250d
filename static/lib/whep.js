/** Plays a participant by WHEP: one POST with an offer, one answer, and a DELETE at the end. */
import { base, problem } from './api.js';

/**
 * @param {string} participantId
 * @param {object} on
 * @param {(stream: MediaStream) => void} on.stream
 * @param {(state: RTCPeerConnectionState) => void} [on.state]
 * @param {{fetch?: import('./types.js').Fetch, Peer?: typeof RTCPeerConnection}} [deps]
 * @returns {Promise<{stop: () => void, fit: (lines: number) => void, peer: RTCPeerConnection}>} fit
 *   requests the layer for that many lines; the promise rejects with an ApiError if the server
 *   refuses
 */
export async function play(
  participantId,
  on,
  { fetch = globalThis.fetch, Peer = globalThis.RTCPeerConnection } = {},
) {
  const peer = new Peer();
  const stream = new MediaStream();
  let session = '';
  const stop = () => {
    peer.onconnectionstatechange = null;
    peer.close();
    // keepalive, because the page may be closing
    if (session)
      void fetch(session, { method: 'DELETE', credentials: 'same-origin', keepalive: true }).catch(
        () => {},
      );
    session = '';
  };
  const fit = (/** @type {number} */ lines) => {
    if (!session) return;
    void fetch(`${session}/layers`, {
      method: 'POST',
      credentials: 'same-origin',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ height: lines }),
    }).catch(() => {});
  };
  try {
    peer.ontrack = ({ track }) => {
      stream.addTrack(track);
      on.stream(stream);
    };
    peer.onconnectionstatechange = () => on.state?.(peer.connectionState);
    peer.addTransceiver('video', { direction: 'recvonly' });
    peer.addTransceiver('audio', { direction: 'recvonly' });
    const sdp = inStereo((await peer.createOffer()).sdp ?? '');
    const response = await fetch(new URL(`whep/${encodeURIComponent(participantId)}`, base), {
      method: 'POST',
      credentials: 'same-origin',
      headers: { 'Content-Type': 'application/sdp' },
      body: sdp,
    });
    if (response.status !== 201) throw await problem(response);
    session = new URL(response.headers.get('Location') ?? '', response.url).href;
    // From now on the browser gathers candidates, using the TURN servers of the answer. The server
    // needs no candidates in the offer, since it learns addresses from connectivity checks.
    peer.setConfiguration({ iceServers: iceServers(response.headers.get('Link') ?? '') });
    await peer.setLocalDescription({ type: 'offer', sdp });
    await peer.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    return { stop, fit, peer };
  } catch (err) {
    stop();
    throw err;
  }
}

/**
 * Returns an offer that requests Opus in stereo. Without `stereo=1` in its own offer, a browser
 * mixes received audio down to mono (RFC 7587, 6.1).
 * @param {string} sdp
 */
export function inStereo(sdp) {
  const opus = /^a=rtpmap:(\d+) opus\/48000\/2\r?$/im.exec(sdp)?.[1];
  if (!opus) return sdp;
  const fmtp = new RegExp(`^(a=fmtp:${opus} )(.*?)(\r?)$`, 'm');
  if (!fmtp.test(sdp))
    return sdp.replace(/^(a=rtpmap:\d+ opus\/48000\/2)(\r?)$/im, `$1$2\na=fmtp:${opus} stereo=1$2`);
  return sdp.replace(fmtp, (_, head, parameters, end) => {
    const rest = parameters
      .split(';')
      .filter((/** @type {string} */ p) => p && !/^\s*stereo=/.test(p));
    return `${head}${[...rest, 'stereo=1'].join(';')}${end}`;
  });
}

/**
 * The STUN and TURN servers of a Link header (RFC 9725, 4.6). Links with other relations are
 * ignored.
 * @param {string} header
 * @returns {RTCIceServer[]}
 */
export function iceServers(header) {
  const links = header.matchAll(
    /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^",;\s]+))*)/g,
  );
  return [...links].flatMap(([, urls, text]) => {
    const parameters = Object.fromEntries(
      [...text.matchAll(/([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",;\s]+))/g)].map(
        ([, name, quoted, plain]) => [name.toLowerCase(), plain ?? quoted.replace(/\\(.)/g, '$1')],
      ),
    );
    if (parameters.rel !== 'ice-server' || !/^(stun|turn)s?:/.test(urls)) return [];
    const { username, credential } = parameters;
    return [username ? { urls, username, credential } : { urls }];
  });
}
