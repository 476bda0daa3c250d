/**
 * The course of a broadcast as a state machine: step(state, fact) → {state, effects}. Pure.
 * internal/obs/machine.go is the same machine for the terminal.
 * internal/obs/testdata/broadcast.json and a random test check that both behave alike.
 *
 * OBS's "started" only means that the endpoint answered 201, and OBS never reports why a stream
 * failed. So the machine waits until the stage confirms the broadcast, and reads reasons from the
 * stage's events.
 */

/**
 * Codes with which a stage refuses or ends a broadcast whose settings in OBS do not fit. A new
 * token would not help.
 */
export const SETTINGS = Object.freeze([
  'no_h264',
  'no_opus',
  'bitrate_exceeded',
  'resolution_exceeded',
  'b_frame_present',
  'invalid_video_codec',
  'invalid_audio_codec',
  'invalid_input',
]);

/**
 * Codes after which no new token is requested, because it would not help or would override a
 * decision. renewable() makes one exception.
 */
export const FINAL = Object.freeze([
  'kicked',
  'barred',
  'token_revoked',
  'replaced',
  'denied',
  'no_grant',
  'no_capability',
  'insufficient_capabilities',
  'stage_deleted',
  'stage_gone',
  'stage_full',
  'quota_exceeded',
  'bad_sdp',
  'rehearsal_over',
  ...SETTINGS,
]);

/**
 * How many milliseconds a broadcast must have been live before an invalid token is replaced again
 * without a click.
 */
const LONG_LIVE = 5 * 60_000;

/** How often StopStream and GetStreamStatus are sent before OBS counts as stuck. */
const STOP_TRIES = 4;
const LOOK_TRIES = 20;

/**
 * @typedef {'idle' | 'starting' | 'live' | 'away' | 'reconnecting' | 'stopping' | 'trouble'} Phase
 *   the phase that pages show; away: the connection to OBS broke during the broadcast
 * @typedef {'' | 'token' | 'settings' | 'obs' | 'stage'} Step - what the phase "starting" waits for
 * @typedef {{text: string, values?: Record<string, any>, detail?: string, code?: string,
 *   byRole?: string}} Reason
 * @typedef {{participantId: string, expiresAt: number, renewAt: number}} About - a description of a
 *   token, without its secret
 * @typedef {Pick<import('./types.js').StageEvent, 'kind' | 'code' | 'detail' | 'byRole'>} Word -
 *   the last event of the stage
 * @typedef {{after: 'idle' | 'start' | 'renew' | 'trouble', reason: Reason | null}} Then - what the
 *   machine does after a stop
 *
 * @typedef {object} State
 * @property {keyof typeof NODES} at
 * @property {Phase} phase
 * @property {Step} step
 * @property {number} now the time of the last fact, in milliseconds
 * @property {number} turn increases whenever the machine enters a state of NODES; an answer with an
 *   older number is ignored
 * @property {string} stage
 * @property {boolean} unattended no person can click: a terminal runs the broadcast
 * @property {string} participantId
 * @property {number} expiresAt milliseconds; 0 when unknown
 * @property {number} renewAt milliseconds; from then on the token may expire before a reconnect
 * @property {number} since milliseconds, when live
 * @property {boolean} sending OBS's output is active or about to become active
 * @property {boolean} renewing the broadcast is being restarted without a click
 * @property {Reason | null} reason
 * @property {Reason | null} fallback the reason if the stage gives none
 * @property {boolean} fresh the next start needs a new token
 * @property {boolean} reused the token was in OBS before this start, and may have been revoked
 *   meanwhile
 * @property {number} renewals
 * @property {boolean} unwanted the person stopped the broadcast, here or in OBS
 * @property {boolean} connecting StartStream was sent and OBS has not reported the outcome
 * @property {boolean} offline the stage's events are interrupted
 * @property {boolean} orphaned the broadcast ended while those events were interrupted
 * @property {boolean} loop OBS was found in its reconnect loop
 * @property {number} tries
 * @property {boolean} stopped OBS reported that the stream has stopped, or that there is none
 * @property {Then | null} then
 * @property {Word | null} word the last event of our participant
 * @property {Word | null} claim the last event of a token with a wrong signature, which may explain
 *   an end but must not cause one
 * @property {Fact[]} deferred
 *
 * @typedef {object} Fact - something that happened; its kind determines its other fields
 * @property {string} kind
 * @property {number} [now] milliseconds
 * @property {number} [turn] the turn of the effect that this fact answers
 * @property {string} [stage]
 * @property {string} [state] of OBS's output: STARTING, STARTED …
 * @property {Word} [event]
 * @property {boolean} [online]
 * @property {boolean} [active]
 * @property {boolean} [reconnecting]
 * @property {boolean} [whip] the service is WHIP
 * @property {(About & {stage: string}) | null} [mine] the token in OBS, if this page has written it
 * @property {boolean} [reusable] that token may be used again for the stage
 * @property {About} [about]
 * @property {boolean} [kept] OBS has kept the settings that it was given
 * @property {boolean} [running] StopStream found something to stop
 * @property {Reason} [reason]
 * @property {boolean} [sending]
 *
 * @typedef {'status' | 'service' | 'mint' | 'put' | 'start' | 'stop' | 'timer' | 'spoil' |
 *   'refresh'} Deed
 * @typedef {{do: Deed, wait?: 'start' | 'stage' | 'stop' | 'reason' | 'look', fresh?: boolean,
 *   stage?: string, id?: string}} Effect
 * @typedef {{state: State, effects: Effect[]}} Move
 * @typedef {(state: State, fact: Fact) => Move} Row
 */

/** @type {Readonly<State>} */
export const FIRST = Object.freeze({
  at: 'idle',
  phase: 'idle',
  step: '',
  now: 0,
  turn: 0,
  stage: '',
  unattended: false,
  participantId: '',
  expiresAt: 0,
  renewAt: 0,
  since: 0,
  sending: false,
  renewing: false,
  reason: null,
  fallback: null,
  fresh: false,
  reused: false,
  renewals: 0,
  unwanted: false,
  connecting: false,
  offline: false,
  orphaned: false,
  loop: false,
  tries: 0,
  stopped: false,
  then: null,
  word: null,
  claim: null,
  deferred: [],
});

/**
 * Whether a broadcast in trouble may still become live without a click: OBS sends with a token of
 * this page, and the stage has not decided against it. The rows of "trouble" handle that.
 * @param {Pick<State, 'phase' | 'sending' | 'participantId' | 'reason'>} state
 */
export const mayRecover = ({ phase, sending, participantId, reason }) =>
  phase === 'trouble' && sending && participantId !== '' && !FINAL.includes(reason?.code ?? '');

/**
 * Every state of the machine, with the phase that pages show and the facts that the state handles.
 * A state does not handle the facts that its `defers` names. They wait for the next state without
 * `defers`. "failed" means that an effect has failed. A state without a row for "failed" moves to
 * "trouble".
 * @type {Record<string, {phase?: Phase, step?: Step, defers?: string[], on: Record<string, Row>}>}
 */
const NODES = {
  idle: { phase: 'idle', on: { go: begin, refresh, resume, STARTED: foundStarted } },
  refreshing: {
    phase: 'idle',
    defers: ['go', 'resume', 'STARTED'],
    on: { refreshed, failed: toIdle },
  },

  // The states in which a broadcast starts.
  asking: { phase: 'starting', step: 'token', on: { status: asked, stop: toIdle } },
  reading: { phase: 'starting', step: 'token', on: { service: read, stop: toIdle } },
  minting: { phase: 'starting', step: 'token', on: { token: minted, stop: toIdle } },
  putting: { phase: 'starting', step: 'settings', on: { put: putIn, stop: toIdle } },
  calling: {
    phase: 'starting',
    step: 'obs',
    on: { STARTED: confirm, STOPPED: unreached, timeout: doubt, stop: halt, closed: gone },
  },
  doubting: { phase: 'starting', step: 'obs', on: { status: doubted, stop: halt, closed: gone } },
  confirming: {
    phase: 'starting',
    step: 'stage',
    on: {
      publishing: live,
      presence: live,
      ended: hang,
      refused: hang,
      RECONNECTING: looped,
      STOPPED: lostAtOnce,
      timeout: noMedia,
      stop: halt,
      closed: gone,
    },
  },
  hanging: {
    on: {
      publishing: live,
      RECONNECTED: confirm,
      STOPPED: ended,
      RECONNECTING: looped,
      timeout: hung,
      stop: halt,
      closed: gone,
    },
  },

  // The states of a broadcast on the stage.
  live: {
    phase: 'live',
    on: {
      presence: lasting,
      ended: judged,
      RECONNECTING: looped,
      STOPPED: ended,
      absent: check,
      stop: halt,
      closed: away,
      resume,
    },
  },
  checking: {
    phase: 'live',
    defers: ['RECONNECTING', 'STOPPED'],
    on: { status: checked, failed: backLive, presence: backLive, stop: halt, closed: away },
  },
  away: { phase: 'away', on: { resume, stop: halt } },
  reconnecting: {
    phase: 'reconnecting',
    on: {
      RECONNECTING: looped,
      RECONNECTED: confirm,
      STOPPED: ended,
      publishing: live,
      ended: looped,
      refused: looped,
      stop: halt,
      closed: away,
      resume,
    },
  },

  // The states at the end of a broadcast: finding the reason, stopping OBS, and trouble.
  explaining: {
    defers: ['go'],
    on: {
      ended: explained,
      refused: explained,
      claim: explained,
      timeout: unexplained,
      stop: toIdle,
      closed: obsEnded,
    },
  },
  quieting: {
    defers: ['go'],
    on: {
      stopSent,
      STARTED: stopAgain,
      STOPPED: stopSeen,
      timeout: stopDoubted,
      status: stopChecked,
      stop: stopOnly,
    },
  },
  trouble: {
    phase: 'trouble',
    on: {
      go: begin,
      dismiss: toIdle,
      resume,
      stop: haltIfSending,
      STARTED: startedInTrouble,
      RECONNECTING: loopedIfSending,
      RECONNECTED: confirmIfSending,
      STOPPED: endedInTrouble,
      publishing: liveIfSending,
      presence: liveIfSending,
      ended: judgedInTrouble,
      refused: judgedInTrouble,
      claim: explainedLate,
      absent: startOrphaned,
    },
  },

  // The page has just connected to OBS, or the person started the stream in OBS itself.
  resuming: { defers: ['go', 'STARTED', 'STOPPED'], on: { status: resumed, failed: resumeFailed } },
  taking: { defers: ['go', 'STOPPED', 'RECONNECTING'], on: { service: taken, stop: halt } },
};

/**
 * @param {State} state @param {Fact} fact @returns {Move}
 */
export function step(state, fact) {
  if (fact.turn !== undefined && fact.turn !== state.turn) return { state, effects: [] };
  const { state: noted, effects } = note({ ...state, now: fact.now ?? state.now }, fact);
  const move = route(noted, fact);
  effects.push(...move.effects);
  let next = move.state;
  while (next.deferred.length > 0 && !NODES[next.at].defers) {
    const [first, ...deferred] = next.deferred;
    const more = route({ ...next, deferred }, first);
    next = more.state;
    effects.push(...more.effects);
  }
  return { state: next, effects };
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function route(s, fact) {
  const { on, defers = [] } = NODES[s.at];
  const name = nameOf(fact);
  if (on[name]) return on[name](s, fact);
  if (name === 'failed') return failed(s, fact);
  return stay(s, defers.includes(name) ? { deferred: [...s.deferred, fact] } : {});
}

/** @param {Fact} fact */
const nameOf = ({ kind, state = '', event }) =>
  kind === 'obs' ? state : kind === 'stage' ? (event?.kind ?? '') : kind;

/**
 * The changes that a fact makes in every state.
 * @param {State} s
 * @param {Fact} fact
 * @returns {Move}
 */
function note(s, { kind, state, event, online }) {
  if (kind === 'events') return stay(s, { offline: !online });
  if (kind === 'claim') return stay(s, { claim: event });
  if (kind === 'stage') {
    const spoilt =
      event && (event.kind === 'refused' || (event.kind === 'ended' && FINAL.includes(event.code)));
    return stay(
      s,
      { word: event },
      ...(spoilt ? [/** @type {Effect} */ ({ do: 'spoil', id: s.participantId })] : []),
    );
  }
  if (kind !== 'obs') return stay(s);
  if (state === 'RECONNECTING' && s.word?.kind === 'publishing') return stay(s, { word: null });
  // The person stopped the stream in OBS itself. In "quieting", this machine stops it.
  if (state === 'STOPPING' && s.at !== 'quieting') return stay(s, { unwanted: true });
  // The stage's last event is about the previous session.
  if (state === 'RECONNECTED') return stay(s, { connecting: false, word: null });
  return stay(s, state === 'STARTED' || state === 'STOPPED' ? { connecting: false } : {});
}

/** @param {State} s @param {Partial<State>} [change] @param {...Effect} effects @returns {Move} */
const stay = (s, change = {}, ...effects) => ({ state: { ...s, ...change }, effects });

/**
 * @param {State} s
 * @param {string} at
 * @param {Partial<State>} [change]
 * @param {...Effect} effects
 * @returns {Move}
 */
function to(s, at, change = {}, ...effects) {
  const { phase = s.phase, step: now = phase === 'starting' ? s.step : '' } = NODES[at];
  const reason = phase === 'starting' && s.renewing ? s.reason : null; // why the broadcast restarts
  const shown = {
    at,
    phase,
    step: phase === 'starting' ? now : '',
    turn: s.turn + 1,
    tries: 0,
    reason,
  };
  return { state: { ...s, ...shown, ...change }, effects };
}

/** @param {Effect['wait']} wait @returns {Effect} */
const timer = (wait) => ({ do: 'timer', wait });

/** @param {State} s @returns {Move} */
function toIdle(s) {
  return to(s, 'idle', { sending: false, renewing: false, since: 0 });
}

/** @param {State} s @param {Reason} reason @param {boolean} sending @returns {Move} */
const trouble = (s, reason, sending) =>
  to(s, 'trouble', { reason, sending, renewing: false, orphaned: false });

/** @param {Word} word @param {string} text @returns {Reason} */
const said = ({ detail, code, byRole }, text) => ({ text, detail, code, byRole });

/** @param {State} s @param {Fact} fact @returns {Move} */
function failed(s, fact) {
  return trouble(s, /** @type {Reason} */ (fact.reason), fact.sending ?? s.sending);
}

/* ---- going live ---- */

/** @param {State} s @param {Fact} fact @returns {Move} */
function begin(s, { stage = '' }) {
  return start({ ...s, stage, renewals: 0, renewing: false, unwanted: false, since: 0 }, false);
}

/** @param {State} s @param {boolean} fresh @returns {Move} */
function start(s, fresh) {
  return to(
    s,
    'asking',
    {
      fresh,
      sending: false,
      word: null,
      claim: null,
      connecting: false,
      loop: false,
      orphaned: false,
    },
    { do: 'status' },
  );
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function asked(s, { active, reconnecting }) {
  if (!active) return to(s, 'reading', {}, { do: 'service', stage: s.stage, fresh: s.fresh });
  // A reconnect loop with an unknown token may last for three hours, during which OBS refuses new
  // settings.
  if (reconnecting && s.unattended)
    return quiet({ ...s, sending: true }, { after: 'renew', reason: null });
  return take(s, false);
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function read(s, { whip, mine, reusable }) {
  // If only the service was switched, OBS would send AAC labelled as Opus. So the person has to set
  // OBS up.
  if (!whip) return trouble(s, { text: 'live.notOurs', code: 'setup' }, false);
  if (mine && reusable) return put(s, mine, true);
  return to(s, 'minting', {}, { do: 'mint', stage: s.stage });
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function minted(s, { about }) {
  return put(s, /** @type {About} */ (about), false);
}

/** @param {State} s @param {About} about @param {boolean} reused @returns {Move} */
function put(s, { participantId, expiresAt, renewAt }, reused) {
  return to(s, 'putting', { participantId, expiresAt, renewAt, reused }, { do: 'put' });
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function putIn(s, { kept }) {
  if (!kept) return trouble(s, { text: 'live.notKept' }, false);
  return to(s, 'calling', { sending: true, connecting: true }, { do: 'start' }, timer('start'));
}

/** @param {State} s @returns {Move} */
function unreached(s) {
  return explain(s, 'live.unreachable');
}

/** OBS may fail without an event, so its status is read. @param {State} s @returns {Move} */
function doubt(s) {
  return to(s, 'doubting', {}, { do: 'status' });
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function doubted(s, { active }) {
  const now = { ...s, connecting: false };
  return active ? confirm(now) : trouble(now, { text: 'live.silent' }, false);
}

/** @param {State} s @returns {Move} */
function gone(s) {
  return trouble(s, { text: 'live.obsGone' }, true);
}

/** @param {State} s @returns {Move} */
function confirm(s) {
  if (s.word?.kind === 'publishing') return live(s);
  if (s.word?.kind === 'ended') return hang(s);
  return to(s, 'confirming', { sending: true }, timer('stage'));
}

/** @param {State} s @returns {Move} */
function live(s) {
  return to(s, 'live', { reused: false, renewing: false, sending: true, since: s.since || s.now });
}

/** @param {State} s @returns {Move} */
function lostAtOnce(s) {
  return explain(s, 'live.lostAtOnce');
}

/** @param {State} s @returns {Move} */
function noMedia(s) {
  return trouble(s, { text: 'live.noMedia' }, true);
}

/**
 * Called after the stage has ended the session. OBS will stop or reconnect soon.
 * @param {State} s
 * @returns {Move}
 */
function hang(s) {
  return to(s, 'hanging', { sending: true }, timer('reason'));
}

/** @param {State} s @returns {Move} */
function hung(s) {
  return trouble(s, s.word ? said(s.word, 'live.noMedia') : { text: 'live.noMedia' }, true);
}

/* ---- on the stage ---- */

/** @param {State} s @returns {Move} */
function lasting(s) {
  return stay(s, s.now - s.since > LONG_LIVE ? { renewals: 0 } : {});
}

/** @param {State} s @returns {Move} */
function backLive(s) {
  return to(s, 'live');
}

/**
 * Called when the stage can be reached again and does not know the broadcast.
 * @param {State} s @returns {Move}
 */
function check(s) {
  return to(s, 'checking', {}, { do: 'status' });
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function checked(s, { active, reconnecting }) {
  if (!active) return ended({ ...s, deferred: [] });
  if (reconnecting) return looped({ ...s, word: null });
  return quiet({ ...s, renewing: true }, { after: 'start', reason: { text: 'live.forgotten' } });
}

/** @param {State} s @returns {Move} */
function away(s) {
  return to(s, 'away');
}

/** @param {State} s @returns {Word | null} the event with which the stage ended the broadcast */
const over = ({ word }) =>
  word && (word.kind === 'refused' || word.kind === 'ended') ? word : null;

/** @param {State} s @param {Word} word */
const renewable = (s, word) =>
  s.renewals === 0 && (!FINAL.includes(word.code) || (s.reused && word.code === 'token_revoked'));

/** @param {State} s @param {Fact} fact @returns {Move} */
function judged(s, fact) {
  const word = /** @type {Word} */ (fact.event);
  return FINAL.includes(word.code) ? giveUp(s, word) : stay(s);
}

/**
 * Called when OBS is in its reconnect loop. The stage may report the reason.
 * @param {State} s
 * @returns {Move}
 */
function looped(s) {
  const word = over(s);
  if (word && FINAL.includes(word.code) && !renewable(s, word)) return giveUp(s, word);
  if (s.expiresAt > 0 && s.expiresAt <= s.now && s.renewals === 0) return renew(s);
  if (word?.kind === 'refused') return renewable(s, word) ? renew(s) : giveUp(s, word);
  return to(s, 'reconnecting', { sending: true, reason: word && said(word, 'live.ended') });
}

/** Stops the stream, sets a new token and starts again, once. @param {State} s @returns {Move} */
function renew(s) {
  return quiet(
    { ...s, renewals: s.renewals + 1, renewing: true },
    { after: 'renew', reason: null },
  );
}

/** @param {State} s @param {Word} word @returns {Move} */
function giveUp(s, word) {
  return quiet(s, { after: 'trouble', reason: said(word, 'live.ended') });
}

/* ---- finding out why ---- */

/** @param {State} s @returns {Move} */
function ended(s) {
  return explain(s, 'live.ended');
}

/**
 * Called when OBS has stopped. Shows the reason that the stage has reported. If there is none yet,
 * waits briefly, because the stage may report it shortly after. If it reports none, `text` is
 * shown.
 * @param {State} s
 * @param {string} text
 * @returns {Move}
 */
function explain(s, text) {
  if (s.unwanted) return toIdle(s);
  const word = over(s) ?? s.claim;
  if (word) return conclude(s, word, text);
  return to(s, 'explaining', { fallback: { text } }, timer('reason'));
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function explained(s, fact) {
  return conclude(s, /** @type {Word} */ (fact.event), s.fallback?.text ?? '');
}

/** @param {State} s @returns {Move} */
function unexplained(s) {
  return conclude(s, null, s.fallback?.text ?? '');
}

/** Called when OBS was closed and has stopped the stream. @param {State} s @returns {Move} */
function obsEnded(s) {
  return trouble(s, { text: 'live.obsEnded' }, false);
}

/** @param {State} s @param {Word | null} word @param {string} text @returns {Move} */
function conclude(s, word, text) {
  if (
    s.unattended &&
    text === 'live.ended' &&
    s.renewals === 0 &&
    !(word && FINAL.includes(word.code))
  )
    return renew(s);
  if (word && word === s.word && word.kind === 'refused' && renewable(s, word)) return renew(s);
  if (word) return trouble(s, said(word, text), false);
  const { state, effects } = trouble(
    s,
    { text: s.offline && text === 'live.ended' ? 'live.serverGone' : text },
    false,
  );
  return { state: { ...state, orphaned: s.offline && text === 'live.ended' }, effects };
}

/* ---- stopping ---- */

/** @param {State} s @returns {Move} */
function halt(s) {
  return quiet({ ...s, unwanted: true }, { after: 'idle', reason: null });
}

/** @param {State} s @param {Then} then @returns {Move} */
function quiet(s, then) {
  const restarts = then.after === 'start' || then.after === 'renew';
  return to(
    s,
    'quieting',
    {
      then,
      stopped: false,
      phase: restarts ? 'reconnecting' : 'stopping',
      step: '',
      reason: then.reason,
    },
    { do: 'stop' },
    timer('stop'),
  );
}

/**
 * While OBS connects, it answers StopStream with 501, and then starts the stream all the same.
 * @param {State} s
 * @param {Fact} fact
 * @returns {Move}
 */
function stopSent(s, { running }) {
  return running || s.connecting ? stay(s) : stay({ ...s, stopped: true }, {}, { do: 'status' });
}

/** @param {State} s @returns {Move} */
function stopAgain(s) {
  if (s.tries + 1 >= STOP_TRIES) return stopDone(s, false);
  return stay(s, { tries: s.tries + 1 }, { do: 'stop' }, timer('stop'));
}

/** OBS reports STOPPED before its output is inactive. @param {State} s @returns {Move} */
function stopSeen(s) {
  return stay(s, { stopped: true, tries: 0 }, { do: 'status' });
}

/** @param {State} s @returns {Move} */
function stopDoubted(s) {
  return stay(s, {}, { do: 'status' });
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function stopChecked(s, { active }) {
  if (!active) return stopDone({ ...s, connecting: false }, true);
  if (!s.stopped) return stopAgain(s);
  if (s.tries >= LOOK_TRIES) return stopDone(s, false);
  return stay(s, { tries: s.tries + 1 }, timer('look'));
}

/** @param {State} s @returns {Move} */
function stopOnly(s) {
  return stay(s, {
    unwanted: true,
    phase: 'stopping',
    renewing: false,
    reason: null,
    then: { after: 'idle', reason: null },
  });
}

/** @param {State} s @param {boolean} done @returns {Move} */
function stopDone(s, done) {
  const { after, reason } = /** @type {Then} */ (s.then);
  const now = { ...s, reason, then: null };
  if (s.unwanted && done) return toIdle(now);
  if (after === 'trouble' && reason) return trouble(now, reason, !done);
  if (!done) return trouble(now, { text: 'live.wontStop' }, true);
  return after === 'idle' ? toIdle(now) : start(now, after === 'renew');
}

/* ---- in trouble ---- */

/** @param {State} s @returns {Move} */
function haltIfSending(s) {
  return s.sending ? halt(s) : toIdle(s);
}

/** @param {State} s @returns {Move} */
function startedInTrouble(s) {
  return s.sending ? stay(s) : foundStarted(s);
}

/** @param {State} s @returns {Move} */
function loopedIfSending(s) {
  return s.sending ? looped(s) : stay(s);
}

/** @param {State} s @returns {Move} */
function confirmIfSending(s) {
  return s.sending ? confirm(s) : stay(s);
}

/** @param {State} s @returns {Move} */
function liveIfSending(s) {
  return s.sending ? live(s) : stay(s);
}

/** @param {State} s @returns {Move} */
function endedInTrouble(s) {
  if (!s.sending) return stay(s);
  return s.participantId ? ended(s) : toIdle(s); // no ID: this page did not start it
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function judgedInTrouble(s, fact) {
  const word = /** @type {Word} */ (fact.event);
  if (!s.reason?.detail) return explainedLate(s, fact);
  return s.sending && word.kind === 'ended' && FINAL.includes(word.code)
    ? giveUp(s, word)
    : stay(s);
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function explainedLate(s, fact) {
  if (s.reason?.detail || s.reason?.text === 'live.obsEnded') return stay(s);
  return stay(s, { reason: said(/** @type {Word} */ (fact.event), 'live.ended') });
}

/**
 * Restarts a broadcast that ended by itself while the server could not be reached.
 * @param {State} s @returns {Move}
 */
function startOrphaned(s) {
  if (!s.orphaned) return stay(s);
  return start({ ...s, renewing: true, reason: { text: 'live.forgotten' } }, false);
}

/* ---- what OBS is doing already ---- */

/** The person started the stream in OBS itself. @param {State} s @returns {Move} */
function foundStarted(s) {
  return take({ ...s, unwanted: false, renewals: 0, word: null, claim: null, since: 0 }, false);
}

/** @param {State} s @param {boolean} loop @returns {Move} */
function take(s, loop) {
  return to(
    s,
    'taking',
    { loop, reason: s.reason },
    { do: 'service', stage: s.stage, fresh: true },
  );
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function taken(s, { whip, mine }) {
  if (mine) {
    const { participantId, expiresAt, renewAt, stage } = mine;
    const same = participantId === s.participantId;
    const known = {
      ...s,
      participantId,
      expiresAt,
      renewAt,
      stage,
      word: same ? s.word : null,
      claim: null,
      sending: true,
    };
    return s.loop ? looped(known) : confirm(known);
  }
  const foreign = { ...s, participantId: '', deferred: [] };
  if (whip && s.unattended) return live(foreign);
  return trouble(foreign, { text: whip ? 'live.otherToken' : 'live.elsewhere' }, true);
}

/** @param {State} s @returns {Move} */
function resume(s) {
  return to(s, 'resuming', { reason: s.reason }, { do: 'status' });
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function resumed(s, { active, reconnecting = false }) {
  if (active) return take({ ...s, unwanted: false }, reconnecting);
  if (s.sending && !s.unwanted)
    return trouble({ ...s, deferred: [] }, { text: 'live.obsEnded' }, false);
  return s.phase === 'trouble' && !s.sending ? to(s, 'trouble', { reason: s.reason }) : toIdle(s);
}

/**
 * Called when the connection broke again. The next connection resumes.
 * @param {State} s
 * @returns {Move}
 */
function resumeFailed(s) {
  if (s.phase === 'trouble') return to(s, 'trouble', { reason: s.reason });
  return s.sending ? to(s, 'away') : toIdle(s);
}

/* ---- a new token while OBS is not streaming ---- */

/** @param {State} s @param {Fact} fact @returns {Move} */
function refresh(s, { stage = '' }) {
  return to(s, 'refreshing', { stage }, { do: 'refresh', stage });
}

/** @param {State} s @param {Fact} fact @returns {Move} */
function refreshed(s, { about }) {
  const { state, effects } = toIdle(s);
  return { state: { ...state, ...about }, effects };
}
