/**
 * The tiles of the participants who are shown: each has a video, a level meter and a connection.
 */
import { byId } from '../lib/dom.js';
import { createTile } from './tile.js';

const SILENCE = 0.02;
const SILENT_AFTER = 5_000;

/**
 * @typedef {import('../lib/stage/client.js').Link} Link
 * @typedef {{link: Link, silent: boolean}} Known
 * @typedef {Known & {tile: ReturnType<typeof createTile>, heardAt: number}} Entry
 *
 * @param {object} about
 * @param {() => void} about.changed
 * @param {() => void} about.blocked the browser wants a click before there is sound
 * @param {(id: string, lines: number) => void} about.fit
 */
export function createTiles({ changed, blocked, fit }) {
  /** @type {Map<string, Entry>} */
  const tiles = new Map();
  /** @type {Map<string, MediaStream>} */
  const streams = new Map();

  /** @param {string} id */
  function remove(id) {
    tiles.get(id)?.tile.stop();
    tiles.delete(id);
    fit(id, 0);
  }

  /** @param {import('./people.js').Card} card */
  function add({ participant: { id, name }, muted }) {
    const tile = createTile({ name, height: (lines) => fit(id, lines), blocked });
    tiles.set(id, { tile, link: 'connecting', heardAt: Date.now(), silent: false });
    tile.mute(muted);
    tile.play(streams.get(id) ?? null);
  }

  return {
    /** @param {string} id @returns {Known} */
    get: (id) => tiles.get(id) ?? { link: 'connecting', silent: false },
    /** @param {string} id @param {MediaStream | null} stream */
    play(id, stream) {
      if (stream) streams.set(id, stream);
      else streams.delete(id);
      tiles.get(id)?.tile.play(stream);
    },
    /** @param {string} id @param {Link} link */
    link(id, link) {
      const known = tiles.get(id);
      if (known) {
        known.link = link;
        changed();
      }
    },
    /**
     * Has a tile for every participant who is shown, and no other.
     * @param {import('./people.js').Card[]} cards
     */
    follow(cards) {
      const shown = cards.filter((c) => !c.hidden);
      for (const id of [...tiles.keys()])
        if (!shown.some((c) => c.participant.id === id)) remove(id);
      for (const c of shown) {
        if (!tiles.has(c.participant.id)) add(c);
        tiles.get(c.participant.id)?.tile.mute(c.muted);
      }
    },
    mount() {
      for (const [id, { tile }] of tiles) mount(id, tile);
    },
    /** @param {boolean} isBlocked nothing is heard anyway */
    measure(isBlocked) {
      if (document.hidden) return;
      const turned = [...tiles.values()].filter((entry) => turnedSilent(entry, isBlocked));
      if (turned.length > 0) changed();
    },
    unlock() {
      for (const { tile } of tiles.values()) tile.unlock();
    },
    clear() {
      for (const { tile } of tiles.values()) tile.stop();
      tiles.clear();
      streams.clear();
    },
  };
}

/**
 * A video that plays is never moved.
 * @param {string} id
 * @param {ReturnType<typeof createTile>} tile
 */
function mount(id, tile) {
  const screen = byId(`screen-${id}`);
  if (tile.video.parentNode !== screen) screen.append(tile.video);
  const meter = byId(`meter-${id}`);
  if (tile.bar.parentNode !== meter) meter.append(tile.bar);
}

/**
 * Measures, and reports whether the participant fell silent or is heard again.
 * @param {Entry} entry
 * @param {boolean} isBlocked
 */
function turnedSilent(entry, isBlocked) {
  if (entry.tile.measure() > SILENCE) entry.heardAt = Date.now();
  const silent =
    entry.link === 'connected' && Date.now() - entry.heardAt > SILENT_AFTER && !isBlocked;
  const turned = silent !== entry.silent;
  entry.silent = silent;
  return turned;
}
