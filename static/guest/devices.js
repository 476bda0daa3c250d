/** The camera and the microphone of a guest: permission, choice, preview and level. */
import { h } from '../lib/dom.js';
import { meter, wakeMeters } from '../lib/stage/level.js';

const METER_EVERY = 100;

/** @typedef {'audio' | 'video'} Kind */
/** @typedef {ReturnType<typeof createDevices>} Devices */

/** @param {{changed: () => void}} about */
export function createDevices({ changed }) {
  const { stream, use, close, mount } = createPreview();
  /** @type {Record<Kind, string>} */
  const chosen = { audio: '', video: '' };
  const state = {
    /** @type {'closed' | 'asking' | 'open' | 'denied' | 'none' | 'busy' | 'insecure'} */ phase:
      'closed',
    /** @type {Record<Kind, MediaDeviceInfo[]>} */ list: { audio: [], video: [] },
  };

  async function open() {
    if (!navigator.mediaDevices) return set('insecure');
    set('asking');
    try {
      use(await ask(chosen));
      await look();
      set('open');
    } catch (/** @type {any} */ err) {
      set(
        err.name === 'NotAllowedError' ? 'denied' : err.name === 'NotFoundError' ? 'none' : 'busy',
      );
    }
  }

  /** @param {typeof state['phase']} phase */
  function set(phase) {
    state.phase = phase;
    changed();
  }

  async function look() {
    const all = await navigator.mediaDevices.enumerateDevices();
    state.list = {
      audio: all.filter((d) => d.kind === 'audioinput'),
      video: all.filter((d) => d.kind === 'videoinput'),
    };
    for (const track of stream.getTracks())
      chosen[/** @type {Kind} */ (track.kind)] = track.getSettings().deviceId ?? '';
  }

  return {
    state,
    chosen,
    open,
    close,
    mount,
    stream: () => stream,
    /** @param {Kind} kind @param {string} id */
    async choose(kind, id) {
      chosen[kind] = id;
      await open();
    },
    /** @param {Kind} kind @param {boolean} on */
    enable(kind, on) {
      for (const track of stream.getTracks()) if (track.kind === kind) track.enabled = on;
    },
    has: (/** @type {Kind} */ kind) => stream.getTracks().some((track) => track.kind === kind),
  };
}

/** The guest's own picture and level. */
function createPreview() {
  const video = h('video', {
    className: 'preview',
    autoplay: true,
    playsInline: true,
    muted: true,
  });
  const bar = h('span', { className: 'level', 'aria-hidden': 'true' });
  const stream = new MediaStream();
  let sound = { level: () => 0, stop() {} };
  video.muted = true;
  setInterval(() => {
    bar.style.clipPath = `inset(0 ${Math.round(100 - sound.level() * 100)}% 0 0)`;
  }, METER_EVERY);

  function close() {
    sound.stop();
    for (const track of stream.getTracks()) {
      track.stop();
      stream.removeTrack(track);
    }
  }

  return {
    stream,
    close,
    /** @param {MediaStream} fresh */
    use(fresh) {
      close();
      for (const track of fresh.getTracks()) stream.addTrack(track);
      wakeMeters();
      sound = meter(stream);
      video.srcObject = stream;
      void video.play().catch(() => {});
    },
    /** Attaches the video only once, because a video that is moved in the page stops playing. */
    mount() {
      const frame = document.getElementById('preview');
      if (frame && video.parentNode !== frame) frame.append(video);
      const level = document.getElementById('own-level');
      if (level && bar.parentNode !== level) level.append(bar);
    },
  };
}

/**
 * Opens camera and microphone, or only the microphone if there is no camera.
 * @param {Record<Kind, string>} chosen
 */
async function ask(chosen) {
  const audio = {
    echoCancellation: true,
    noiseSuppression: true,
    ...(chosen.audio && { deviceId: { exact: chosen.audio } }),
  };
  const video = {
    width: { ideal: 1280 },
    height: { ideal: 720 },
    frameRate: { ideal: 30 },
    ...(chosen.video && { deviceId: { exact: chosen.video } }),
  };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio, video });
  } catch (/** @type {any} */ err) {
    if (err.name !== 'NotFoundError') throw err;
    return navigator.mediaDevices.getUserMedia({ audio });
  }
}
