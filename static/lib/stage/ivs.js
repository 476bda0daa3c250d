/**
 * A stage that AWS serves, by Amazon's own web SDK. The SDK is not part of Stagedoor. It is loaded
 * from the address in the operator's settings, and only when the page joins an AWS stage.
 */
import { api } from '../api.js';
import { participant } from './socket.js';

/** @type {Promise<any> | null} */
let loading = null;

/** Loads the SDK once. @returns {Promise<any>} IVSBroadcastClient */
export function loadSdk() {
  loading ??= load().catch((err) => {
    loading = null;
    throw err;
  });
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
    script.onerror = () => {
      script.remove();
      reject(new Error('sdk'));
    };
    document.head.append(script);
  });
  return Reflect.get(globalThis, 'IVSBroadcastClient');
}

/**
 * @param {Parameters<import('./client.js').Open>[0]} about
 * @param {{sdk?: () => Promise<any>}} [deps]
 * @returns {import('./client.js').Session}
 */
export function openIvs({ admission, wants, on }, { sdk = loadSdk } = {}) {
  const roster = new Roster(on);
  /** @type {any} */
  let stage = null;

  async function join() {
    try {
      const lib = await sdk();
      if (roster.closed) return;
      stage = new lib.Stage(
        admission.token,
        strategy(lib.SubscribeType, (info) => wants(roster.known(info))),
      );
      listenTo(stage, lib, roster, on);
      await stage.join();
      if (roster.closed) return stage.leave();
      roster.tell();
    } catch (/** @type {any} */ err) {
      roster.end(err?.message || String(err));
    }
  }

  void join();
  return {
    // This call is delayed, because the SDK must not be called while it reports an event.
    refresh: () => {
      setTimeout(() => {
        if (!roster.closed) stage?.refreshStrategy();
      }, 0);
    },
    close() {
      roster.close();
      stage?.leave();
    },
  };
}

/**
 * The SDK's strategy for a page that receives and does not publish.
 * @param {any} SubscribeType
 * @param {(info: any) => boolean} wants
 */
function strategy({ AUDIO_VIDEO, NONE }, wants) {
  return {
    stageStreamsToPublish: () => [],
    shouldPublishParticipant: () => false,
    shouldSubscribeToParticipant: (/** @type {any} */ info) => (wants(info) ? AUDIO_VIDEO : NONE),
  };
}

/** The participants, and the streams that are received from them. */
export class Roster {
  #on;
  /** @type {Map<string, {who: any, publishing: boolean}>} */
  #present = new Map();
  /** @type {Map<string, MediaStream>} */
  #streams = new Map();
  closed = false;

  /** @param {import('./client.js').SessionEvents} on */
  constructor(on) {
    this.#on = on;
  }

  /** @param {any} info of the SDK */
  known(info) {
    const isPublishing = this.#present.get(info.id)?.publishing ?? info.isPublishing;
    return participant({ ...info, isPublishing });
  }

  tell() {
    if (this.closed) return;
    this.#on.participants([...this.#present.values()].map(({ who }) => this.known(who)));
  }

  close() {
    this.closed = true;
  }

  /** @param {string} why */
  end(why) {
    if (this.closed) return;
    this.closed = true;
    this.#on.ended(why);
  }

  /** @param {any} who @param {Partial<{publishing: boolean}>} [change] */
  know(who, change = {}) {
    if (who.isLocal) return;
    const publishing = Boolean(who.isPublishing);
    this.#present.set(who.id, { publishing, ...this.#present.get(who.id), ...change, who });
    this.tell();
  }

  /** @param {string} id */
  left(id) {
    this.drop(id);
    this.#present.delete(id);
    this.tell();
  }

  /** @param {any} who @param {any[]} added */
  add(who, added) {
    if (this.closed || who.isLocal) return;
    const stream = new MediaStream([
      ...(this.#streams.get(who.id)?.getTracks() ?? []),
      ...added.map((s) => s.mediaStreamTrack),
    ]);
    this.#streams.set(who.id, stream);
    this.#on.stream(who.id, stream);
  }

  /** @param {string} id */
  drop(id) {
    if (this.#streams.delete(id) && !this.closed) this.#on.removed(id);
  }
}

/**
 * @param {any} stage
 * @param {any} lib
 * @param {Roster} roster
 * @param {import('./client.js').SessionEvents} on
 */
export function listenTo(stage, { StageEvents: E, StageConnectionState: C }, roster, on) {
  stage.on(E.STAGE_CONNECTION_STATE_CHANGED, (/** @type {any} */ state) => {
    if (!roster.closed) on.joined(state === C.CONNECTED);
  });
  for (const event of [
    E.STAGE_PARTICIPANT_JOINED,
    E.STAGE_PARTICIPANT_METADATA_CHANGED,
    E.STAGE_STREAM_MUTE_CHANGED,
  ]) {
    stage.on(event, (/** @type {any} */ who) => roster.know(who));
  }
  stage.on(E.STAGE_PARTICIPANT_LEFT, (/** @type {any} */ who) => roster.left(who.id));
  stage.on(
    E.STAGE_PARTICIPANT_PUBLISH_STATE_CHANGED,
    (/** @type {any} */ who, /** @type {string} */ state) =>
      roster.know(who, { publishing: state === 'published' }),
  );
  stage.on(
    E.STAGE_PARTICIPANT_SUBSCRIBE_STATE_CHANGED,
    (/** @type {any} */ who, /** @type {string} */ state) => {
      if (roster.closed || who.isLocal) return;
      if (state === 'subscribed') on.link(who.id, 'connected');
      else on.link(who.id, state === 'errored' ? 'retrying' : 'connecting');
      if (state === 'errored')
        setTimeout(() => {
          if (!roster.closed) stage.refreshStrategy();
        }, 3_000); // after a failure, the SDK does nothing until it is called again
    },
  );
  stage.on(
    E.STAGE_PARTICIPANT_STREAMS_ADDED,
    (/** @type {any} */ who, /** @type {any[]} */ added) => roster.add(who, added),
  );
  stage.on(E.STAGE_PARTICIPANT_STREAMS_REMOVED, (/** @type {any} */ who) => roster.drop(who.id));
  stage.on(E.STAGE_LEFT, (/** @type {string} */ reason) => roster.end(reason));
}
