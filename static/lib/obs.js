/**
 * The one module that talks to OBS. Around obs-websocket-js it puts what a page that stays open for days needs: a time limit
 * on every request (the library's pending calls never settle when the socket closes), one request at a time (obs-websocket
 * answers out of order otherwise), and reconnection with growing pauses.
 */
import { growing, sleep } from './events.js';

/** General | Config | Outputs: obs-websocket's EventSubscription bits that a dock needs. */
const SUBSCRIPTIONS = 67;

/** RequestStatus codes that we act on (obs-websocket protocol, "RequestStatus"). */
export const CODE = Object.freeze({ unknownRequest: 204, notReady: 207, outputRunning: 500, outputNotRunning: 501, exists: 601, notAvailable: 604, creationFailed: 700 });

/** WebSocket close codes that we act on. 4007 comes when the salt of a restarted server is missed. */
const CLOSE = Object.freeze({ wrongPassword: 4009, badVersion: 4010, kicked: 4011 });

/** Why OBS did not do what it was asked. The message is OBS's own, or a key of strings.js. */
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
 * off: nobody asked yet · connecting · starting: OBS answers 207 · ready · lost: tries again at `retryAt` ·
 * password: needs another one · kicked and unsupported: wait for the person
 * @typedef {'off' | 'connecting' | 'starting' | 'ready' | 'lost' | 'password' | 'kicked' | 'unsupported'} ObsPhase
 * @typedef {{phase: ObsPhase, url: string, attempts: number, retryAt: number, everReady: boolean, triedPassword: boolean}} ObsStatus
 * @typedef {{obsVersion: string, obsWebSocketVersion: string, platform: string, availableRequests: string[]}} ObsVersion
 *
 * What the other modules need of OBS; the tests have one without a socket.
 * @typedef {object} ObsCaller
 * @property {(request: string, data?: Record<string, any>, options?: {limit?: number}) => Promise<any>} call
 * @property {(event: string, handler: (data: any) => void) => () => void} on
 */

/**
 * @param {object} world
 * @param {new () => any} world.Socket the library's class
 * @param {(status: ObsStatus) => void} world.onStatus
 * @param {(ms: number) => Promise<void>} [world.pause]
 * @param {() => number} [world.now]
 * @param {() => number} [world.random]
 * @param {number} [world.limit] milliseconds for a request
 * @param {number} [world.connectLimit] milliseconds; long, because a browser may ask the person for permission meanwhile
 */
export function createObs({ Socket, onStatus, pause = sleep, now = Date.now, random = Math.random, limit = 10_000, connectLimit = 30_000 }) {
  /** @type {ObsStatus} */
  let status = { phase: 'off', url: '', attempts: 0, retryAt: 0, everReady: false, triedPassword: false };
  /** @type {any} the library's object of the connection that stands */
  let socket = null;
  /** @type {ObsVersion | null} */
  let version = null;
  let generation = 0; // open() and close() end what an earlier open() began
  let wake = () => {};
  /** @type {Promise<unknown>} */
  let queue = Promise.resolve();
  /** @type {Map<string, Set<(data: any) => void>>} */
  const handlers = new Map();
  /** Rejects whatever waits for an answer of the connection that stands. @type {Set<(err: ObsError) => void>} */
  const pending = new Set();

  /** @param {Partial<ObsStatus>} change */
  function tell(change) {
    status = { ...status, ...change };
    onStatus(status);
  }

  /** @param {string} url @param {string} password */
  async function open(url, password) {
    close();
    const mine = ++generation;
    tell({ phase: 'connecting', url, attempts: 0, everReady: false, triedPassword: password !== '' });
    for (let attempts = 1; mine === generation; attempts++) {
      const code = await session(url, password, () => mine === generation, () => { attempts = 1; });
      if (mine !== generation) return;
      if (code === CLOSE.wrongPassword) return tell({ phase: 'password' });
      if (code === CLOSE.kicked) return tell({ phase: 'kicked' });
      if (code === CLOSE.badVersion) return tell({ phase: 'unsupported' });
      const ms = growing(attempts + 1, random());
      tell({ phase: 'lost', attempts, retryAt: now() + ms });
      await Promise.race([pause(ms), new Promise((resolve) => { wake = () => resolve(undefined); })]);
      if (mine === generation) tell({ phase: 'connecting' });
    }
  }

  /**
   * One connection from open to close; answers the close code.
   * @param {string} url @param {string} password @param {() => boolean} current @param {() => void} stood
   * @returns {Promise<number>}
   */
  async function session(url, password, current, stood) {
    const ws = new Socket();
    /** @type {Promise<number>} */
    const closed = new Promise((resolve) => {
      ws.on('ConnectionClosed', (/** @type {{code: number}} */ e) => resolve(e?.code ?? 1006));
    });
    const emit = ws.emit;
    ws.emit = (/** @type {string} */ event, /** @type {any} */ data) => { // every event, without naming each
      for (const handler of handlers.get(event) ?? []) handler(data);
      return emit.call(ws, event, data);
    };
    try {
      await within(connectLimit, 'connect', ws.connect(url, password || undefined, { rpcVersion: 1, eventSubscriptions: SUBSCRIPTIONS }));
      if (!current()) return leave(ws);
      socket = ws;
      version = await ready(current);
      stood();
      tell({ phase: 'ready', attempts: 0, everReady: true });
      return await closed;
    } catch (/** @type {any} */ err) {
      leave(ws);
      return typeof err?.code === 'number' && err.code > 0 ? err.code : 1006;
    } finally {
      if (socket === ws) drop();
    }

    /** Asks until OBS has finished loading. @param {() => boolean} current @returns {Promise<ObsVersion>} */
    async function ready(current) {
      for (let tries = 1; ; tries++) {
        try {
          return await Promise.race([send('GetVersion', undefined, limit), closed.then((code) => { throw new ObsError(code, '', 'GetVersion'); })]);
        } catch (/** @type {any} */ err) {
          if (err.code !== CODE.notReady || !current()) throw err;
          tell({ phase: 'starting' });
          await pause(Math.min(250 * tries, 2000));
        }
      }
    }
  }

  /** @param {any} ws */
  function leave(ws) {
    void Promise.resolve(ws.disconnect?.()).catch(() => {});
    return 1000;
  }

  function drop() {
    socket = null;
    for (const reject of [...pending]) reject(new ObsError('closed', 'obs.closed', ''));
    pending.clear();
  }

  /**
   * @template T
   * @param {number} ms @param {string} request @param {Promise<T>} answer
   * @returns {Promise<T>}
   */
  function within(ms, request, answer) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(() => reject(new ObsError('timeout', 'obs.timeout', request))), ms);
      /** @param {() => void} how */
      const settle = (how) => { clearTimeout(timer); pending.delete(onClosed); how(); };
      /** @param {ObsError} err */
      const onClosed = (err) => settle(() => reject(err));
      if (request !== 'connect') pending.add(onClosed);
      answer.then((value) => settle(() => resolve(value)), (err) => settle(() => reject(err)));
    });
  }

  /** @param {string} request @param {Record<string, any> | undefined} data @param {number} ms */
  async function send(request, data, ms) {
    if (!socket) throw new ObsError('closed', 'obs.closed', request);
    try {
      return await within(ms, request, socket.call(request, data));
    } catch (/** @type {any} */ err) {
      if (err instanceof ObsError) throw err;
      const code = typeof err?.code === 'number' ? err.code : 'closed';
      throw new ObsError(code, err?.message || (code === 'closed' ? 'obs.closed' : `${code}`), request); // StartStream's 500 has no words
    }
  }

  /** Waits while OBS changes its scene collection (207). @param {string} request @param {any} data @param {number} ms */
  async function patient(request, data, ms) {
    for (let tries = 1; ; tries++) {
      try {
        return await send(request, data, ms);
      } catch (/** @type {any} */ err) {
        if (err.code !== CODE.notReady || tries > 20) throw err;
        await pause(250);
      }
    }
  }

  function close() {
    generation++;
    wake();
    const ws = socket;
    if (ws) { drop(); leave(ws); }
    if (status.phase !== 'off') tell({ phase: 'off', attempts: 0 });
  }

  return {
    open,
    close,
    /** Tries now instead of at the end of the pause. */
    hurry: () => wake(),
    /** @type {ObsCaller['call']} */
    call(request, data, options) {
      const answer = queue.then(() => patient(request, data, options?.limit ?? limit));
      queue = answer.catch(() => {});
      return answer;
    },
    /** @type {ObsCaller['on']} */
    on(event, handler) {
      const set = handlers.get(event) ?? new Set();
      handlers.set(event, set.add(handler));
      return () => set.delete(handler);
    },
    get version() { return version; },
    get status() { return status; },
  };
}

/**
 * Waits for an event that passes the test; answers undefined when the time is over.
 * @template T
 * @param {ObsCaller} obs @param {string} event @param {(data: any) => boolean} test @param {number} ms
 * @returns {{done: Promise<T | undefined>, cancel: () => void}}
 */
export function expectEvent(obs, event, test, ms) {
  let cancel = () => {};
  const done = new Promise((resolve) => {
    const timer = setTimeout(() => cancel(), ms);
    const off = obs.on(event, (data) => { if (test(data)) finish(data); });
    /** @param {any} [data] */
    const finish = (data) => { clearTimeout(timer); off(); resolve(data); };
    cancel = () => finish();
  });
  return { done, cancel };
}

/**
 * Reads what a person may type as OBS's address.
 * @param {string} text @param {number} [port]
 * @returns {{url: string, host: string, local: boolean} | null}
 */
export function obsAddress(text, port = 4455) {
  const trimmed = text.trim().replace(/^wss?:\/\//i, '').replace(/\/.*$/, '');
  if (trimmed === '') return { url: `ws://127.0.0.1:${port}`, host: '127.0.0.1', local: true };
  if (/^\d{1,5}$/.test(trimmed)) return obsAddress(`127.0.0.1:${trimmed}`);
  try {
    const url = new URL(`ws://${trimmed}`);
    const host = url.hostname;
    const local = host === '127.0.0.1' || host === 'localhost' || host === '[::1]';
    // The page's policy names 127.0.0.1 and localhost only, and OBS listens on both families.
    return { url: `ws://${host === '[::1]' ? '127.0.0.1' : host}:${url.port || port}`, host, local };
  } catch {
    return null;
  }
}

/**
 * Says why OBS may not be reached from this page, as far as a page can know.
 * @param {{origin: string, secure: boolean, embedded: boolean, chromium: number, permission: string, address: {local: boolean}, inObs: boolean}} page
 * @returns {'other_computer' | 'blocked' | 'insecure' | 'ask' | 'off'}
 */
export function whyUnreachable({ origin, secure, chromium, permission, address, inObs, embedded }) {
  if (!address.local) return 'other_computer';
  // OBS up to 32.2 has a Chromium without Local Network Access, and a page from this very computer is not public.
  if (inObs || /^https?:\/\/(127\.|localhost|\[::1\])/.test(origin)) return 'off';
  // Local Network Access: WebSockets need the permission since Chrome 147. Pages without https cannot even ask for it: they
  // are told "denied", but nobody could allow it.
  if (chromium >= 142 && (!secure || embedded)) return 'insecure';
  if (permission === 'denied') return 'blocked';
  if (chromium >= 142 && permission === 'prompt') return 'ask';
  return 'off';
}
