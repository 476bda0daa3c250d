/**
 * A rehearsal: its state machine, step(state, fact) → {state, effects}, which is pure, and the code
 * that runs the machine. golive.js runs the broadcast itself, with the token of a private stage.
 * This module ends the rehearsal after twenty seconds, plays the broadcast back, measures it, and
 * restores OBS's service.
 */
import { api } from './api.js';
import { mayRecover } from './broadcast.js';
import { createBroadcast } from './golive.js';
import { listen } from './ear.js';
import { createMeter } from './numbers.js';
import { readCounters, readService } from './obs-read.js';
import { createPlayback } from './playback.js';
import { score } from './rehearsal-score.js';
import { forgetRehearsal, giveBack, markRehearsal, rehearsalOf } from './rehearsing.js';
import { Tokens } from './tokens.js';

/** Milliseconds that are played back and measured. */
const LENGTH = 20_000;
/**
 * The time limit of the start, in milliseconds. The token lives for 90 seconds
 * (internal/access/rehearsal.go), and the playback needs LENGTH of them.
 */
const START_WITHIN = 70_000;
const MEASURE_EVERY = 2_000;
/** The time limit, in milliseconds, of the upload that measures the uplink. */
const UPLOAD_WITHIN = 5_000;

/**
 * @typedef {'off' | 'starting' | 'playing' | 'stopping' | 'done' | 'failed'} Phase
 * @typedef {import('./broadcast.js').Reason} Reason
 * @typedef {object} State
 * @property {Phase} phase
 * @property {import('./broadcast.js').Step} step what "starting" waits for
 * @property {number} since the time at which the playback began, in milliseconds
 * @property {Reason | null} reason why it failed, or what keeps it from starting so far
 * @property {boolean} cancelled by the person
 * @property {import('./rehearsal-score.js').Score | null} score
 *
 * @typedef {object} Fact
 * @property {'begin' | 'broadcast' | 'time' | 'cancel' | 'ended' | 'closed' | 'dismiss'} kind
 * @property {import('./broadcast.js').State} [broadcast]
 * @property {number} [now]
 * @property {import('./rehearsal-score.js').Score | null} [score]
 *
 * @typedef {'go' | 'look' | 'watch' | 'measure' | 'stop' | 'leave'} Effect - look: ask the server
 *   whether the stage receives the broadcast; measure: take the last sample, stop, and compute the
 *   score; leave: only stop measuring, and do not touch OBS
 */

/** @type {Readonly<State>} */
export const FIRST = Object.freeze({
  phase: 'off',
  step: '',
  since: 0,
  reason: null,
  cancelled: false,
  score: null,
});

/** Reasons that mean that OBS is running a stream that the rehearsal must not stop. */
const FOREIGN = Object.freeze(['live.otherToken', 'live.elsewhere', 'live.running']);

/** @param {State} s @param {Fact} fact @returns {{state: State, effects: Effect[]}} */
export function step(s, fact) {
  const active = s.phase === 'starting' || s.phase === 'playing';
  const ending = active || s.phase === 'stopping';
  if (fact.kind === 'begin' && !ending)
    return { state: { ...FIRST, phase: 'starting', step: 'token' }, effects: ['go'] };
  if (fact.kind === 'broadcast' && active)
    return followed(
      s,
      /** @type {import('./broadcast.js').State} */ (fact.broadcast),
      fact.now ?? 0,
    );
  if (fact.kind === 'time' && s.phase === 'starting')
    return failed(s, s.reason ?? { text: 'rehearsal.broke' }, 'stop');
  if (fact.kind === 'time' && s.phase === 'playing')
    return { state: { ...s, phase: 'stopping' }, effects: ['measure'] };
  if (fact.kind === 'cancel' && active)
    return { state: { ...s, phase: 'stopping', cancelled: true }, effects: ['stop'] };
  if (fact.kind === 'closed' && ending) return failed(s, { text: 'live.obsGone' }, 'leave');
  if (fact.kind === 'ended' && s.phase === 'stopping') return over(s, fact.score ?? null);
  if (fact.kind === 'dismiss' && (s.phase === 'done' || s.phase === 'failed'))
    return { state: FIRST, effects: [] };
  return { state: s, effects: [] };
}

/**
 * @param {State} s @param {Reason} reason @param {Effect} effect
 * @returns {{state: State, effects: Effect[]}}
 */
const failed = (s, reason, effect) => ({
  state: { ...s, phase: effect === 'leave' ? 'failed' : 'stopping', reason },
  effects: [effect],
});

/**
 * @param {State} s @param {import('./broadcast.js').State} broadcast @param {number} now
 * @returns {{state: State, effects: Effect[]}}
 */
function followed(s, broadcast, now) {
  const { phase, step: at, reason, sending } = broadcast;
  if (phase === 'trouble') {
    const why = reason ?? { text: 'live.ended' };
    if (FOREIGN.includes(why.text) && sending) return failed(s, why, 'leave');
    if (!mayRecover(broadcast)) return failed(s, why, 'stop');
    return s.phase === 'starting'
      ? { state: { ...s, reason: why }, effects: ['look'] }
      : { state: s, effects: [] };
  }
  // A connection that breaks during the playback is a result, so the rehearsal ends.
  if (phase === 'idle' || (phase === 'reconnecting' && s.phase === 'playing'))
    return failed(s, reason ?? { text: 'rehearsal.broke' }, 'stop');
  if (s.phase === 'playing') return { state: s, effects: [] };
  return phase === 'live'
    ? { state: { ...s, phase: 'playing', step: '', since: now, reason: null }, effects: ['watch'] }
    : { state: { ...s, step: at || s.step, reason }, effects: [] };
}

/** @param {State} s @param {State['score']} result @returns {{state: State, effects: Effect[]}} */
function over(s, result) {
  if (s.cancelled) return { state: FIRST, effects: [] };
  if (s.reason) return { state: { ...s, phase: 'failed' }, effects: [] };
  return { state: { ...s, phase: 'done', score: result }, effects: [] };
}

/**
 * @typedef {object} Dependencies
 * @property {import('./obs.js').ObsCaller} obs
 * @property {(state: State) => void} onChange
 * @property {() => import('./types.js').Limits} limits
 * @property {(level: number) => void} [level] of the sound, 0 to 1
 * @property {typeof api} [call]
 * @property {typeof createPlayback} [playback]
 * @property {typeof listen} [ear]
 * @property {{start?: number, playback?: number}} [within] time limits, in milliseconds
 * @property {import('./golive.js').Dependencies['waits']} [waits] of the broadcast
 * @property {Record<string, any> | null} [earlier] the service that OBS had before an earlier
 *   rehearsal that was interrupted
 */

/** @param {Dependencies} deps */
export function createRehearsal(deps) {
  const { obs, onChange, limits, call = api, earlier = null } = deps;
  const { level = () => {}, playback = createPlayback, ear = listen } = deps;
  const within = { start: START_WITHIN, playback: LENGTH, ...deps.within };
  const secrets = createSecrets(call);
  const measuring = createMeasuring({ obs, call, playback, ear, level, tokens: secrets.now });
  const broadcast = createBroadcast({
    obs,
    tokens: secrets.tokens,
    waits: deps.waits,
    onChange: (now) => course.tell({ kind: 'broadcast', broadcast: now, now: Date.now() }),
  });
  const loan = createLoan(obs, broadcast, earlier);
  const course = createCourse(onChange, within, {
    go: () => loan.begin().catch(() => course.tell({ kind: 'closed' })), // OBS did not answer
    look: createSearch(call, broadcast, () => course.state.phase === 'starting'),
    leave: measuring.stop,
    watch: measuring.start,
    async measure() {
      const found = await measuring.take(limits());
      await loan.end();
      const uplink = await measuring.uplink(found);
      course.tell({ kind: 'ended', score: score({ ...found, uplink }) });
    },
    async stop() {
      measuring.stop();
      await loan.end();
      course.tell({ kind: 'ended' });
    },
  });
  return {
    get state() {
      return course.state;
    },
    get running() {
      return course.running;
    },
    get screen() {
      return measuring.screen;
    },
    /** The service that OBS had before, until it is restored. */
    get earlier() {
      return loan.earlier;
    },
    begin: () => course.tell({ kind: 'begin' }),
    cancel: course.cancel,
    dismiss: () => course.tell({ kind: 'dismiss' }),
    obsState: broadcast.obsState,
    obsClosed() {
      broadcast.obsClosed();
      course.tell({ kind: 'closed' });
    },
    /** @param {import('./types.js').StageEvent} event */
    stageEvent(event) {
      // Afterwards OBS may stream something else, which a late event must not stop.
      if (course.running) broadcast.stageEvent(event);
    },
    mended: loan.forget,
  };
}

/**
 * Runs the state machine and its clock.
 * @param {(state: State) => void} onChange
 * @param {{start: number, playback: number}} within milliseconds
 * @param {Record<Effect, () => unknown>} deeds
 */
function createCourse(onChange, within, deeds) {
  let state = FIRST;
  let timer = 0;
  /** @type {(() => void)[]} */
  let waiting = [];
  const running = () => ['starting', 'playing', 'stopping'].includes(state.phase);

  /** @param {number} ms */
  function limit(ms) {
    timer = window.setTimeout(() => tell({ kind: 'time' }), ms);
  }

  /** @param {Fact} fact */
  function tell(fact) {
    const before = state;
    const next = step(state, fact);
    state = next.state;
    if (state.phase !== before.phase) clearTimeout(timer);
    for (const effect of next.effects) {
      if (effect === 'go') limit(within.start);
      if (effect === 'watch') limit(within.playback);
      void deeds[effect]();
    }
    if (state !== before) onChange(state);
    if (!running()) for (const done of waiting.splice(0)) done();
  }

  return {
    tell,
    get state() {
      return state;
    },
    get running() {
      return running();
    },
    /** @returns {Promise<void>} settles when the rehearsal has ended and tried to restore OBS */
    cancel: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        tell({ kind: 'cancel' });
      }),
  };
}

/**
 * The tokens of the private stage. Each is used once, and the browser does not store them.
 * @param {typeof api} call
 */
function createSecrets(call) {
  /** @type {import('./types.js').Rehearsal | null} */
  let made = null;
  /** @type {Map<string, string>} */
  const memory = new Map();
  const storage = {
    getItem: (/** @type {string} */ k) => memory.get(k) ?? null,
    setItem: (/** @type {string} */ k, /** @type {string} */ v) => void memory.set(k, v),
    removeItem: (/** @type {string} */ k) => void memory.delete(k),
  };
  const tokens = new Tokens({
    user: () => '',
    storage,
    async mint() {
      made = /** @type {import('./types.js').Rehearsal} */ (await call('POST', 'api/rehearsals'));
      markRehearsal(made.publish.participantId);
      return made.publish;
    },
  });
  return { tokens, now: () => made };
}

/**
 * Replaces OBS's service during a rehearsal, and restores it.
 * @param {import('./obs.js').ObsCaller} obs
 * @param {ReturnType<typeof createBroadcast>} broadcast
 * @param {Record<string, any> | null} earlier OBS's earlier service, until it is restored
 */
function createLoan(obs, broadcast, earlier) {
  function forget() {
    earlier = null;
    forgetRehearsal();
  }

  return {
    get earlier() {
      return earlier;
    },
    forget,
    async begin() {
      const { type, settings } = await readService(obs);
      if (!rehearsalOf(settings.bearer_token)) earlier = type === 'whip_custom' ? settings : null;
      await broadcast.go('');
    },
    /**
     * Stops the stream and restores the service. If that fails, the next connection to OBS tries
     * again.
     */
    async end() {
      await broadcast.stop();
      if (earlier && !broadcast.state.sending) await giveBack(obs, earlier).then(forget, () => {});
      broadcast.dismiss();
    },
  };
}

/**
 * Returns a function that asks the server, again and again, whether the stage receives the
 * broadcast. The event stream has no presence for the private stage, and the event "publishing" may
 * be late or lost.
 * @param {typeof api} call
 * @param {ReturnType<typeof createBroadcast>} broadcast
 * @param {() => boolean} starting
 */
function createSearch(call, broadcast, starting) {
  let timer = 0;
  const wanted = () => starting() && mayRecover(broadcast.state);

  async function look() {
    clearTimeout(timer);
    const { participantId } = broadcast.state;
    const token = await call('GET', `api/tokens/${participantId}`).catch(() => null);
    if (!wanted()) return;
    if (token?.presence) broadcast.presence([token.presence]);
    clearTimeout(timer);
    timer = window.setTimeout(() => void (wanted() && look()), MEASURE_EVERY);
  }
  return look;
}

/**
 * @typedef {() => import('./types.js').Rehearsal | null} Secrets
 */

/**
 * Takes samples of what OBS sends and of what the stage receives. A sample that fails is omitted,
 * and the score names what is missing.
 * @param {import('./obs.js').ObsCaller} obs
 * @param {typeof api} call
 * @param {Secrets} tokens
 */
function createSampler(obs, call, tokens) {
  const meter = createMeter({ window: LENGTH });
  /** @type {import('./types.js').Reception[]} */
  let received = [];
  /** @type {import('./numbers.js').Sent | null} */
  let sent = null;
  let timer = 0;

  async function readSent() {
    const counters = await readCounters(obs).catch(() => null);
    if (counters) sent = meter.add(counters.at, counters.status, counters.stats);
  }

  /** @param {string} participantId */
  async function readReceived(participantId) {
    const state = await call('GET', `api/tokens/${participantId}`).catch(() => null);
    if (state?.presence?.reception) received.push(state.presence.reception);
  }

  // OBS and the server answer independently: a slow server must not delay the counters of OBS.
  async function sample() {
    const own = tokens()?.publish;
    if (own) await Promise.all([readSent(), readReceived(own.participantId)]);
  }

  return {
    start() {
      [received, sent] = [[], null];
      meter.reset();
      void sample();
      timer = window.setInterval(() => void sample(), MEASURE_EVERY);
    },
    stop: () => clearInterval(timer),
    /** Takes the last sample. */
    async take() {
      await sample();
      const video = await obs.call('GetVideoSettings').catch(() => null);
      const fps = video ? video.fpsNumerator / video.fpsDenominator : 0;
      return { received, sent, fps };
    },
  };
}

/**
 * Plays the broadcast back, and measures at the stage, in the page and in OBS.
 * @param {Required<Pick<Dependencies, 'obs' | 'call' | 'playback' | 'ear' | 'level'>> &
 *   {tokens: Secrets}} deps
 */
function createMeasuring({ obs, call, playback, ear, level, tokens }) {
  const sampler = createSampler(obs, call, tokens);
  /** @type {ReturnType<typeof createPlayback> | null} */
  let player = null;
  /** @type {ReturnType<typeof listen> | null} */
  let hearing = null;

  function stop() {
    sampler.stop();
    hearing?.stop();
    player?.stop();
    hearing = player = null;
  }

  return {
    stop,
    get screen() {
      return player?.screen ?? null;
    },
    start() {
      const now = tokens();
      if (!now) return;
      player = playback({
        participantId: now.publish.participantId,
        token: now.view.token,
        sound: (stream) => (hearing ??= ear(stream, level)),
      });
      sampler.start();
    },
    /**
     * @param {import('./types.js').Limits} limits
     * @returns {Promise<import('./rehearsal-score.js').Measured>}
     */
    async take(limits) {
      const sampled = await sampler.take();
      const played = (await player?.played()) ?? null;
      const heard = hearing?.heard() ?? null;
      stop();
      return { limits, ...sampled, uplink: 0, played, heard };
    },
    /**
     * Measures the uplink after OBS has stopped sending.
     * @param {import('./rehearsal-score.js').Measured} found
     */
    uplink: ({ sent }) =>
      uplinkOf(tokens()?.publish.participantId ?? '', Math.max(sent?.bitrate ?? 0, 1_000_000)),
  };
}

/**
 * Measures the uplink: uploads as many bits as two seconds of the broadcast have.
 * @param {string} participantId @param {number} bits per second
 * @returns {Promise<number>} bit/s; 0 when it is not known
 */
export async function uplinkOf(
  participantId,
  bits,
  { fetch = globalThis.fetch, now = () => performance.now() } = {},
) {
  const block = crypto.getRandomValues(new Uint8Array(65_536));
  const blocks = Math.min(60, Math.ceil((bits * 2) / 8 / block.length));
  const size = blocks * block.length * 8;
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), UPLOAD_WITHIN);
  const start = now();
  try {
    const response = await fetch(
      new URL(`../../api/rehearsals/${participantId}/uplink`, import.meta.url),
      {
        method: 'POST',
        credentials: 'same-origin',
        signal: limit.signal,
        headers: { 'Content-Type': 'application/octet-stream' },
        body: new Blob(Array(blocks).fill(block)),
      },
    );
    return response.ok ? size / Math.max(0.001, (now() - start) / 1000) : 0;
  } catch {
    // If the upload was cut off, the uplink is at most this.
    return limit.signal.aborted ? size / (UPLOAD_WITHIN / 1000) : 0;
  } finally {
    clearTimeout(timer);
  }
}
