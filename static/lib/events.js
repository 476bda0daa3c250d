/**
 * Server-sent events by fetch. EventSource cannot distinguish a 401 from a broken connection, and
 * its pauses do not grow.
 */
import { base } from './api.js';

/** @typedef {{event: string, data: any}} ServerEvent */

/**
 * @typedef {object} On
 * @property {(event: ServerEvent) => void} event
 * @property {(connected: boolean) => void} [connected]
 * @property {() => void} signedOut
 *
 * @typedef {object} Dependencies
 * @property {string} path
 * @property {Record<string, string>} headers
 * @property {import('./types.js').Fetch} fetch
 * @property {(ms: number) => Promise<void>} pause
 * @property {() => number} random
 * @property {number} silence milliseconds
 * @property {EventTarget} page
 */

/**
 * Receives events until stop() is called, until the server sends that the person is signed out, or
 * until it answers 401 or 403.
 * @param {On} on
 * @param {Partial<Dependencies>} [deps]
 * @returns {{stop: () => void}}
 */
export function listen(on, deps = {}) {
  const listener = new Listener(on, {
    path: 'api/events',
    headers: {},
    fetch: globalThis.fetch,
    pause: sleep,
    random: Math.random,
    silence: 45_000,
    page: globalThis.window ?? new EventTarget(),
    ...deps,
  });
  listener.run().catch(() => {}); // run() may throw when it is stopped
  return { stop: () => listener.stop() };
}

class Listener {
  #on;
  #deps;
  #visit;
  #stopped = new AbortController();
  #lastId = '';
  /** The stages that were not empty when their presence was last received. @type {Set<string>} */
  #live = new Set();
  #tries = 0;
  /**
   * Milliseconds until the next connection, if the server has announced the end of the last one.
   */
  #rest = 0;

  /** @param {On} on @param {Dependencies} deps */
  constructor(on, deps) {
    this.#on = on;
    this.#deps = deps;
    this.#visit = watchVisit(deps.page, this.#stopped.signal);
  }

  stop() {
    this.#stopped.abort();
  }

  async run() {
    const { pause, random } = this.#deps;
    const { signal } = this.#stopped;
    for (let again = true; again && !signal.aborted; this.#tries++) {
      if (this.#tries > 0 && !this.#visit.left())
        await pause(this.#rest || growing(this.#tries, random()));
      await this.#visit.back();
      if (signal.aborted) return;
      this.#rest = 0;
      again = await this.#connection();
    }
  }

  /** One connection, from open to close. @returns {Promise<boolean>} whether another one follows */
  async #connection() {
    const line = new AbortController();
    const abort = () => line.abort();
    this.#stopped.signal.addEventListener('abort', abort, { signal: line.signal });
    this.#deps.page.addEventListener('pagehide', abort, { signal: line.signal });
    // The server sends something at least every 15 seconds. After a laptop has slept, a connection
    // may look open although it is dead.
    let alive = setTimeout(abort, this.#deps.silence);
    const heard = () => {
      clearTimeout(alive);
      alive = setTimeout(abort, this.#deps.silence);
    };
    try {
      const response = await this.#request(line.signal);
      if (response.status === 401 || response.status === 403) return this.#signedOut();
      if (!response.ok || !response.body) return true;
      this.#on.connected?.(true);
      return await this.#receive(response.body.getReader(), heard);
    } catch {
      return true; // a broken connection
    } finally {
      clearTimeout(alive);
      line.abort();
      if (!this.#rest && !this.#visit.left()) this.#on.connected?.(false);
    }
  }

  /** @param {AbortSignal} signal */
  #request(signal) {
    const { fetch, path, headers } = this.#deps;
    return fetch(new URL(path, base), {
      signal,
      credentials: 'same-origin',
      headers: this.#lastId ? { ...headers, 'Last-Event-ID': this.#lastId } : headers,
      cache: 'no-store',
    });
  }

  /**
   * @param {ReadableStreamDefaultReader<Uint8Array>} reader
   * @param {() => void} heard called for every piece
   * @returns {Promise<boolean>} whether another connection follows
   */
  async #receive(reader, heard) {
    let retry = 0;
    for await (const message of messages(reader, heard)) {
      this.#tries = 0;
      if (message.id) this.#lastId = message.id;
      if (message.retry) retry = message.retry;
      const event = parse(message);
      if (!event) continue;
      if (event.event === 'bye' && event.data?.reason === 'signed_out') return this.#signedOut();
      for (const each of presences(event, this.#live)) this.#on.event(each);
    }
    this.#rest = retry;
    return true;
  }

  #signedOut() {
    this.#on.signedOut();
    return false;
  }
}

/**
 * Reports a broken connection only after some time. With several servers, another one answers
 * within a second, and a notice for such a short time would only move the layout.
 * @param {(online: boolean) => void} show
 * @returns {(online: boolean) => void}
 */
export function patiently(show, patience = 2000) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let late;
  return (online) => {
    if (!online) {
      late ??= setTimeout(() => show(false), patience);
      return;
    }
    clearTimeout(late);
    late = undefined;
    show(true);
  };
}

/**
 * Reports whether the person has left the page. Browsers keep a page for "Back" with its open
 * requests, and open six connections to a server at most: after six such pages, the next page would
 * wait for a minute. So a page that was left closes its event stream.
 * @param {EventTarget} page
 * @param {AbortSignal} signal
 */
function watchVisit(page, signal) {
  let left = false;
  let back = Promise.resolve();
  let resume = () => {};
  page.addEventListener(
    'pagehide',
    () => {
      if (left) return;
      left = true;
      back = new Promise((resolve) => {
        resume = resolve;
      });
    },
    { signal },
  );
  page.addEventListener(
    'pageshow',
    () => {
      left = false;
      resume();
    },
    { signal },
  );
  return { left: () => left, back: () => back };
}

/**
 * Splits the presence of several stages into one event for each stage. A complete presence omits
 * empty stages.
 * @param {ServerEvent} event
 * @param {Set<string>} live the stages that were not empty in their last presence
 * @returns {ServerEvent[]}
 */
function presences({ event, data }, live) {
  if (event !== 'presence' && event !== 'presences') return [{ event, data }];
  const stages = event === 'presence' ? [data] : [...data.stages];
  const named = new Set(stages.map((s) => s.stage));
  for (const stage of data.complete ? live : []) {
    if (!named.has(stage)) stages.push({ stage, participants: [] });
  }
  for (const { stage, participants } of stages) {
    if (participants.length) live.add(stage);
    else live.delete(stage);
  }
  return stages.map((s) => ({ event: 'presence', data: s }));
}

/**
 * Milliseconds to wait before the next attempt: half a second, then twice as long each time, up to
 * half a minute. The random part spreads the attempts of many pages.
 * @param {number} tries
 * @param {number} chance 0 to 1
 */
export function growing(tries, chance) {
  return Math.min(30_000, 500 * 2 ** Math.min(tries - 1, 10)) * (0.75 + chance / 2);
}

/** @param {number} ms @returns {Promise<void>} */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param {{event: string, data: string}} message @returns {ServerEvent | undefined} */
function parse({ event, data }) {
  try {
    return { event, data: JSON.parse(data) };
  } catch {
    return undefined; // a message that is not JSON
  }
}

/**
 * Cuts the stream into messages, as the HTML standard describes text/event-stream.
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 * @param {() => void} heard called for every piece, including comments
 */
async function* messages(reader, heard) {
  const decoder = new TextDecoder();
  let rest = '';
  let message = { id: '', event: '', data: '', retry: 0 };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (message.data)
          yield { ...message, event: message.event || 'message', data: message.data.slice(0, -1) };
        message = { id: message.id, event: '', data: '', retry: message.retry };
        continue;
      }
      const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
      if (field === 'data') message.data += text + '\n';
      else if (field === 'event') message.event = text;
      else if (field === 'id') message.id = text;
      else if (field === 'retry') message.retry = Number(text) || 0;
    }
  }
}
