/**
 * One person's picture and sound. The video element exists as long as the person is shown, and is
 * never moved.
 */
import { h } from '../lib/dom.js';
import { followHeight } from '../lib/height.js';
import { meter } from '../lib/stage/level.js';

/**
 * @param {{name: string, blocked: () => void, height: (lines: number) => void}} about blocked:
 *   called when the browser requires a click before it plays sound
 */
export function createTile({ name, blocked, height }) {
  const video = h('video', { autoplay: true, playsInline: true, 'aria-label': name });
  const bar = h('span', { className: 'level', 'aria-hidden': 'true' });
  let sound = { level: () => 0, stop() {} };
  let quiet = true;
  video.muted = true;
  const unfollow = followHeight(video, height);

  function start() {
    video.muted = quiet;
    video
      .play()
      .catch((err) => {
        // Any other error means that the stream was replaced. The new stream has its own play().
        if (err.name !== 'NotAllowedError') return;
        video.muted = true;
        blocked();
        return video.play();
      })
      .catch(() => {});
  }

  return {
    video,
    bar,
    /** @param {MediaStream | null} stream */
    play(stream) {
      if (video.srcObject === stream) return listenTo(stream);
      video.srcObject = stream;
      listenTo(stream);
      if (stream) start();
    },
    /** @param {boolean} now */
    mute(now) {
      if (now === quiet) return;
      quiet = now;
      if (video.srcObject) start();
    },
    /** Starts the sound after the click that browsers require. */
    unlock() {
      if (video.srcObject) start();
    },
    measure() {
      const loud = sound.level();
      bar.style.clipPath = `inset(0 ${Math.round(100 - loud * 100)}% 0 0)`;
      return loud;
    },
    stop() {
      unfollow();
      sound.stop();
      video.srcObject = null;
    },
  };

  /** Called again for each track that a stream gets. @param {MediaStream | null} stream */
  function listenTo(stream) {
    sound.stop();
    sound = stream ? meter(stream) : { level: () => 0, stop() {} };
  }
}
