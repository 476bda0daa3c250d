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
 * @typedef {object} About
 * @property {() => void} changed
 * @property {() => void} blocked called when the browser requires a click before it plays sound
 * @property {(id: string, lines: number) => void} fit
 */

export class Tiles {
  #about;
  /** @type {Map<string, Entry>} */
  #tiles = new Map();
  /** @type {Map<string, MediaStream>} */
  #streams = new Map();

  /** @param {About} about */
  constructor(about) {
    this.#about = about;
  }

  /** @param {string} id @returns {Known} */
  get(id) {
    return this.#tiles.get(id) ?? { link: 'connecting', silent: false };
  }

  /** @param {string} id @param {MediaStream | null} stream */
  play(id, stream) {
    if (stream) this.#streams.set(id, stream);
    else this.#streams.delete(id);
    this.#tiles.get(id)?.tile.play(stream);
  }

  /** @param {string} id @param {Link} link */
  link(id, link) {
    const known = this.#tiles.get(id);
    if (!known) return;
    known.link = link;
    this.#about.changed();
  }

  /**
   * Keeps a tile for every participant who is shown, and removes the others.
   * @param {import('./people.js').Card[]} cards
   */
  follow(cards) {
    const shown = cards.filter((c) => !c.hidden);
    for (const id of [...this.#tiles.keys()])
      if (!shown.some((c) => c.participant.id === id)) this.#remove(id);
    for (const c of shown) {
      if (!this.#tiles.has(c.participant.id)) this.#add(c);
      this.#tiles.get(c.participant.id)?.tile.mute(c.muted);
    }
  }

  mount() {
    for (const [id, { tile }] of this.#tiles) mount(id, tile);
  }

  /** @param {boolean} isBlocked whether the browser blocks all sound */
  measure(isBlocked) {
    if (document.hidden) return;
    const turned = [...this.#tiles.values()].filter((entry) => turnedSilent(entry, isBlocked));
    if (turned.length > 0) this.#about.changed();
  }

  unlock() {
    for (const { tile } of this.#tiles.values()) tile.unlock();
  }

  clear() {
    for (const { tile } of this.#tiles.values()) tile.stop();
    this.#tiles.clear();
    this.#streams.clear();
  }

  /** @param {import('./people.js').Card} card */
  #add({ participant: { id, name }, muted }) {
    const { fit, blocked } = this.#about;
    const tile = createTile({ name, height: (lines) => fit(id, lines), blocked });
    this.#tiles.set(id, { tile, link: 'connecting', heardAt: Date.now(), silent: false });
    tile.mute(muted);
    tile.play(this.#streams.get(id) ?? null);
  }

  /** @param {string} id */
  #remove(id) {
    this.#tiles.get(id)?.tile.stop();
    this.#tiles.delete(id);
    this.#about.fit(id, 0);
  }
}

/**
 * Puts the video into the page only once, because a video that is moved stops playing.
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
 * Measures the level, and reports whether the participant has become silent or audible.
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
