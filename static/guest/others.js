/** The other people of the stage, as a guest sees and hears them. */
import { byId, h } from '../lib/dom.js';
import { followHeight } from '../lib/height.js';

/** @typedef {import('../lib/stage/client.js').Participant} Participant */
/** @typedef {ReturnType<typeof createOthers>} Others */

/** @param {{changed: () => void, fit: (id: string, lines: number) => void}} about */
export function createOthers({ changed, fit }) {
  /** @type {Participant[]} */
  let present = [];
  const players = createPlayers(fit);

  return {
    get publishing() {
      return present.filter((p) => p.publishing);
    },
    on: {
      /** @param {Participant[]} list */
      participants(list) {
        present = list;
        players.keep(list.map((p) => p.id));
        changed();
      },
      /** @param {string} id @param {MediaStream} stream */
      stream(id, stream) {
        const video = players.video(id);
        if (video.srcObject !== stream) video.srcObject = stream;
        start(video);
      },
      removed: players.drop,
      link() {},
    },
    /** Attaches each video only once, because a video that is moved in the page stops playing. */
    mount() {
      for (const { id, name, publishing } of present) {
        if (!publishing) continue;
        const video = players.video(id);
        video.ariaLabel = name;
        const frame = byId(`other-${id}`);
        if (video.parentNode !== frame) frame.append(video);
      }
    },
    clear() {
      players.keep([]);
      present = [];
    },
  };
}

/**
 * Starts a video. If the person has not clicked since a reload, the browser allows no sound. Then
 * the picture starts at once, and the sound at the next click.
 * @param {HTMLVideoElement} video
 */
function start(video) {
  video
    .play()
    .catch((err) => {
      if (err.name !== 'NotAllowedError') return;
      video.muted = true;
      addEventListener(
        'pointerdown',
        () => {
          video.muted = false;
        },
        { once: true },
      );
      return video.play();
    })
    .catch(() => {});
}

/** One video for each participant. @param {(id: string, lines: number) => void} fit */
function createPlayers(fit) {
  /** @type {Map<string, {video: HTMLVideoElement, unfollow: () => void}>} */
  const players = new Map();

  /** @param {string} id */
  function drop(id) {
    const known = players.get(id);
    if (!known) return;
    known.unfollow();
    known.video.srcObject = null;
    players.delete(id);
    fit(id, 0);
  }

  return {
    drop,
    /** @param {string} id */
    video(id) {
      const known = players.get(id);
      if (known) return known.video;
      const video = h('video', { autoplay: true, playsInline: true });
      players.set(id, { video, unfollow: followHeight(video, (lines) => fit(id, lines)) });
      return video;
    },
    /** @param {string[]} ids the participants who are still there */
    keep(ids) {
      for (const id of [...players.keys()]) if (!ids.includes(id)) drop(id);
    },
  };
}
