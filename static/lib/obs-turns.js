/**
 * Decides when a request may be sent to OBS. OBS 30.2 and 32.2 crash when they receive a request
 * about the stream while they switch profiles. So no request, except another switch, is sent from
 * CurrentProfileChanging until one second after the last CurrentProfileChanged, no matter which
 * program switched. Two Stagedoor clients of one OBS also take turns: a client that sets OBS up
 * claims it by a custom event, and the others wait.
 */

/** Milliseconds after the last CurrentProfileChanged. */
const QUIET = 1_000;

/**
 * Milliseconds that a switch may take: OBS may ask about its audio settings in a dialog, and wait
 * for the person.
 */
export const SWITCH_LIMIT = 60_000;

/**
 * Milliseconds for which a claim is valid. Each step of a set-up renews it, and so does each switch
 * of profiles, during which no step can end.
 */
const CLAIM = 20_000;

/**
 * How long a new connection waits before its first request, as a share of the pause after a switch.
 * Meanwhile, another client can repeat its claim.
 */
const LISTEN = 1 / 4;

/** The requests that switch profiles themselves. They do not wait. */
const SWITCHES = Object.freeze(['SetCurrentProfile', 'CreateProfile']);

/**
 * @typedef {object} Dependencies
 * @property {() => number} now
 * @property {string} id of this client
 * @property {() => void} repeat broadcasts the claim again, because another client has just
 *   connected
 * @property {number} [quiet] milliseconds between a switch of profiles and the next request
 */

export class Turns {
  #deps;
  #quiet;
  #quietUntil = 0;
  /** The client that sets OBS up, and the time until which its claim is valid. */
  #owner = { id: '', until: 0 };
  /** @type {Set<() => void>} */
  #waiting = new Set();

  /** @param {Dependencies} deps */
  constructor(deps) {
    this.#deps = deps;
    this.#quiet = deps.quiet ?? QUIET;
  }

  /** @param {string} event @param {any} data */
  heard(event, data) {
    if (event === 'CurrentProfileChanging') this.#switching(SWITCH_LIMIT, SWITCH_LIMIT + CLAIM);
    else if (event === 'CurrentProfileChanged') this.#switching(this.#quiet, CLAIM);
    else if (event === 'CustomEvent' && data?.stagedoor) this.#claimed(data.stagedoor);
    else return;
    this.#wake();
  }

  /** Resolves when the request may be sent. @param {string} request @returns {Promise<void>} */
  async wait(request) {
    while (!SWITCHES.includes(request) && this.#left() > 0) {
      await new Promise((resolve) => {
        const timer = setTimeout(() => done(), this.#left());
        const done = () => {
          clearTimeout(timer);
          this.#waiting.delete(done);
          resolve(undefined);
        };
        this.#waiting.add(done);
      });
    }
  }

  /** A new connection starts without the state of the previous one. */
  reset() {
    this.#quietUntil = this.#deps.now() + this.#quiet * LISTEN;
    this.#owner = { id: '', until: 0 };
    this.#wake();
  }

  get mine() {
    return this.#owned() && this.#owner.id === this.#deps.id;
  }

  get asks() {
    return { stagedoor: { asks: this.#deps.id } };
  }

  get claim() {
    return { stagedoor: { claim: this.#deps.id } };
  }

  get release() {
    return { stagedoor: { release: this.#deps.id } };
  }

  #owned() {
    return this.#owner.id !== '' && this.#owner.until > this.#deps.now();
  }

  /** Milliseconds until the next request may be sent. */
  #left() {
    const now = this.#deps.now();
    const claimed = this.#owned() && !this.mine ? this.#owner.until - now : 0;
    return Math.max(this.#quietUntil - now, claimed);
  }

  /** @param {any} data of a custom event */
  #claimed({ claim, release, asks }) {
    if (asks && this.mine) this.#deps.repeat();
    if (release && release === this.#owner.id) this.#owner = { id: '', until: 0 };
    if (claim && (!this.#owned() || this.#owner.id === claim))
      this.#owner = { id: claim, until: this.#deps.now() + CLAIM };
  }

  /** @param {number} quiet @param {number} life of a valid claim of any client */
  #switching(quiet, life) {
    const now = this.#deps.now();
    this.#quietUntil = now + quiet;
    if (this.#owned()) this.#owner.until = now + life;
  }

  #wake() {
    for (const look of [...this.#waiting]) look();
  }
}
