/**
 * Publishing from this page as a state machine: step(state, fact) → {state, effects}. Pure. All
 * reconnects use the same token, because each new token costs a use of the guest's link. A token
 * that was refused is not sent again.
 */
import { FINAL } from '../broadcast.js';
import { growing } from '../events.js';

/**
 * Time limits in milliseconds. A connection that cannot reach the server may stay "new" for ever.
 */
const WAITS = Object.freeze({ connect: 20_000, silence: 4_000 });

/** How many consecutive times a connection is retried. */
const TRIES = 8;

/**
 * @typedef {'idle' | 'starting' | 'connecting' | 'live' | 'retrying' | 'ended'} Phase
 * @typedef {{code: string, detail: string, byRole?: string}} Why
 * @typedef {{phase: Phase, turn: number, participantId: string, expiresAt: number, since: number,
 *   tries: number, why: Why | null}} State
 * @typedef {object} Fact
 * @property {'start' | 'token' | 'link' | 'failed' | 'timer' | 'event' | 'stop'} kind
 * @property {number} now milliseconds
 * @property {number} [turn] the turn of the effect that this fact answers
 * @property {string} [participantId]
 * @property {number} [expiresAt]
 * @property {string} [state] of the connection
 * @property {boolean} [refused] the server has refused; false after a network failure
 * @property {string} [event] the kind of a stage event
 * @property {Why} [why]
 * @typedef {{do: 'token' | 'open' | 'close'} | {do: 'timer', wait: 'connect' | 'silence' | 'again',
 *   tries: number}} Effect
 * @typedef {{state: State, effects: Effect[]}} Move
 */

/** @type {Readonly<State>} */
export const FIRST = Object.freeze({
  phase: 'idle',
  turn: 0,
  participantId: '',
  expiresAt: 0,
  since: 0,
  tries: 0,
  why: null,
});

/** @type {Effect[]} */
const OPEN = [{ do: 'open' }, { do: 'timer', wait: 'connect', tries: 0 }];

/** @param {State} state @param {Fact} fact @returns {Move} */
export function step(state, fact) {
  const stale = fact.turn !== undefined && fact.turn !== state.turn;
  const running = state.phase !== 'idle' && state.phase !== 'ended';
  if (stale || (fact.kind !== 'start' && fact.kind !== 'stop' && !running))
    return { state, effects: [] };
  return ROWS[fact.kind](state, fact);
}

/** @type {Record<Fact['kind'], (state: State, fact: Fact) => Move>} */
const ROWS = {
  start(state) {
    if (state.phase !== 'idle' && state.phase !== 'ended') return { state, effects: [] };
    return move(state, { ...FIRST, phase: 'starting' }, { do: 'token' });
  },
  token: (state, { participantId = '', expiresAt = 0 }) =>
    move(state, { phase: 'connecting', participantId, expiresAt }, ...OPEN),
  link(state, { state: link, now }) {
    if (link === 'connected')
      return stay(state, { phase: 'live', tries: 0, since: state.since || now });
    if (link === 'disconnected')
      return stay(state, { phase: 'retrying' }, { do: 'timer', wait: 'silence', tries: 0 });
    return link === 'failed' || link === 'closed' ? again(state, now) : { state, effects: [] };
  },
  failed(state, { refused = false, why, now }) {
    if (refused || state.phase === 'starting') return ended(state, why ?? null);
    return again(state, now, why);
  },
  timer(state, { now }) {
    if (state.phase !== 'retrying')
      return state.phase === 'connecting' ? again(state, now) : { state, effects: [] };
    return move(state, { phase: 'connecting' }, { do: 'close' }, ...OPEN);
  },
  event(state, { event = '', why, participantId }) {
    if (participantId !== state.participantId || !why) return { state, effects: [] };
    return (event === 'ended' || event === 'refused') && FINAL.includes(why.code)
      ? ended(state, why)
      : { state, effects: [] };
  },
  stop: (state) => move(state, { ...FIRST }, { do: 'close' }),
};

/**
 * Changes to another state, after which answers to earlier effects are ignored.
 * @param {State} state
 * @param {Partial<State>} change
 * @param {...Effect} effects
 * @returns {Move}
 */
const move = (state, change, ...effects) => ({
  state: { ...state, ...change, turn: state.turn + 1 },
  effects,
});

/**
 * @param {State} state
 * @param {Partial<State>} change
 * @param {...Effect} effects
 * @returns {Move}
 */
const stay = (state, change, ...effects) => ({ state: { ...state, ...change }, effects });

/** @param {State} state @param {Why | null} why */
const ended = (state, why) => move(state, { phase: 'ended', why, since: 0 }, { do: 'close' });

/** @param {State} state @param {number} now @param {Why} [why] @returns {Move} */
function again(state, now, why) {
  if (state.tries >= TRIES) return ended(state, why ?? { code: 'unreachable', detail: '' });
  if (state.expiresAt > 0 && now >= state.expiresAt)
    return ended(state, { code: 'token_expired', detail: '' });
  return move(
    state,
    { phase: 'retrying', tries: state.tries + 1 },
    { do: 'close' },
    { do: 'timer', wait: 'again', tries: state.tries + 1 },
  );
}

/**
 * @typedef {{participantId: string, token: string, stage: string, expiresAt: string}} Admission
 * @typedef {{close: () => void}} Sending
 * @typedef {{admission: Admission, stream: MediaStream, receive?: Receive, on: {link: (state:
 *   string) => void, ended: (code: string) => void}}} About
 * @typedef {Pick<import('./client.js').SessionEvents, 'participants' | 'stream' | 'removed' |
 *   'link'>} Receive - handlers for events of the other participants, because Amazon's SDK sends
 *   and receives in one session
 * @typedef {(about: About) => Promise<Sending>} Send
 */

/**
 * Runs the machine.
 * @param {object} about
 * @param {() => Promise<Admission>} about.token
 * @param {() => MediaStream} about.stream
 * @param {(state: State) => void} about.changed
 * @param {Send} about.send
 * @param {{now?: () => number, random?: () => number, waits?: Partial<typeof WAITS>}} [deps]
 */
export function createPublishing(
  { token, stream, changed, send },
  { now = Date.now, random = Math.random, waits = {} } = {},
) {
  const limits = { ...WAITS, ...waits };
  /** @type {State} */
  let state = FIRST;
  /** @type {ReturnType<typeof setTimeout> | undefined} the running timer; there is at most one */
  let timer;

  const deeds = createDeeds({
    token,
    stream,
    send,
    tell: (fact) => tell(fact),
    current: (turn) => turn === state.turn,
  });

  /** @param {Omit<Fact, 'now'>} fact */
  function tell(fact) {
    const before = state;
    const next = step(state, { now: now(), ...fact });
    state = next.state;
    if (state.turn !== before.turn || (before.phase !== 'live' && state.phase === 'live'))
      clearTimeout(timer);
    for (const effect of next.effects) carryOut(effect, state.turn);
    if (state !== before) changed(state);
  }

  /** @param {Effect} effect @param {number} turn */
  function carryOut(effect, turn) {
    if (effect.do === 'close') {
      deeds.close();
    } else if (effect.do === 'timer') {
      clearTimeout(timer);
      timer = setTimeout(
        () => tell({ kind: 'timer', turn }),
        effect.wait === 'again' ? growing(effect.tries, random()) : limits[effect.wait],
      );
    } else {
      deeds[effect.do](turn).catch((err) => tell({ kind: 'failed', turn, ...failure(err) }));
    }
  }

  return {
    get state() {
      return state;
    },
    start: () => tell({ kind: 'start' }),
    stop: () => tell({ kind: 'stop' }),
    /** @param {import('../types.js').StageEvent} e */
    stageEvent(e) {
      if (!e.claimed) tell(eventFact(e));
    },
  };
}

/** @param {import('../types.js').StageEvent} e @returns {Omit<Fact, 'now'>} */
const eventFact = ({ kind, participantId, code, detail, byRole }) => ({
  kind: 'event',
  event: kind,
  participantId,
  why: { code, detail, byRole },
});

/**
 * Carries out the effects, each for one turn of the machine.
 * @param {object} about
 * @param {() => Promise<Admission>} about.token
 * @param {() => MediaStream} about.stream
 * @param {Send} about.send
 * @param {(fact: Omit<Fact, 'now'>) => void} about.tell
 * @param {(turn: number) => boolean} about.current
 */
function createDeeds({ token, stream, send, tell, current }) {
  /** @type {Admission | null} */
  let admission = null;
  /** @type {Sending | null} */
  let sending = null;
  return {
    close() {
      sending?.close();
      sending = null;
    },
    /** @param {number} turn */
    async token(turn) {
      admission = await token();
      tell({
        kind: 'token',
        turn,
        participantId: admission.participantId,
        expiresAt: Date.parse(admission.expiresAt),
      });
    },
    /** @param {number} turn */
    async open(turn) {
      const opened = await send({
        admission: /** @type {Admission} */ (admission),
        stream: stream(),
        on: {
          link: (link) => tell({ kind: 'link', turn, state: link }),
          ended: (code) => tell({ kind: 'failed', turn, refused: true, why: { code, detail: '' } }),
        },
      });
      if (current(turn)) sending = opened;
      else opened.close(); // stopped, or started again, meanwhile
    },
  };
}

/** @param {any} err @returns {{refused: boolean, why: Why}} */
function failure(err) {
  const { status = 0, code = '', message = '' } = err ?? {};
  return {
    refused: status >= 400 && status < 500 && status !== 429,
    why: { code: String(code || 'failed'), detail: err?.name === 'ApiError' ? message : '' },
  };
}
