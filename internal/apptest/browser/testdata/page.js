import { greeting } from '/greeting.js';

const by = (id) => document.getElementById(id);
by('greet').disabled = false;
by('greet').onclick = async () => {
  const answer = await fetch('/greet', { method: 'POST', body: by('name').value });
  by('greeting').textContent = greeting(await answer.text());
};

// As in docks: use the clipboard API where it is allowed, and execCommand elsewhere.
document.querySelector('[aria-label]').onclick = async () => {
  const text = by('greeting').textContent;
  window.copiedBy = await navigator.clipboard.writeText(text).then(
    () => 'api',
    () => copyTheOldWay(text),
  );
};

function copyTheOldWay(text) {
  const area = document.body.appendChild(
    Object.assign(document.createElement('textarea'), { value: text }),
  );
  area.select();
  const ok = document.execCommand('copy');
  area.remove();
  return ok ? 'execCommand' : 'nothing';
}

new EventSource('/events').addEventListener(
  'tick',
  (e) => (by('clock').textContent = `tick ${e.data}`),
);

const socket = new WebSocket(`ws://${location.host}/socket`, 'echo');
socket.onopen = () => socket.send('over the socket');
socket.onmessage = (e) => (by('socket').textContent = e.data);

/**
 * Sends a canvas as H.264 from one peer connection of the page to another; returns what arrived.
 */
window.h264Loop = async () => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
  const brush = canvas.getContext('2d');
  let n = 0;
  setInterval(() => {
    brush.fillStyle = `hsl(${(n++ * 7) % 360} 80% 50%)`;
    brush.fillRect(0, 0, 320, 180);
  }, 40);
  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  from.onicecandidate = (e) => e.candidate && to.addIceCandidate(e.candidate);
  to.onicecandidate = (e) => e.candidate && from.addIceCandidate(e.candidate);
  to.ontrack = (e) => {
    by('video').srcObject = e.streams[0];
    by('video').play();
  };
  const [track] = canvas.captureStream(25).getVideoTracks();
  const sender = from.addTransceiver(track, {
    direction: 'sendonly',
    streams: [new MediaStream([track])],
  });
  const h264 = RTCRtpSender.getCapabilities('video').codecs.filter(
    (c) => c.mimeType === 'video/H264',
  );
  if (!h264.length) return 'cannot encode H.264';
  sender.setCodecPreferences(h264);
  await from.setLocalDescription();
  await to.setRemoteDescription(from.localDescription);
  await to.setLocalDescription();
  await from.setRemoteDescription(to.localDescription);
  for (;;) {
    const inbound = [...(await to.getStats()).values()].find((s) => s.type === 'inbound-rtp');
    if (inbound?.framesDecoded > 10)
      return [...(await to.getStats()).values()].find((s) => s.id === inbound.codecId).mimeType;
    await new Promise((done) => setTimeout(done, 50));
  }
};
