/**
 * Being on a stage. The pages know this module alone: whether Stagedoor serves the stage (local.js) or AWS does (ivs.js) is
 * decided here, by the token's stage.
 *
 * A client joins with a token that only subscribes, comes back when the line was lost, and joins again with a fresh token
 * before the old one expires, without a gap: the new session plays before the old one ends.
 */
import { growing, sleep } from '../events.js';
import { openLocal } from './local.js';

/**
 * @typedef {{id: string, userId: string, name: string, publishing: boolean, audioMuted: boolean, videoMuted: boolean}} Participant
 * @typedef {'connecting' | 'connected' | 'retrying'} Link how somebody's picture arrives
 * @typedef {'idle' | 'joining' | 'joined' | 'lost' | 'refused'} Phase refused: only another login or key helps
 * @typedef {{token: string, stage: string, expiresAt: string}} Admission
 *
 * What a session of one token tells.
 * @typedef {object} SessionEvents
 * @property {(list: Participant[]) => void} participants everybody but this page
 * @property {(id: string, stream: MediaStream) => void} stream
 * @property {(id: string) => void} removed the stream of that participant has ended
 * @property {(id: string, link: Link) => void} link
 * @property {(joined: boolean) => void} joined false: the line is lost and the session looks for it
 * @property {(why: string) => void} ended the session is over; another token may do better
 *
 * fit asks anew at how many lines somebody is shown; where the stage sees to that by itself there is none.
 * @typedef {{refresh: () => void, fit?: (id: string) => void, close: () => void}} Session
 * @typedef {(about: {admission: Admission, wants: (p: Participant) => boolean, lines?: (id: string) => number, on: SessionEvents}) => Session} Open
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
/** Milliseconds that the old session still plays while the new one begins. */
const OVERLAP = 8_000;
/** Milliseconds after which a session has been a success. */
const STEADY = 10_000;
const TICK = 1_000;

/**
 * @param {object} about
 * @param {() => Promise<Admission>} about.token fetches a fresh token
 * @param {(p: Participant) => boolean} about.wants whom to receive
 * @param {ClientEvents} about.on
 * @param {Open} [about.open]
 * @param {{pause?: (ms: number) => Promise<void>, now?: () => number, random?: () => number}} [world]
 */
export function createClient({ token, wants, on, open = openSession }, { pause = sleep, now = () => Date.now(), random = Math.random } = {}) {
  let joined = 0; // join() and leave() end what an earlier join() began
  /** @type {ReturnType<typeof stay> | null} the newest session */
  let newest = null;
  /** At how many lines each is shown. @type {Map<string, number>} */
  const heights = new Map();
  /** @type {Set<Session>} */
  const sessions = new Set();

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
        const session = stay(admission);
        const why = await session.over;
        if (mine !== joined) return;
        if (why === 'renew' || now() - session.started > STEADY) tries = -1; // what follows is not another failed try
        if (why !== 'renew') on.state('lost', new Error(why));
      } catch (/** @type {any} */ err) {
        if (mine !== joined) return;
        if (err.status === 401) return on.state('refused', err);
        on.state('lost', err);
      }
    }
  }

  /**
   * One session, until it ends or its token is to be renewed.
   * @param {Admission} admission
   */
  function stay(admission) {
    const started = now();
    const renewAt = started + (Date.parse(admission.expiresAt) - started) * RENEW;
    const before = newest;
    /** @type {Map<string, MediaStream>} */
    const streams = new Map();
    let there = false;
    /** @type {(why: string) => void} */
    let end = () => {};
    /** @type {Promise<string>} */
    const over = new Promise((resolve) => { end = resolve; });
    const self = { over, streams, started, close };
    newest = self;
    const current = () => newest === self;

    const session = open({ admission, wants, lines: (id) => heights.get(id) ?? 0, on: {
      participants(list) {
        if (!current()) return;
        on.participants(list);
        if (!there) { there = true; on.state('joined'); }
      },
      stream(id, stream) { streams.set(id, stream); if (current()) { on.stream(id, stream); overlapped(); } },
      removed(id) { streams.delete(id); if (current()) on.removed(id); },
      link(id, link) { if (current()) on.link?.(id, link); },
      joined(is) { if (current() && there) on.state(is ? 'joined' : 'lost'); },
      ended(why) { close(); end(why); },
    } });
    sessions.add(session);
    const watch = setInterval(() => { if (now() >= renewAt) { clearInterval(watch); end('renew'); } }, TICK);
    const late = setTimeout(() => before?.close(), OVERLAP);

    /** The old session may go once everybody whom it plays comes by the new one, too. */
    function overlapped() {
      if (before && [...before.streams.keys()].every((id) => streams.has(id))) before.close();
    }

    function close() {
      clearInterval(watch);
      clearTimeout(late);
      before?.close();
      if (!sessions.delete(session)) return;
      session.close();
      if (current()) for (const id of streams.keys()) on.removed(id);
      streams.clear();
    }
    return self;
  }

  function leave() {
    joined++;
    newest?.close();
    newest = null;
  }

  return {
    join: () => void join(),
    /** Ends everything: the stage sees the page go. */
    leave,
    /** Asks again whom to receive. */
    refresh: () => { for (const session of sessions) session.refresh(); },
    /** @param {string} id @param {number} lines at which the picture is shown; 0: not any more */
    fit(id, lines) {
      if (lines === 0) return void heights.delete(id);
      heights.set(id, lines);
      for (const session of sessions) session.fit?.(id);
    },
  };
}

/** @type {Open} */
function openSession(about) {
  if (about.admission.stage.split(':')[3] === 'local') return openLocal(about);
  /** @type {Session | null} */
  let session = null;
  let closed = false;
  import('./ivs.js').then(({ openIvs }) => { if (!closed) session = openIvs(about); }, () => about.on.ended('unreachable'));
  return { refresh: () => session?.refresh(), close() { closed = true; session?.close(); } };
}

/**
 * What a token says of itself; the server checks it, we only read addresses.
 * @param {string} token a JWT
 * @returns {{events_url: string, whip_url: string, topic: string, jti: string, exp: number}}
 */
export function claims(token) {
  const bytes = Uint8Array.from(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}
