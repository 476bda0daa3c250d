/**
 * When OBS may be asked. OBS 30.2 and 32.2 crash when they are asked about the stream while they
 * switch profiles, so nothing is requested from CurrentProfileChanging until one second after the
 * last CurrentProfileChanged, whatever caused it. And two Stagedoor clients on one OBS take turns:
 * one that sets OBS up says so by a custom event, and the others wait.
 */

/** Milliseconds after the last CurrentProfileChanged. */
const QUIET = 1_000;

/**
 * Milliseconds that a switch may take: OBS may ask about its audio settings in a box, and wait for
 * the person.
 */
export const SWITCH_LIMIT = 60_000;

/** Milliseconds for which a claim counts; it is renewed with each step. */
const CLAIM = 20_000;

/** The share of it that a new connection waits, for a client that sets OBS up to say so. */
const LISTEN = 1 / 4;

/** What switches profiles itself, and so does not wait. */
const SWITCHES = Object.freeze(['SetCurrentProfile', 'CreateProfile']);

/**
 * @param {object} world
 * @param {() => number} world.now
 * @param {string} world.id of this client
 * @param {() => void} world.repeat broadcasts the claim again: another client has just connected
 * @param {number} [world.quiet]
 */
export function createTurns({ now, id, repeat, quiet = QUIET }) {
  let quietUntil = 0;
  let owner = { id: '', until: 0 };
  /** @type {Set<() => void>} */
  const waiting = new Set();

  const wake = () => {
    for (const look of [...waiting]) look();
  };
  const owned = () => owner.id !== '' && owner.until > now();
  /** Milliseconds until something may be requested. */
  const left = () =>
    Math.max(quietUntil - now(), owned() && owner.id !== id ? owner.until - now() : 0);

  /** @param {any} data of a custom event */
  function claimed({ claim, release, asks }) {
    if (asks && owned() && owner.id === id) repeat();
    if (release && release === owner.id) owner = { id: '', until: 0 };
    if (claim && (!owned() || owner.id === claim)) owner = { id: claim, until: now() + CLAIM };
  }

  return {
    /** @param {string} event @param {any} data */
    heard(event, data) {
      if (event === 'CurrentProfileChanging') quietUntil = now() + SWITCH_LIMIT;
      else if (event === 'CurrentProfileChanged') quietUntil = now() + quiet;
      else if (event === 'CustomEvent' && data?.stagedoor) claimed(data.stagedoor);
      else return;
      wake();
    },
    /** Resolves when the request may be sent. @param {string} request @returns {Promise<void>} */
    async wait(request) {
      while (!SWITCHES.includes(request) && left() > 0) {
        await new Promise((resolve) => {
          const timer = setTimeout(() => done(), left());
          const done = () => {
            clearTimeout(timer);
            waiting.delete(done);
            resolve(undefined);
          };
          waiting.add(done);
        });
      }
    },
    /** A new connection knows nothing of the one before, nor of what is going on. */
    reset() {
      quietUntil = now() + quiet * LISTEN;
      owner = { id: '', until: 0 };
      wake();
    },
    get mine() {
      return owned() && owner.id === id;
    },
    get asks() {
      return { stagedoor: { asks: id } };
    },
    get claim() {
      return { stagedoor: { claim: id } };
    },
    get release() {
      return { stagedoor: { release: id } };
    },
  };
}
