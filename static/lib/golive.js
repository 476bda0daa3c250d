/**
 * From the click to LIVE, and what happens after: OBS starts, the stage confirms. OBS never says why a stream failed, so the
 * stage's events are the other half of every wait. Nothing waits without a limit.
 */
import { CODE } from './obs.js';
import { serviceSettings, SetupError } from './obs-setup.js';

/** What OBS sends is wrong, and would be again: only other settings help. */
export const SETTINGS = Object.freeze(['no_h264', 'bitrate_exceeded', 'resolution_exceeded', 'b_frame_present', 'invalid_video_codec', 'invalid_audio_codec', 'invalid_input']);

/** What no fresh token helps against, or where one would go against somebody's will. internal/obs/testdata/final.json holds both sides to it. */
export const FINAL = Object.freeze(['kicked', 'token_revoked', 'replaced', 'denied', 'no_grant', 'no_capability', 'insufficient_capabilities',
  'stage_deleted', 'stage_gone', 'stage_full', 'quota_exceeded', 'bad_sdp', ...SETTINGS]);

/** Milliseconds. OBS gives the endpoint 8 s; a failure inside OBS may come with no event at all. */
const WAITS = Object.freeze({ start: 15_000, stage: 20_000, stop: 5_000, reason: 1_500 });

/** After it a later dead token may be renewed again without being asked. */
const LONG_LIVE = 5 * 60_000;

/**
 * idle · starting: `step` says what is waited for · live · reconnecting: `reason` is the stage's, if it has one · stopping ·
 * trouble: `reason` says why; `sending` when OBS goes on meanwhile
 * @typedef {'token' | 'settings' | 'obs' | 'stage'} Step
 * @typedef {{text: string, values?: Record<string, any>, detail?: string, code?: string}} Reason
 * @typedef {object} Broadcast
 * @property {'idle' | 'starting' | 'live' | 'reconnecting' | 'stopping' | 'trouble'} phase
 * @property {Step} [step]
 * @property {boolean} renewing a dead token is being replaced
 * @property {number} since milliseconds, when live
 * @property {Reason} [reason]
 * @property {boolean} sending OBS's output is active, or about to be
 * @property {string} participantId
 * @property {number} expiresAt milliseconds; 0 when unknown
 * @property {number} renewAt milliseconds; after it the token would hardly survive a reconnect
 *
 * Claims are events of tokens whose signature is wrong. Anybody may cause one: they explain what OBS did, and nothing follows from them.
 * @typedef {{kind: 'obs', state: string} | {kind: 'stage' | 'claim', event: import('./types.js').StageEvent} | {kind: 'presence', presence: import('./types.js').Presence} | {kind: 'stop'} | {kind: 'closed'}} Fact
 */

/**
 * @param {object} world
 * @param {import('./obs.js').ObsCaller} world.obs
 * @param {import('./tokens.js').Tokens} world.tokens
 * @param {(state: Broadcast) => void} world.onChange
 * @param {() => number} [world.now]
 * @param {Partial<Record<keyof typeof WAITS, number>>} [world.waits]
 */
export function createBroadcast({ obs, tokens, onChange, now = Date.now, waits: given = {} }) {
  const waits = { ...WAITS, ...given };
  /** @type {Broadcast} */
  let state = { phase: 'idle', renewing: false, since: 0, sending: false, participantId: '', expiresAt: 0, renewAt: 0 };
  /** What is under way: starting, stopping, renewing. One at a time. @type {Promise<void> | null} */
  let job = null;
  /** The click on "Go live". @type {Promise<void> | null} */
  let going = null;
  let unwanted = false; // the person said stop
  let connecting = false; // StartStream was sent, and OBS has not said what became of it
  let quieting = false; // it is us who stop OBS
  let renewals = 0;
  let reused = false; // the token was there before this start, and may have been revoked since
  let stage = '';
  /** Each answers whether the fact was what it waits for. @type {Set<(fact: Fact) => boolean>} */
  const watchers = new Set();
  /** What happened while something was under way that did not wait for it. @type {Fact[]} */
  let missed = [];
  /** Events are told again on reconnecting. @type {Set<number>} */
  const seen = new Set();
  /** The last word of the stage about our participant. @type {import('./types.js').StageEvent | undefined} */
  let lastWord;
  /** The last claim about it. @type {import('./types.js').StageEvent | undefined} */
  let lastClaim;

  /** @param {Partial<Broadcast>} change */
  function become(change) {
    const { reason, step, ...rest } = state;
    state = { ...rest, ...change };
    onChange(state);
  }

  /** @param {Reason} reason @param {boolean} sending */
  const trouble = (reason, sending) => become({ phase: 'trouble', reason, sending, renewing: false });

  /**
   * Waits for a fact, undefined when the time is over.
   * @param {(fact: Fact) => boolean} test @param {number} ms @returns {Promise<Fact | undefined>}
   */
  function when(test, ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => end(), ms);
      /** @param {Fact} [fact] */
      const end = (fact) => { clearTimeout(timer); watchers.delete(watch); resolve(fact); };
      /** @param {Fact} fact */
      const watch = (fact) => test(fact) && (end(fact), true);
      watchers.add(watch);
    });
  }

  /** @param {Fact} fact */
  function tell(fact) {
    if (fact.kind === 'obs' && /STARTED$|STOPPED$|RECONNECTED$/.test(fact.state)) connecting = false;
    if (fact.kind === 'obs' && fact.state.endsWith('RECONNECTING') && lastWord?.kind === 'publishing') lastWord = undefined;
    if (fact.kind === 'obs' && fact.state.endsWith('STOPPING') && !quieting) unwanted = true; // OBS's own button
    const awaited = [...watchers].map((watch) => watch(fact)).includes(true);
    if (!job) react(fact);
    else if (!awaited && (fact.kind === 'stage' || (fact.kind === 'obs' && !fact.state.endsWith('STOPPING')))) missed.push(fact);
  }

  /** @param {() => Promise<void>} work @returns {Promise<void>} */
  function only(work) {
    if (!job) job = work().catch(fail).finally(done);
    return job;
  }

  /** @param {import('./tokens.js').Kept} kept */
  const about = ({ participantId, expiresAt, renewAt }) => ({ participantId, expiresAt, renewAt });

  /** A second click joins the first; one that comes while a token is renewed waits for that. @param {string} arn */
  async function begin(arn) {
    unwanted = false;
    while (job) await job;
    if (unwanted || state.phase === 'live') return;
    renewals = 0;
    stage = arn;
    await only(() => start(false));
  }

  function done() {
    job = null;
    while (!job && missed.length > 0) react(/** @type {Fact} */ (missed.shift()));
  }

  /** @param {any} err */
  function fail(err) {
    const code = err?.code;
    if (err?.name === 'ApiError') return trouble({ text: `api.${code}`, detail: err.message, code: String(code) }, false);
    if (err?.name === 'SetupError') return trouble({ text: err.text, values: err.values }, state.sending);
    if (code === CODE.outputRunning) return trouble({ text: 'live.running', values: { message: err.message } }, true);
    if (code === 'closed') return trouble({ text: 'live.obsGone' }, state.sending);
    if (code === 'timeout') return trouble({ text: 'live.obsSilent', values: { message: err.message } }, state.sending);
    trouble({ text: 'live.failed', values: { message: err?.message ?? String(err) } }, state.sending);
  }

  /** @param {boolean} renew take a fresh token whatever OBS has @returns {Promise<void>} */
  async function start(renew) {
    lastWord = lastClaim = undefined;
    become({ phase: 'starting', step: 'token', sending: false, since: 0 });
    if ((await obs.call('GetStreamStatus')).outputActive) return takeOver();
    const before = await obs.call('GetStreamServiceSettings');
    // Switching the service alone would send AAC as if it were Opus: that is Set up OBS's to do.
    if (before.streamServiceType !== 'whip_custom') return trouble({ text: 'live.notOurs', code: 'setup' }, false);
    const has = before.streamServiceSettings ?? {};
    const kept = renew ? null : tokens.reusable(has, stage);
    reused = kept !== null;
    const ready = kept ?? (await tokens.fresh(stage));
    if (unwanted) return become({ phase: 'idle', renewing: false });
    become({ phase: 'starting', step: 'settings', ...about(ready.kept) });
    await put(has, ready);
    if (unwanted) return become({ phase: 'idle', renewing: false });
    become({ phase: 'starting', step: 'obs', sending: true });
    const outcome = when((f) => f.kind === 'stop' || f.kind === 'closed' || (f.kind === 'obs' && /STARTED$|STOPPED$/.test(f.state)), waits.start);
    connecting = true;
    missed = []; // of the stream before
    await obs.call('StartStream');
    return started(await outcome);
  }

  /**
   * Gives OBS the token, and reads back what it has then: a linked account may have had other plans.
   * @param {Record<string, any>} has @param {import('./tokens.js').Ready} ready
   */
  async function put(has, ready) {
    if (has.service !== 'WHIP' || has.server !== ready.server || has.bearer_token !== ready.bearer_token) {
      await obs.call('SetStreamServiceSettings', serviceSettings(ready));
      const { streamServiceType: type, streamServiceSettings: now } = await obs.call('GetStreamServiceSettings');
      if (type !== 'whip_custom' || now.server !== ready.server || now.bearer_token !== ready.bearer_token) throw new SetupError('live.notKept');
    }
    tokens.keep(ready);
  }

  /** @param {Fact | undefined} fact @returns {Promise<void>} */
  async function started(fact) {
    if (unwanted || fact?.kind === 'stop') return halt();
    if (fact?.kind === 'closed') return trouble({ text: 'live.obsGone' }, true);
    if (!fact) { // a failure inside OBS may be silent: ask
      const { outputActive } = await obs.call('GetStreamStatus');
      connecting = false;
      if (!outputActive) return trouble({ text: 'live.silent' }, false);
    } else if (fact.kind === 'obs' && fact.state.endsWith('STOPPED')) {
      return stopped('live.unreachable');
    }
    return confirmed();
  }

  /** OBS's "started" means that the endpoint answered 201. LIVE is what the stage says. @returns {Promise<void>} */
  async function confirmed() {
    become({ phase: 'starting', step: 'stage', sending: true });
    const word = lastWord?.kind === 'publishing' || lastWord?.kind === 'ended' ? lastWord : undefined;
    const fact = word ? { kind: /** @type {const} */ ('stage'), event: word } : await when(isVerdict, waits.stage);
    if (unwanted || fact?.kind === 'stop') return halt();
    if (!fact) return trouble({ text: 'live.noMedia' }, true);
    if (fact.kind === 'closed') return trouble({ text: 'live.obsGone' }, true);
    if (fact.kind === 'obs') return fact.state.endsWith('RECONNECTING') ? become({ phase: 'reconnecting', sending: true }) : stopped('live.lostAtOnce');
    if (fact.kind === 'presence' || fact.event.kind === 'publishing') return live();
    if (await afterwards()) return;
    return trouble(said(fact.event, 'live.noMedia'), true);
  }

  /** @param {Fact} f */
  const isVerdict = (f) => f.kind === 'stop' || f.kind === 'closed' || f.kind === 'presence'
    || (f.kind === 'obs' && /STOPPED$|RECONNECTING$/.test(f.state))
    || (f.kind === 'stage' && ['publishing', 'ended', 'refused'].includes(f.event.kind));

  /** A session that ended makes OBS stop or reconnect in a moment: whichever, its own branch tells. */
  async function afterwards() {
    const fact = await when((f) => f.kind === 'stop' || (f.kind === 'obs' && /STOPPED$|RECONNECTING$/.test(f.state)), waits.reason);
    if (!fact) return false;
    if (fact.kind === 'stop') await halt();
    else if (fact.kind === 'obs' && fact.state.endsWith('RECONNECTING')) await knocking();
    else await stopped('live.ended');
    return true;
  }

  function live() {
    reused = false;
    if (state.phase !== 'live') become({ phase: 'live', since: state.since || now(), sending: true, renewing: false });
  }

  /** @param {import('./types.js').StageEvent} event */
  const isEnd = (event) => event.kind === 'refused' || event.kind === 'ended';

  /** The last word of the stage, if it was that it is over. */
  const lastEnd = () => (lastWord && isEnd(lastWord) ? lastWord : undefined);

  /** OBS stopped unasked; the stage may have a word about it, before or just after. @param {string} text when it has none @returns {Promise<void>} */
  async function stopped(text) {
    const word = lastEnd() ?? lastClaim ?? (await reason());
    if (unwanted) return become({ phase: 'idle', sending: false, renewing: false });
    if (word && word.kind === 'refused' && renewable(word)) return renew();
    trouble(word ? said(word, text) : { text }, false);
  }

  async function reason() {
    const fact = await when((f) => f.kind === 'stop' || f.kind === 'claim' || (f.kind === 'stage' && isEnd(f.event)), waits.reason);
    return fact?.kind === 'stage' || fact?.kind === 'claim' ? fact.event : undefined;
  }

  /** @param {import('./types.js').StageEvent} event @param {string} text @returns {Reason} */
  const said = (event, text) => ({ text, detail: event.detail, code: event.code });

  /** @param {import('./types.js').StageEvent} event */
  const renewable = (event) => renewals === 0 && (!FINAL.includes(event.code) || (reused && event.code === 'token_revoked'));

  /** In the reconnect loop OBS refuses new settings for three hours: stop, renew, start, once. @returns {Promise<void>} */
  async function renew() {
    renewals++;
    become({ phase: 'reconnecting', renewing: true });
    if (!(await quiet())) return trouble({ text: 'live.wontStop' }, true);
    if (unwanted) return become({ phase: 'idle', sending: false, renewing: false });
    return start(true);
  }

  /** OBS is in its reconnect loop, and the stage may say what it thinks of that. */
  async function knocking() {
    const since = state.since;
    const word = lastEnd();
    become({ phase: 'reconnecting', sending: true, since, ...(word && { reason: said(word, 'live.ended') }) });
    const expired = state.expiresAt > 0 && state.expiresAt <= now();
    if (word && FINAL.includes(word.code)) return giveUp(word);
    if (expired && renewals === 0) return renew();
    if (word?.kind === 'refused') return renewable(word) ? renew() : giveUp(word);
  }

  /** @param {import('./types.js').StageEvent} word */
  async function giveUp(word) {
    const still = await quiet();
    if (unwanted) return become({ phase: 'idle', sending: false, renewing: false });
    trouble(said(word, 'live.ended'), !still);
  }

  async function halt() {
    become({ phase: 'stopping' });
    if (await quiet()) return become({ phase: 'idle', sending: false, renewing: false, since: 0 });
    trouble({ text: 'live.wontStop' }, true);
  }

  /**
   * Stops OBS's output and waits until it is idle. While OBS connects it answers 501 to StopStream, and starts all the same a
   * moment later; so it is asked until nothing is under way.
   * @returns {Promise<boolean>}
   */
  async function quiet() {
    quieting = true;
    try {
      return await silenced();
    } finally {
      quieting = false;
    }
  }

  async function silenced() {
    for (let tries = 0; tries < 4; tries++) {
      const next = connecting ? /STARTED$|STOPPED$/ : /STOPPED$/;
      const over = when((f) => f.kind === 'obs' && next.test(f.state), waits.stop);
      try {
        await obs.call('StopStream');
      } catch (/** @type {any} */ err) {
        if (err.code !== CODE.outputNotRunning) throw err;
        if (!connecting) return true;
      }
      const fact = await over;
      if (fact?.kind === 'obs' && fact.state.endsWith('STOPPED')) return true;
      if (!fact && !(await obs.call('GetStreamStatus')).outputActive) { connecting = false; return true; }
    }
    return false;
  }

  /** OBS is on already: started by its own button, or before this page was loaded. @returns {Promise<void>} */
  async function takeOver() {
    const { streamServiceType: type, streamServiceSettings: settings } = await obs.call('GetStreamServiceSettings');
    const kept = type === 'whip_custom' ? tokens.inObs(settings ?? {}) : null;
    if (!kept) return become({ phase: 'trouble', participantId: '', sending: true, reason: { text: type === 'whip_custom' ? 'live.otherToken' : 'live.elsewhere' } });
    stage = kept.stage;
    become({ phase: 'starting', step: 'stage', ...about(kept), sending: true });
    return confirmed();
  }

  /** @param {string} arn */
  async function refresh(arn) {
    const { streamServiceType: type, streamServiceSettings: has } = await obs.call('GetStreamServiceSettings');
    if (type !== 'whip_custom' || tokens.reusable(has, arn)) return;
    if (has.bearer_token && !tokens.inObs(has)) return; // another dock's: two that renew in turns would never end
    if ((await obs.call('GetStreamStatus')).outputActive) return;
    const ready = await tokens.fresh(arn);
    await put(has, ready);
    become(about(ready.kept));
  }

  /** What happens while nothing is under way. @param {Fact} fact */
  function react(fact) {
    const on = state.phase === 'live' || state.phase === 'reconnecting' || (state.phase === 'trouble' && state.sending);
    if (fact.kind === 'obs') {
      if (fact.state.endsWith('STARTED') && !on) { unwanted = false; renewals = 0; void only(takeOver); }
      else if (fact.state.endsWith('RECONNECTING') && on) void only(knocking);
      else if (fact.state.endsWith('RECONNECTED') && on) void only(confirmed);
      else if (fact.state.endsWith('STOPPED') && on) {
        if (state.participantId) void only(() => stopped('live.ended'));
        else become({ phase: 'idle', sending: false }); // it was not ours
      }
      return;
    }
    if (fact.kind === 'presence' && on) {
      if (now() - state.since > LONG_LIVE && state.phase === 'live') renewals = 0;
      if (fact.presence.publishing && state.phase !== 'reconnecting') live();
    }
    if (fact.kind !== 'stage' && fact.kind !== 'claim') return;
    if (state.phase === 'trouble' && !state.reason?.detail && isEnd(fact.event)) {
      return trouble(said(fact.event, 'live.ended'), state.sending); // late, but now we know why
    }
    if (!on || fact.kind === 'claim') return;
    if (fact.event.kind === 'publishing') live();
    else if (fact.event.kind === 'ended' && FINAL.includes(fact.event.code)) void only(() => giveUp(fact.event));
    else if (isEnd(fact.event) && state.phase === 'reconnecting') void only(knocking);
  }

  return {
    get state() { return state; },
    /** @param {string} arn @returns {Promise<void>} */
    go(arn) {
      if (!going && state.phase !== 'live') going = begin(arn).finally(() => { going = null; });
      return going ?? Promise.resolve();
    },
    /** Stop is respected always, also in the midst of starting. */
    async stop() {
      unwanted = true;
      tell({ kind: 'stop' });
      if (job) { become({ ...state, phase: 'stopping' }); await job; }
      if (state.phase === 'stopping' || state.sending) await only(halt);
      else if (state.phase !== 'idle') become({ phase: 'idle', sending: false });
    },
    /** Leaves a trouble that was read. */
    dismiss() {
      if (state.phase === 'trouble' && !job) become({ phase: 'idle', sending: false });
    },
    /** A page that was just connected to OBS finds out what is going on there. @returns {Promise<void>} */
    resume() {
      if (job) return job;
      return only(async () => {
        const { outputActive, outputReconnecting } = await obs.call('GetStreamStatus');
        unwanted = false;
        if (outputActive) { await takeOver(); if (outputReconnecting && state.phase !== 'trouble') become({ phase: 'reconnecting', sending: true }); }
        else if (state.sending) await stopped('live.ended');
      });
    },
    /** @param {string} outputState of StreamStateChanged */
    obsState: (outputState) => tell({ kind: 'obs', state: outputState }),
    obsClosed: () => tell({ kind: 'closed' }),
    /** @param {import('./types.js').StageEvent} event */
    stageEvent(event) {
      if (seen.has(event.id) || event.participantId !== state.participantId || !state.participantId) return;
      seen.add(event.id);
      if (event.claimed) {
        lastClaim = event;
        return tell({ kind: 'claim', event });
      }
      lastWord = event;
      // A token that was turned away once is not tried again.
      if (event.kind === 'refused' || (event.kind === 'ended' && FINAL.includes(event.code))) tokens.spoil(event.participantId);
      tell({ kind: 'stage', event });
    },
    /** @param {import('./types.js').Presence[]} participants of any stage */
    presence(participants) {
      const presence = participants.find((p) => p.participantId === state.participantId);
      if (presence?.publishing) tell({ kind: 'presence', presence });
    },
    /**
     * Whenever nothing is sent and the token in OBS is about to expire, a fresh one is put there.
     * @param {string} arn
     */
    async keepFresh(arn) {
      if (job || state.phase !== 'idle') return;
      await only(() => refresh(arn).catch(() => {})); // tried again in a while; going live says what is wrong
    },
    /** Live with a token that would not survive a reconnect. */
    dying: () => state.phase === 'live' && state.expiresAt > 0 && now() >= state.renewAt,
  };
}
