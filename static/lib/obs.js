/**
 * The only module that sends requests to OBS. It adds to obs-websocket-js what a page that stays
 * open for days needs: a time limit on every request (the library's pending calls never settle when
 * the socket closes), one request at a time (obs-websocket answers out of order otherwise),
 * reconnection, and turns (obs-turns.js).
 */
import { growing, sleep } from './events.js';
import { Turns } from './obs-turns.js';

/** General | Config | Outputs: obs-websocket's EventSubscription bits that a dock needs. */
const SUBSCRIPTIONS = 67;

/** RequestStatus codes that the pages handle (obs-websocket protocol, "RequestStatus"). */
export const CODE = Object.freeze({
  unknownRequest: 204,
  notReady: 207,
  outputRunning: 500,
  outputNotRunning: 501,
  notAvailable: 604,
  creationFailed: 700,
});

/** WebSocket close codes that the pages handle. */
const CLOSE = Object.freeze({ wrongPassword: 4009, badVersion: 4010, kicked: 4011 });

/**
 * The reason why OBS refused a request or failed. The message comes from OBS, or is a key of
 * static/strings.
 */
export class ObsError extends Error {
  /** @param {number | 'timeout' | 'closed'} code @param {string} message @param {string} request */
  constructor(code, message, request) {
    super(message);
    this.name = 'ObsError';
    this.code = code;
    this.request = request;
  }
}

/**
 * off: not opened, or closed · connecting · starting: OBS is loading and answers 207 · ready ·
 * lost: retries at `retryAt` · password: needs another password · kicked, unsupported: no retry
 * without a click
 * @typedef {'off' | 'connecting' | 'starting' | 'ready' | 'lost' | 'password' | 'kicked' |
 *   'unsupported'} ObsPhase
 * @typedef {{phase: ObsPhase, url: string, attempts: number, retryAt: number, everReady: boolean,
 *   triedPassword: boolean}} ObsStatus
 * @typedef {{obsVersion: string, obsWebSocketVersion: string, platform: string, availableRequests:
 *   string[]}} ObsVersion
 *
 * @typedef {object} ObsCaller - the part of Obs that other modules use; tests have a fake of it
 * @property {(request: string, data?: Record<string, any>, options?: {limit?: number}) =>
 *   Promise<any>} call
 * @property {(event: string, handler: (data: any) => void) => () => void} on
 * @property {() => Promise<Turn>} takeTurn keeps the other Stagedoor clients of this OBS waiting
 *
 * @typedef {{renew: () => Promise<unknown>, end: () => Promise<unknown>}} Turn
 */

/**
 * The longest pause between two attempts to connect, in milliseconds, without its random part. OBS
 * runs on this computer, and may start at any moment.
 */
const LOOK_AGAIN = 2_000;

/**
 * @typedef {object} Dependencies
 * @property {new () => any} Socket the library's class
 * @property {(status: ObsStatus) => void} onStatus
 * @property {(ms: number) => Promise<void>} [pause]
 * @property {() => number} [now]
 * @property {() => number} [random]
 * @property {number} [limit] milliseconds for a request
 * @property {number} [connectLimit] milliseconds; long, because a browser may ask the person for
 *   permission meanwhile
 * @property {number} [quiet] milliseconds between a switch of profiles and the next request
 */

/** A connection to OBS that is reopened whenever it breaks. */
export class Obs {
  #line;
  #onStatus;
  #pause;
  #now;
  #random;
  /** @type {ObsStatus} */
  #status = {
    phase: 'off',
    url: '',
    attempts: 0,
    retryAt: 0,
    everReady: false,
    triedPassword: false,
  };
  /** Increases with each open() and close(), which end the work of an earlier open(). */
  #generation = 0;
  #wake = () => {};

  /** @param {Dependencies} deps */
  constructor(deps) {
    const { onStatus, pause = sleep, now = Date.now, random = Math.random } = deps;
    this.#line = new Line(deps);
    this.#onStatus = onStatus;
    this.#pause = pause;
    this.#now = now;
    this.#random = random;
    this.call = this.#line.call;
    this.on = this.#line.on;
  }

  /** @param {string} url @param {string} password */
  async open(url, password) {
    this.close();
    const mine = ++this.#generation;
    const current = () => mine === this.#generation;
    const triedPassword = password !== '';
    this.#become({ phase: 'connecting', url, attempts: 0, everReady: false, triedPassword });
    for (let attempts = 1; current(); attempts++) {
      const code = await this.#line.session(url, password, {
        current,
        starting: () => this.#become({ phase: 'starting' }),
        ready: () => {
          attempts = 1;
          this.#become({ phase: 'ready', attempts: 0, everReady: true });
        },
      });
      if (!current()) return;
      const end = ENDS[code];
      if (end) return this.#become({ phase: end });
      await this.#rest(attempts);
      if (current()) this.#become({ phase: 'connecting' });
    }
  }

  close() {
    this.#generation++;
    this.#wake();
    this.#line.close();
    if (this.#status.phase !== 'off') this.#become({ phase: 'off', attempts: 0 });
  }

  /** Tries to connect at once, without waiting for the pause. */
  hurry() {
    this.#wake();
  }

  /** @returns {Promise<Turn>} */
  takeTurn() {
    return this.#line.takeTurn();
  }

  get version() {
    return this.#line.version;
  }

  get status() {
    return this.#status;
  }

  /** The pause between two attempts, which hurry() ends. @param {number} attempts */
  async #rest(attempts) {
    const random = this.#random;
    const ms = Math.min(growing(attempts + 1, random()), LOOK_AGAIN + random() * 1_000);
    this.#become({ phase: 'lost', attempts, retryAt: this.#now() + ms });
    await Promise.race([
      this.#pause(ms),
      new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
      }),
    ]);
  }

  /** @param {Partial<ObsStatus>} change */
  #become(change) {
    this.#status = { ...this.#status, ...change };
    this.#onStatus(this.#status);
  }
}

/**
 * The phases after certain close codes. After any other code the page tries to connect again.
 * @type {Record<number, ObsPhase>}
 */
const ENDS = Object.freeze({
  [CLOSE.wrongPassword]: 'password',
  [CLOSE.kicked]: 'kicked',
  [CLOSE.badVersion]: 'unsupported',
});

/** The readyState of an open WebSocket. */
const OPEN = 1;

/** Holds the connections to one OBS, one after the other. */
class Line {
  /** The library's object of the current connection. @type {any} */
  #socket = null;
  /** @type {ObsVersion | null} */
  version = null;
  #Socket;
  #pause;
  #limit;
  #connectLimit;
  #handlers = createHandlers();
  #limits = createLimits();
  #turns;
  #send;

  /** @param {Dependencies} deps */
  constructor({
    Socket,
    pause = sleep,
    now = Date.now,
    limit = 10_000,
    connectLimit = 30_000,
    quiet,
  }) {
    this.#Socket = Socket;
    this.#pause = pause;
    this.#limit = limit;
    this.#connectLimit = connectLimit;
    this.#turns = new Turns({
      now,
      id: Math.random().toString(36).slice(2),
      repeat: () => this.#broadcast(this.#turns.claim),
      quiet,
    });
    const { call, send } = createCalls({
      socket: () => this.#open(),
      turns: this.#turns,
      limits: this.#limits,
      pause,
      limit,
    });
    this.#send = send;
    this.call = call;
    this.on = this.#handlers.on;
  }

  /**
   * One connection from open to close. Returns the close code.
   * @param {string} url @param {string} password
   * @param {{current: () => boolean, starting: () => void, ready: () => void}} on
   * @returns {Promise<number>}
   */
  async session(url, password, on) {
    const ws = new this.#Socket();
    const closed = this.#listen(ws);
    const options = { rpcVersion: 1, eventSubscriptions: SUBSCRIPTIONS };
    try {
      const connected = ws.connect(url, password || undefined, options);
      await this.#limits.within(this.#connectLimit, 'connect', connected);
      if (!on.current()) return leave(ws);
      this.#socket = ws;
      const ask = () => this.#send('GetVersion', undefined, this.#limit);
      this.version = await loaded(ask, closed, on, this.#pause);
      this.#turns.reset();
      this.#broadcast(this.#turns.asks);
      on.ready();
      return await closed;
    } catch (/** @type {any} */ err) {
      leave(ws);
      return typeof err?.code === 'number' && err.code > 0 ? err.code : 1006;
    } finally {
      if (this.#socket === ws) this.#drop();
    }
  }

  close() {
    const ws = this.#socket;
    if (!ws) return;
    this.#drop();
    leave(ws);
  }

  takeTurn() {
    return takeTurn(this.call, this.#turns, this.#pause);
  }

  /** Passes events on. @param {any} ws @returns {Promise<number>} the code with which it closes */
  #listen(ws) {
    everyEvent(ws, (event, data) => {
      this.#turns.heard(event, data);
      this.#handlers.tell(event, data);
    });
    return new Promise((resolve) => {
      ws.on('ConnectionClosed', (/** @type {{code: number}} */ e) => resolve(e?.code ?? 1006));
    });
  }

  /** Sends an event to the other Stagedoor clients of this OBS. @param {object} eventData */
  #broadcast(eventData) {
    const sent = this.#open()?.call('BroadcastCustomEvent', { eventData });
    void Promise.resolve(sent).catch(() => {});
  }

  /**
   * Returns the connection, unless it is closing. Its close event comes later, and the browser logs
   * an error for a message that is sent meanwhile, for example while the page is left.
   */
  #open() {
    const state = this.#socket?.socket?.readyState ?? OPEN;
    return state === OPEN ? this.#socket : null;
  }

  #drop() {
    this.#socket = null;
    this.#limits.fail();
  }
}

/**
 * Sends the first request, and repeats it until OBS has finished loading.
 * @param {() => Promise<ObsVersion>} ask
 * @param {Promise<number>} closed
 * @param {{current: () => boolean, starting: () => void}} on
 * @param {(ms: number) => Promise<void>} pause
 * @returns {Promise<ObsVersion>}
 */
async function loaded(ask, closed, on, pause) {
  for (let tries = 1; ; tries++) {
    try {
      return await Promise.race([
        ask(),
        closed.then((code) => {
          throw new ObsError(code, '', 'GetVersion');
        }),
      ]);
    } catch (/** @type {any} */ err) {
      if (err.code !== CODE.notReady || !on.current()) throw err;
      on.starting();
      await pause(Math.min(250 * tries, 2000));
    }
  }
}

/**
 * Waits until no other Stagedoor client sets OBS up, and then makes the others wait.
 * @param {ObsCaller['call']} call
 * @param {Turns} turns
 * @param {(ms: number) => Promise<void>} pause
 * @returns {Promise<Turn>}
 */
async function takeTurn(call, turns, pause) {
  const claim = () => call('BroadcastCustomEvent', { eventData: turns.claim });
  for (let tries = 0; !turns.mine; tries++) {
    if (tries === 50) throw new ObsError('timeout', 'obs.timeout', 'BroadcastCustomEvent');
    await claim();
    if (!turns.mine) await pause(100); // the claim is not back, or another client has the turn
  }
  return {
    renew: claim,
    end: () => call('BroadcastCustomEvent', { eventData: turns.release }).catch(() => {}),
  };
}

/**
 * Calls the function `tell` for every event of the library, without a list of names.
 * @param {any} ws
 * @param {(event: string, data: any) => void} tell
 */
function everyEvent(ws, tell) {
  const emit = ws.emit;
  ws.emit = (/** @type {string} */ event, /** @type {any} */ data) => {
    tell(event, data);
    return emit.call(ws, event, data);
  };
}

/** @param {any} ws */
function leave(ws) {
  void Promise.resolve(ws.disconnect?.()).catch(() => {});
  return 1000;
}

function createHandlers() {
  /** @type {Map<string, Set<(data: any) => void>>} */
  const handlers = new Map();
  return {
    /** @param {string} event @param {any} data */
    tell(event, data) {
      for (const handler of handlers.get(event) ?? []) handler(data);
    },
    /** @type {ObsCaller['on']} */
    on(event, handler) {
      const set = handlers.get(event) ?? new Set();
      handlers.set(event, set.add(handler));
      return () => set.delete(handler);
    },
  };
}

/**
 * Adds time limits to calls, because the library's pending calls never settle when the socket
 * closes.
 */
function createLimits() {
  /** Each rejects a call that waits for a response. @type {Set<(err: ObsError) => void>} */
  const pending = new Set();
  return {
    /**
     * @template T
     * @param {number} ms @param {string} request @param {Promise<T>} answer
     * @returns {Promise<T>}
     */
    within(ms, request, answer) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => settle(() => reject(new ObsError('timeout', 'obs.timeout', request))),
          ms,
        );
        /** @param {() => void} how */
        const settle = (how) => {
          clearTimeout(timer);
          pending.delete(onClosed);
          how();
        };
        /** @param {ObsError} err */
        const onClosed = (err) => settle(() => reject(err));
        if (request !== 'connect') pending.add(onClosed);
        answer.then(
          (value) => settle(() => resolve(value)),
          (err) => settle(() => reject(err)),
        );
      });
    },
    fail() {
      for (const reject of [...pending]) reject(new ObsError('closed', 'obs.closed', ''));
      pending.clear();
    },
  };
}

/**
 * @param {{socket: () => any, turns: Turns, limits: ReturnType<typeof createLimits>, pause: (ms:
 *   number) => Promise<void>, limit: number}} deps
 */
function createCalls({ socket, turns, limits, pause, limit }) {
  /** @type {Promise<unknown>} */
  let queue = Promise.resolve();

  /** @param {string} request @param {Record<string, any> | undefined} data @param {number} ms */
  async function send(request, data, ms) {
    if (!socket()) throw new ObsError('closed', 'obs.closed', request);
    try {
      return await limits.within(ms, request, socket().call(request, data));
    } catch (/** @type {any} */ err) {
      if (err instanceof ObsError) throw err;
      const code = typeof err?.code === 'number' ? err.code : 'closed';
      throw new ObsError(
        code,
        err?.message || (code === 'closed' ? 'obs.closed' : `${code}`),
        request,
      ); // status 500 of StartStream has no comment
    }
  }

  /**
   * Sends a request when `turns` allows it. Sends it again while OBS changes its scene collection
   * (207).
   * @param {string} request
   * @param {any} data
   * @param {number} ms
   */
  async function patient(request, data, ms) {
    for (let tries = 1; ; tries++) {
      await turns.wait(request);
      try {
        return await send(request, data, ms);
      } catch (/** @type {any} */ err) {
        if (err.code !== CODE.notReady || tries > 20) throw err;
        await pause(250);
      }
    }
  }

  return {
    send,
    /** @type {ObsCaller['call']} */
    call(request, data, options) {
      const answer = queue.then(() => patient(request, data, options?.limit ?? limit));
      queue = answer.catch(() => {});
      return answer;
    },
  };
}

/**
 * Waits for an event that passes the test. Resolves to undefined after the time limit.
 * @template T
 * @param {ObsCaller} obs
 * @param {string} event
 * @param {(data: any) => boolean} test
 * @param {number} ms
 * @returns {{done: Promise<T | undefined>, cancel: () => void}}
 */
export function expectEvent(obs, event, test, ms) {
  let cancel = () => {};
  const done = new Promise((resolve) => {
    const timer = setTimeout(() => cancel(), ms);
    const off = obs.on(event, (data) => {
      if (test(data)) finish(data);
    });
    /** @param {any} [data] */
    const finish = (data) => {
      clearTimeout(timer);
      off();
      resolve(data);
    };
    cancel = () => finish();
  });
  return { done, cancel };
}

/**
 * Parses an address of OBS that a person typed.
 * @param {string} text @param {number} [port]
 * @returns {{url: string, host: string, local: boolean} | null}
 */
export function obsAddress(text, port = 4455) {
  const trimmed = text
    .trim()
    .replace(/^wss?:\/\//i, '')
    .replace(/\/.*$/, '');
  if (trimmed === '') return { url: `ws://127.0.0.1:${port}`, host: '127.0.0.1', local: true };
  if (/^\d{1,5}$/.test(trimmed)) return obsAddress(`127.0.0.1:${trimmed}`);
  try {
    const url = new URL(`ws://${trimmed}`);
    const host = url.hostname;
    const local = host === '127.0.0.1' || host === 'localhost' || host === '[::1]';
    // The Content-Security-Policy allows 127.0.0.1 and localhost, but not [::1]. OBS also listens
    // on 127.0.0.1.
    return {
      url: `ws://${host === '[::1]' ? '127.0.0.1' : host}:${url.port || port}`,
      host,
      local,
    };
  } catch {
    return null;
  }
}

/**
 * The probable reason why this page cannot reach OBS, as far as a page can know it.
 * @param {{origin: string, secure: boolean, embedded: boolean, chromium: number, permission:
 *   string, address: {local: boolean}, inObs: boolean}} page
 * @returns {'other_computer' | 'blocked' | 'insecure' | 'ask' | 'off'}
 */
export function whyUnreachable({ origin, secure, chromium, permission, address, inObs, embedded }) {
  if (!address.local) return 'other_computer';
  // Docks need no permission, since OBS up to 32.2 has a Chromium without Local Network Access. A
  // page from this computer needs none, either.
  if (inObs || /^https?:\/\/(127\.|localhost|\[::1\])/.test(origin)) return 'off';
  // Local Network Access: Chrome has this permission since version 142, and requires it for
  // WebSockets since version 147. Pages without https cannot ask for it: the browser reports
  // "denied", and the person cannot change that.
  if (chromium >= 142 && (!secure || embedded)) return 'insecure';
  if (permission === 'denied') return 'blocked';
  if (chromium >= 142 && permission === 'prompt') return 'ask';
  return 'off';
}
