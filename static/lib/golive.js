/**
 * Runs the state machine of broadcast.js: carries out its effects on OBS, the tokens and a timer,
 * and returns their results as facts.
 */
import { FIRST, step } from './broadcast.js';
import { CODE } from './obs.js';
import { serviceSettings } from './obs-setup.js';

export { FINAL, SETTINGS } from './broadcast.js';

/**
 * Time limits in milliseconds. `start` is longer than the 8 s for which OBS waits for the endpoint.
 * It is needed because OBS may fail without an event. `look` is the pause before the status is read
 * again.
 */
const WAITS = Object.freeze({
  start: 15_000,
  stage: 20_000,
  stop: 5_000,
  reason: 1_500,
  look: 100,
});

/** The states in which the machine has finished what the page asked for. */
const SETTLED = Object.freeze(['idle', 'live', 'away', 'reconnecting', 'trouble']);

/**
 * @typedef {import('./broadcast.js').State} Broadcast
 * @typedef {import('./broadcast.js').Fact} Fact
 * @typedef {import('./broadcast.js').Effect} Effect
 * @typedef {import('./broadcast.js').Reason} Reason
 * @typedef {import('./tokens.js').Ready} Ready
 *
 * @typedef {object} Dependencies
 * @property {import('./obs.js').ObsCaller} obs
 * @property {import('./tokens.js').Tokens} tokens
 * @property {(state: Broadcast) => void} onChange
 * @property {() => number} [now]
 * @property {Partial<Record<keyof typeof WAITS, number>>} [waits]
 */

/** @param {Dependencies} deps */
export function createBroadcast({ obs, tokens, onChange, now = Date.now, waits = {} }) {
  const machine = createMachine({
    deeds: new Deeds(obs, tokens),
    onChange,
    now,
    waits: { ...WAITS, ...waits },
  });
  const { tell, settled } = machine;
  /** IDs of processed events: a new event stream repeats recent events. @type {Set<number>} */
  const seen = new Set();

  return {
    get state() {
      return machine.state;
    },
    /**
     * @param {string} stage an ARN @returns {Promise<void>} settles when it is live or has failed
     */
    go: (stage) => settled({ kind: 'go', stage }),
    stop: () => settled({ kind: 'stop' }),
    /** Closes the message about a problem that the person has read. */
    dismiss: () => tell({ kind: 'dismiss' }),
    /** Call it after the page has connected to OBS. It finds out whether OBS streams. */
    resume: () => settled({ kind: 'resume' }),
    /**
     * While OBS is not streaming and its token is about to expire, puts a new token into OBS.
     * @param {string} stage an ARN
     */
    keepFresh: (stage) => settled({ kind: 'refresh', stage }),
    /** @param {string} outputState of StreamStateChanged */
    obsState: (outputState) =>
      tell({ kind: 'obs', state: outputState.replace('OBS_WEBSOCKET_OUTPUT_', '') }),
    obsClosed: () => tell({ kind: 'closed' }),
    /** @param {import('./types.js').StageEvent} event */
    stageEvent(event) {
      const { participantId } = machine.state;
      if (seen.has(event.id) || event.participantId !== participantId || !participantId) return;
      seen.add(event.id);
      tell({ kind: event.claimed ? 'claim' : 'stage', event });
    },
    /**
     * Call it with the participants on the broadcast's stage.
     * @param {import('./types.js').Presence[]} participants
     * @param {boolean} [anew] whether it is the first presence after an interruption of the events
     */
    presence(participants, anew = false) {
      const own = participants.find((p) => p.participantId === machine.state.participantId);
      if (own?.publishing) tell({ kind: 'presence' });
      else if (anew) tell({ kind: 'absent' });
    },
    /** @param {boolean} online whether the server's events arrive */
    online: (online) => tell({ kind: 'events', online }),
    /** Whether the broadcast is live with a token that may expire before a reconnect. */
    dying: () =>
      machine.state.phase === 'live' &&
      machine.state.expiresAt > 0 &&
      now() >= machine.state.renewAt,
  };
}

/**
 * @param {object} deps
 * @param {Deeds} deps.deeds
 * @param {(state: Broadcast) => void} deps.onChange
 * @param {() => number} deps.now
 * @param {Record<keyof typeof WAITS, number>} deps.waits
 */
function createMachine({ deeds, onChange, now, waits }) {
  /** @type {Broadcast} */
  let state = FIRST;
  /** @type {ReturnType<typeof setTimeout> | undefined} the running timer; there is at most one */
  let timer;
  /** @type {Set<() => void>} */
  const waiting = new Set();
  const isSettled = () => SETTLED.includes(state.at);

  /** @param {Fact} fact */
  function tell(fact) {
    const before = state;
    const next = step(state, { now: now(), ...fact });
    state = next.state;
    if (state.turn !== before.turn) clearTimeout(timer);
    for (const effect of next.effects) void carryOut(effect, state.turn);
    if (changed(before, state)) onChange(state);
    if (isSettled()) for (const done of [...waiting]) done();
  }

  /** @param {Effect} effect @param {number} turn */
  async function carryOut(effect, turn) {
    if (effect.do === 'timer') {
      clearTimeout(timer);
      timer = setTimeout(() => tell({ kind: 'timeout', turn }), waits[effect.wait ?? 'start']);
      return;
    }
    try {
      const answer = await deeds[effect.do](effect);
      if (answer) tell({ turn, ...answer });
    } catch (err) {
      tell({ kind: 'failed', turn, ...failure(err) });
    }
  }

  return {
    get state() {
      return state;
    },
    tell,
    /**
     * @param {Fact} fact
     * @returns {Promise<void>} settles when the machine is in one of the SETTLED states
     */
    async settled(fact) {
      tell(fact);
      if (isSettled()) return;
      await new Promise((resolve) => {
        const done = () => {
          waiting.delete(done);
          resolve(undefined);
        };
        waiting.add(done);
      });
    },
  };
}

/** @type {(keyof Broadcast)[]} the fields that pages show */
const SHOWN = [
  'phase',
  'step',
  'reason',
  'since',
  'sending',
  'renewing',
  'participantId',
  'expiresAt',
];

/** @param {Broadcast} a @param {Broadcast} b */
const changed = (a, b) => SHOWN.some((name) => a[name] !== b[name]);

/**
 * Carries out the effects of the machine. It keeps the tokens itself; the machine gets only their
 * participants and times.
 */
class Deeds {
  #obs;
  #tokens;
  /** The settings of the service in OBS. @type {Record<string, any>} */
  #has = {};
  /** The settings to write into OBS. @type {Ready | null} */
  #ready = null;

  /**
   * @param {import('./obs.js').ObsCaller} obs
   * @param {import('./tokens.js').Tokens} tokens
   */
  constructor(obs, tokens) {
    this.#obs = obs;
    this.#tokens = tokens;
  }

  /** @param {Effect} effect @returns {Promise<Fact>} */
  async service({ stage = '', fresh = false }) {
    const { type, settings } = await this.#readService();
    this.#has = settings ?? {};
    this.#ready = fresh ? null : this.#tokens.reusable(this.#has, stage);
    const whip = type === 'whip_custom';
    return {
      kind: 'service',
      whip,
      mine: whip ? (this.#ready?.kept ?? this.#tokens.inObs(this.#has)) : null,
      reusable: this.#ready !== null,
    };
  }

  /** @param {Effect} effect @returns {Promise<Fact>} */
  async refresh({ stage = '' }) {
    const { whip, mine, reusable } = await this.service({ do: 'service', stage });
    if (!whip || reusable) return { kind: 'refreshed' };
    // The token belongs to another dock. Do not replace it, because two docks could replace each
    // other's token for ever.
    if (this.#has.bearer_token && !mine) return { kind: 'refreshed' };
    if ((await readStatus(this.#obs)).active) return { kind: 'refreshed' };
    const wanted = await this.#fresh(stage);
    // Another profile may have been selected meanwhile. Its service must not be replaced.
    const now = await this.#readService();
    if (now.type !== 'whip_custom' || !points(now.settings, this.#has))
      return { kind: 'refreshed' };
    await this.#give(wanted);
    return { kind: 'refreshed', about: about(wanted) };
  }

  status() {
    return readStatus(this.#obs);
  }

  stop() {
    return sendStop(this.#obs);
  }

  /** @param {Effect} effect @returns {Promise<Fact>} */
  async mint({ stage = '' }) {
    return { kind: 'token', about: about(await this.#fresh(stage)) };
  }

  /** @returns {Promise<Fact>} */
  async put() {
    return { kind: 'put', kept: await this.#give(/** @type {Ready} */ (this.#ready)) };
  }

  /** @returns {Promise<void>} */
  async start() {
    await this.#obs.call('StartStream');
  }

  /** Makes sure that a token that was refused is not used again. @param {Effect} effect */
  async spoil({ id = '' }) {
    this.#tokens.spoil(id);
  }

  async #readService() {
    const { streamServiceType: type, streamServiceSettings: settings } = await this.#obs.call(
      'GetStreamServiceSettings',
    );
    return { type, settings };
  }

  /** @param {string} stage @returns {Promise<Ready>} */
  async #fresh(stage) {
    this.#ready = await this.#tokens.fresh(stage);
    return this.#ready;
  }

  /**
   * Sets the service and reads it back, because a linked account may have changed it.
   * @param {Ready} wanted
   * @returns {Promise<boolean>}
   */
  async #give(wanted) {
    if (this.#has.service !== 'WHIP' || !points(this.#has, wanted)) {
      await this.#obs.call('SetStreamServiceSettings', serviceSettings(wanted));
      const { type, settings } = await this.#readService();
      if (type !== 'whip_custom' || !points(settings, wanted)) return false;
    }
    this.#tokens.keep(wanted);
    return true;
  }
}

/**
 * Whether OBS's service has these settings.
 * @param {Record<string, any>} settings
 * @param {{server?: string, bearer_token?: string}} wanted
 */
const points = (settings, { server, bearer_token }) =>
  settings.server === server && settings.bearer_token === bearer_token;

/** @param {import('./obs.js').ObsCaller} obs */
async function readStatus(obs) {
  const { outputActive, outputReconnecting } = await obs.call('GetStreamStatus');
  return {
    kind: 'status',
    active: Boolean(outputActive),
    reconnecting: Boolean(outputReconnecting),
  };
}

/** @param {import('./obs.js').ObsCaller} obs */
async function sendStop(obs) {
  try {
    await obs.call('StopStream');
    return { kind: 'stopSent', running: true };
  } catch (/** @type {any} */ err) {
    if (err.code !== CODE.outputNotRunning) throw err;
    return { kind: 'stopSent', running: false };
  }
}

/** @param {Ready} ready @returns {import('./broadcast.js').About} */
const about = ({ kept: { participantId, expiresAt, renewAt } }) => ({
  participantId,
  expiresAt,
  renewAt,
});

/**
 * The reason that an error gives for the end of the broadcast.
 * @param {any} err
 * @returns {{reason: Reason, sending?: boolean}}
 */
function failure(err) {
  const { code, name, message } = err ?? {};
  if (name === 'ApiError')
    return { reason: { text: `api.${code}`, detail: message, code: String(code) }, sending: false };
  if (code === CODE.outputRunning)
    return { reason: { text: 'live.running', values: { message } }, sending: true };
  if (code === 'closed') return { reason: { text: 'live.obsGone' } };
  if (code === 'timeout') return { reason: { text: 'live.obsSilent', values: { message } } };
  return { reason: { text: 'live.failed', values: { message: message ?? String(err) } } };
}
