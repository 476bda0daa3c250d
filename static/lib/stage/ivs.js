/**
 * A stage that AWS serves, by Amazon's own web SDK. The SDK is AWS's: it is loaded from where the operator's settings say, and
 * only when somebody joins such a stage.
 */
import { api } from '../api.js';
import { participant } from './socket.js';

/** @type {Promise<any> | null} */
let loading = null;

/** Loads the SDK once. @returns {Promise<any>} IVSBroadcastClient */
export function loadSdk() {
  loading ??= load().catch((err) => { loading = null; throw err; });
  return loading;
}

async function load() {
  const { url, integrity } = await api('GET', 'api/ivs');
  await new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = url;
    if (integrity) script.integrity = integrity;
    script.crossOrigin = 'anonymous';
    script.onload = resolve;
    script.onerror = () => { script.remove(); reject(new Error('sdk')); };
    document.head.append(script);
  });
  return Reflect.get(globalThis, 'IVSBroadcastClient');
}

/**
 * @param {Parameters<import('./client.js').Open>[0]} about
 * @param {{sdk?: () => Promise<any>}} [world]
 * @returns {import('./client.js').Session}
 */
export function openIvs({ admission, wants, on }, { sdk = loadSdk } = {}) {
  /** @type {Map<string, {who: any, publishing: boolean}>} */
  const present = new Map();
  /** @type {Map<string, MediaStream>} */
  const streams = new Map();
  /** @type {any} */
  let stage = null;
  let closed = false;

  const known = (/** @type {any} */ info) => participant({ ...info, isPublishing: present.get(info.id)?.publishing ?? info.isPublishing });
  const tell = () => { if (!closed) on.participants([...present.values()].map(({ who }) => known(who))); };

  /** @param {any} who @param {Partial<{publishing: boolean}>} [change] */
  function know(who, change = {}) {
    if (who.isLocal) return;
    present.set(who.id, { publishing: Boolean(who.isPublishing), ...present.get(who.id), ...change, who });
    tell();
  }

  /** @param {string} id */
  function drop(id) {
    if (streams.delete(id) && !closed) on.removed(id);
  }

  /** @param {any} sdkNow */
  function strategy({ SubscribeType }) {
    return {
      stageStreamsToPublish: () => [],
      shouldPublishParticipant: () => false,
      shouldSubscribeToParticipant: (/** @type {any} */ info) => (wants(known(info)) ? SubscribeType.AUDIO_VIDEO : SubscribeType.NONE),
    };
  }

  /** @param {any} lib */
  function listenTo({ StageEvents: E, StageConnectionState: C }) {
    stage.on(E.STAGE_CONNECTION_STATE_CHANGED, (/** @type {any} */ state) => {
      if (!closed) on.joined(state === C.CONNECTED);
    });
    stage.on(E.STAGE_PARTICIPANT_JOINED, (/** @type {any} */ who) => know(who));
    stage.on(E.STAGE_PARTICIPANT_METADATA_CHANGED, (/** @type {any} */ who) => know(who));
    stage.on(E.STAGE_PARTICIPANT_LEFT, (/** @type {any} */ who) => { drop(who.id); present.delete(who.id); tell(); });
    stage.on(E.STAGE_PARTICIPANT_PUBLISH_STATE_CHANGED, (/** @type {any} */ who, /** @type {string} */ state) => know(who, { publishing: state === 'published' }));
    stage.on(E.STAGE_PARTICIPANT_SUBSCRIBE_STATE_CHANGED, (/** @type {any} */ who, /** @type {string} */ state) => {
      if (closed || who.isLocal) return;
      if (state === 'subscribed') on.link(who.id, 'connected');
      else on.link(who.id, state === 'errored' ? 'retrying' : 'connecting');
      if (state === 'errored') setTimeout(() => { if (!closed) stage.refreshStrategy(); }, 3_000); // the SDK gives up until it is asked again
    });
    stage.on(E.STAGE_STREAM_MUTE_CHANGED, (/** @type {any} */ who) => know(who));
    stage.on(E.STAGE_PARTICIPANT_STREAMS_ADDED, (/** @type {any} */ who, /** @type {any[]} */ added) => {
      if (closed || who.isLocal) return;
      const stream = new MediaStream([...(streams.get(who.id)?.getTracks() ?? []), ...added.map((s) => s.mediaStreamTrack)]);
      streams.set(who.id, stream);
      on.stream(who.id, stream);
    });
    stage.on(E.STAGE_PARTICIPANT_STREAMS_REMOVED, (/** @type {any} */ who) => drop(who.id));
    stage.on(E.STAGE_LEFT, (/** @type {string} */ reason) => end(reason));
  }

  /** @param {string} why */
  function end(why) {
    if (closed) return;
    closed = true;
    on.ended(why);
  }

  async function join() {
    try {
      const lib = await sdk();
      if (closed) return;
      stage = new lib.Stage(admission.token, strategy(lib));
      listenTo(lib);
      await stage.join();
      if (closed) return stage.leave();
      tell();
    } catch (/** @type {any} */ err) {
      end(err?.message || String(err));
    }
  }

  void join();
  return {
    // Later: the SDK must not be asked in the middle of telling something.
    refresh: () => { setTimeout(() => { if (!closed) stage?.refreshStrategy(); }, 0); },
    close() {
      closed = true;
      stage?.leave();
    },
  };
}
