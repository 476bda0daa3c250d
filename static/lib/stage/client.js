/**
 * Joins a stage to receive it. Pages use this module, which decides by the token's stage whether
 * Stagedoor (local.js) or AWS (ivs.js) serves the stage. A client only subscribes, and joins again
 * after the connection was lost. Before a token expires, the client joins with a new one. The new
 * session plays before the old one ends, so there is no gap.
 */
import { growing, sleep } from '../events.js';
import { late } from '../late.js';
import { openLocal } from './local.js';

/**
 * @typedef {{id: string, userId: string, name: string, publishing: boolean, audioMuted: boolean,
 *   videoMuted: boolean, guest?: boolean, stalled?: boolean}} Participant
 * @typedef {'connecting' | 'connected' | 'retrying'} Link - the state of the connection by which a
 *   participant's picture arrives
 * @typedef {'idle' | 'joining' | 'joined' | 'lost' | 'refused'} Phase - refused: a retry needs
 *   another login or key
 * @typedef {{token: string, stage: string, expiresAt: string}} Admission
 *
 * @typedef {object} SessionEvents - the events of the session of one token
 * @property {(list: Participant[]) => void} participants all participants except this page
 * @property {(id: string, stream: MediaStream) => void} stream
 * @property {(id: string) => void} removed the stream of that participant has ended
 * @property {(id: string, link: Link) => void} link
 * @property {(joined: boolean) => void} joined false: the session reconnects
 * @property {(why: string) => void} ended the session is over; a retry needs another token
 *
 * @typedef {{refresh: () => void, fit?: (id: string) => void, close: () => void}} Session - `fit`
 *   requests the layer for the height at which a participant is shown; it is absent if the stage
 *   chooses layers by itself
 * @typedef {(about: {admission: Admission, wants: (p: Participant) => boolean, lines?: (id: string)
 *   => number, on: SessionEvents}) => Session} Open
 *
 * @typedef {object} ClientEvents
 * @property {SessionEvents['participants']} participants
 * @property {SessionEvents['stream']} stream
 * @property {SessionEvents['removed']} removed
 * @property {SessionEvents['link']} [link]
 * @property {(phase: Phase, err?: any) => void} state
 */

/** Share of a token's life after which another one is fetched. */
const RENEW = 0.8;
/** How many milliseconds the old session still plays while the new one begins. */
const OVERLAP = 8_000;
/** Milliseconds after which a session counts as stable. */
const STEADY = 10_000;
const TICK = 1_000;

/**
 * @typedef {object} About
 * @property {() => Promise<Admission>} token fetches a fresh token
 * @property {(p: Participant) => boolean} wants which participants to receive
 * @property {ClientEvents} on
 * @property {Open} [open]
 *
 * @param {About} about
 * @param {{pause?: (ms: number) => Promise<void>, now?: () => number, random?: () => number}}
 *   [deps]
 */
export function createClient(
  { token, wants, on, open = openSession },
  { pause = sleep, now = () => Date.now(), random = Math.random } = {},
) {
  let joined = 0; // increases with join() and leave(), which end the work of an earlier join()
  const sessions = createSessions({ wants, on, open, now });

  async function join() {
    leave();
    const mine = ++joined;
    on.state('joining');
    for (let tries = 0; mine === joined; tries++) {
      if (tries > 0) await pause(growing(tries, random()));
      if (mine !== joined) return;
      try {
        const admission = await token();
        if (mine !== joined) return;
        const session = sessions.begin(admission);
        const why = await session.over;
        if (mine !== joined) return;
        // After a renewal or a long session, the next failure counts as the first one.
        if (why === 'renew' || now() - session.started > STEADY) tries = -1;
        if (why !== 'renew') on.state('lost', new Error(why));
      } catch (/** @type {any} */ err) {
        if (mine !== joined) return;
        if (err.status === 401) return on.state('refused', err);
        on.state('lost', err);
      }
    }
  }

  function leave() {
    joined++;
    sessions.end();
  }

  return {
    join: () => void join(),
    /** Ends all sessions, so that the page leaves the stage. */
    leave,
    /** Calls `wants` again for each participant. */
    refresh: sessions.refresh,
    fit: sessions.fit,
  };
}

/**
 * The session that plays, and during a renewal also the one before it.
 * @param {Required<Omit<About, 'token'>> & {now: () => number}} about
 */
function createSessions({ wants, on, open, now }) {
  /** @type {ReturnType<typeof createStay> | null} */
  let newest = null;
  /** The number of lines at which each participant is shown. @type {Map<string, number>} */
  const heights = new Map();
  /** @type {Set<Session>} */
  const all = new Set();

  return {
    /** One session, until it ends or its token is to be renewed. @param {Admission} admission */
    begin(admission) {
      const stay = createStay({
        admission,
        before: newest,
        now,
        on,
        all,
        current: () => newest === stay,
        open: (events) =>
          open({ admission, wants, lines: (id) => heights.get(id) ?? 0, on: events }),
      });
      newest = stay;
      stay.begin();
      return stay;
    },
    end() {
      newest?.close();
      newest = null;
    },
    refresh: () => {
      for (const session of all) session.refresh();
    },
    /**
     * @param {string} id
     * @param {number} lines the height at which the picture is shown; 0 if it is not shown
     */
    fit(id, lines) {
      if (lines === 0) return void heights.delete(id);
      heights.set(id, lines);
      for (const session of all) session.fit?.(id);
    },
  };
}

/**
 * @typedef {{streams: Map<string, MediaStream>, close: () => void}} Before - the session that this
 *   one replaces
 *
 * @param {object} about
 * @param {Admission} about.admission
 * @param {Before | null} about.before
 * @param {() => number} about.now
 * @param {ClientEvents} about.on
 * @param {Set<Session>} about.all
 * @param {() => boolean} about.current
 * @param {(on: SessionEvents) => Session} about.open
 */
function createStay({ admission, before, now, on, all, current, open }) {
  const started = now();
  const renewAt = started + (Date.parse(admission.expiresAt) - started) * RENEW;
  /** @type {Map<string, MediaStream>} */
  const streams = new Map();
  /** @type {Session} */
  let session;
  /** @type {ReturnType<typeof setTimeout>[]} */
  let timers = [];
  /** @type {(why: string) => void} */
  let end = () => {};
  /** @type {Promise<string>} */
  const over = new Promise((resolve) => {
    end = resolve;
  });

  function close() {
    for (const timer of timers) clearInterval(timer);
    before?.close();
    if (!all.delete(session)) return;
    session.close();
    if (current()) for (const id of streams.keys()) on.removed(id);
    streams.clear();
  }

  /** Ends the old session when the new one plays every participant that the old one plays. */
  function overlapped() {
    if (before && [...before.streams.keys()].every((id) => streams.has(id))) before.close();
  }

  return {
    over,
    streams,
    started,
    close,
    begin() {
      session = open(
        sessionEvents({
          streams,
          current,
          on,
          overlapped,
          ended(why) {
            close();
            end(why);
          },
        }),
      );
      all.add(session);
      const watch = setInterval(() => {
        if (now() >= renewAt) {
          clearInterval(watch);
          end('renew');
        }
      }, TICK);
      timers = [watch, setTimeout(() => before?.close(), OVERLAP)];
    },
  };
}

/**
 * The event handlers of a session. Only the newest session reports its events to the page.
 * @param {{streams: Map<string, MediaStream>, current: () => boolean, on: ClientEvents, overlapped:
 *   () => void, ended: (why: string) => void}} about
 * @returns {SessionEvents}
 */
function sessionEvents({ streams, current, on, overlapped, ended }) {
  let there = false;
  return {
    participants(list) {
      if (!current()) return;
      on.participants(list);
      if (!there) {
        there = true;
        on.state('joined');
      }
    },
    stream(id, stream) {
      streams.set(id, stream);
      if (current()) {
        on.stream(id, stream);
        overlapped();
      }
    },
    removed(id) {
      streams.delete(id);
      if (current()) on.removed(id);
    },
    link(id, link) {
      if (current()) on.link?.(id, link);
    },
    joined(is) {
      if (current() && there) on.state(is ? 'joined' : 'lost');
    },
    ended,
  };
}

/** @type {() => Promise<typeof import('./ivs.js')>} */
const loadIvs = late(new URL('./ivs.js', import.meta.url));

/** @type {Open} */
function openSession(about) {
  if (about.admission.stage.split(':')[3] === 'local') return openLocal(about);
  /** @type {Session | null} */
  let session = null;
  let closed = false;
  loadIvs().then(
    ({ openIvs }) => {
      if (!closed) session = openIvs(about);
    },
    () => about.on.ended('unreachable'),
  );
  return {
    refresh: () => session?.refresh(),
    close() {
      closed = true;
      session?.close();
    },
  };
}
