/**
 * Sends a stream to a stage: by WHIP if Stagedoor serves the stage, and by Amazon's web SDK if AWS
 * does.
 */
import { publish } from '../whip.js';
import { listenTo, loadSdk, Roster } from './ivs.js';

/** The states of a publication of the SDK, as the states of a peer connection. */
const LINKS = Object.freeze({
  attempting_publish: 'connecting',
  published: 'connected',
  not_published: 'connecting',
  errored: 'failed',
});

/** @type {import('./publishing.js').Send} */
export const send = (about) =>
  about.admission.stage.split(':')[3] === 'local' ? sendLocal(about) : sendIvs(about);

/** @type {import('./publishing.js').Send} */
async function sendLocal({ admission, stream, on }) {
  const { stop } = await publish({ token: admission.token, stream, state: on.link });
  return { close: stop };
}

/**
 * @param {import('./publishing.js').About} about
 * @param {{sdk?: () => Promise<any>}} [deps]
 */
export async function sendIvs({ admission, stream, receive, on }, { sdk = loadSdk } = {}) {
  const lib = await sdk();
  const streams = stream.getTracks().map((track) => new lib.LocalStageStream(track));
  const stage = new lib.Stage(admission.token, {
    stageStreamsToPublish: () => streams,
    shouldPublishParticipant: () => true,
    shouldSubscribeToParticipant: () =>
      receive ? lib.SubscribeType.AUDIO_VIDEO : lib.SubscribeType.NONE,
  });
  const { StageEvents: E } = lib;
  let closed = false;
  stage.on(
    E.STAGE_PARTICIPANT_PUBLISH_STATE_CHANGED,
    (/** @type {any} */ who, /** @type {keyof typeof LINKS} */ state) => {
      if (who.isLocal && !closed) on.link(LINKS[state] ?? 'connecting');
    },
  );
  const ended = (/** @type {string} */ reason) => {
    if (!closed) on.ended(reason);
  };
  const roster = receive && new Roster({ ...receive, joined() {}, ended });
  if (roster) listenTo(stage, lib, roster, { ...receive, joined() {}, ended });
  else stage.on(E.STAGE_LEFT, ended);
  const close = () => {
    closed = true;
    roster?.close();
    stage.leave();
  };
  try {
    await stage.join();
  } catch (err) {
    close();
    throw err;
  }
  roster?.tell();
  return { close };
}
