/**
 * Sets OBS up: a profile of our own, its settings and the service. Then it selects another profile
 * and ours again, because OBS builds its encoders only when a profile is activated. Switching the
 * service over the WebSocket alone would send AAC labelled as Opus. A set-up that fails is undone;
 * a second set-up changes nothing. internal/obs/setup.go does the same for the terminal;
 * internal/obs/testdata/setup.json has the order for both.
 */
import { check, isReady, PROFILE, toFix, whole } from './obs-check.js';
import { readActive, readObs, readParams, readService } from './obs-read.js';
import { CODE, expectEvent } from './obs.js';
import { SWITCH_LIMIT } from './obs-turns.js';
import { said, t } from './strings.js';

const SLOT = Object.freeze({ realm: 'OBS_WEBSOCKET_DATA_REALM_GLOBAL', slotName: 'stagedoor' });

/** The reason why the set-up failed. OBS is in its earlier state, unless `undone` is false. */
export class SetupError extends Error {
  /**
   * @param {string} text key of a sentence in strings/en.json
   * @param {Record<string, any>} [values]
   * @param {unknown} [cause]
   */
  constructor(text, values = {}, cause = undefined) {
    super(text, { cause });
    this.name = 'SetupError';
    this.text = text;
    this.values = values;
    this.undone = true;
    this.noWhip = false;
  }
}

/** The steps, in the order of the progress shown. */
export const STEPS = Object.freeze(
  /** @type {const} */ (['check', 'profile', 'settings', 'service', 'rebuild', 'verify']),
);

/**
 * @typedef {import('./obs.js').ObsCaller} ObsCaller
 * @typedef {import('./obs-read.js').Reading} Reading
 * @typedef {import('./obs-check.js').Finding} Finding
 * @typedef {{server: string, bearer_token: string}} Endpoint
 * @typedef {object} SetUp
 * @property {import('./types.js').Limits} limits
 * @property {(settings: Record<string, any>) => Promise<Endpoint>} endpoint returns the endpoint
 *   for OBS, given OBS's current service settings
 * @property {(step: typeof STEPS[number]) => void} [onProgress]
 * @property {import('./obs-script.js').Script} [script] the script in OBS, if it is paired
 * @property {string} [encoder] the ID of an encoder that the script can set up, for Advanced mode;
 *   '' means x264 in Simple mode; absent: no change
 * @property {boolean} [onlyNew] change nothing if our profile exists already
 * @property {boolean} [force] rebuild the encoders even if all settings are right, because it
 *   cannot be read which encoders OBS runs
 */

/**
 * @param {ObsCaller} obs
 * @param {SetUp} options
 * @returns {Promise<{changed: boolean, reading: Reading, findings: Finding[]}>}
 */
export async function setUpObs(obs, options) {
  const { limits, onProgress = () => {}, force = false } = options;
  onProgress('check');
  // Take the turn before the first reading, because the set-up of another client would change what
  // is read.
  const turn = await takeTurn(obs);
  try {
    const before = await readObs(obs, options.script);
    const found = check(before, limits);
    const kept = options.onlyNew && before.profiles.includes(PROFILE);
    if (kept || (isReady(found) && !force && hasEncoder(before, options.encoder)))
      return { changed: false, reading: before, findings: found };
    mustBeIdle(before.active);
    const inTheWay = found.find((f) => f.blocks);
    if (inTheWay) throw new SetupError(inTheWay.text, inTheWay.values);
    return { changed: true, ...(await runOrUndo(obs, options, before, turn)) };
  } finally {
    await turn.end();
  }
}

/**
 * @param {ObsCaller} obs
 * @param {SetUp} options
 * @param {Reading} before
 * @param {import('./obs.js').Turn} turn
 */
async function runOrUndo(obs, options, before, turn) {
  const undo = createUndo(obs, before, options.script);
  try {
    return await run(obs, options, before, undo, turn);
  } catch (err) {
    const failure = explain(err);
    failure.undone = await undo.run();
    throw failure;
  }
}

/**
 * @param {ObsCaller} obs
 * @param {SetUp} options
 * @param {Reading} before
 * @param {ReturnType<typeof createUndo>} undo
 * @param {import('./obs.js').Turn} turn
 */
async function run(obs, options, before, undo, turn) {
  const { limits, endpoint, onProgress = () => {}, script } = options;
  /** @type {[typeof STEPS[number], () => Promise<void>][]} */
  const steps = [
    ['profile', () => enterProfile(obs, before, undo)],
    ['settings', () => settle(obs, options, undo)],
    ['service', () => setService(obs, endpoint)],
    ['rebuild', () => bounce(obs, before)],
  ];
  for (const [name, work] of steps) {
    onProgress(name);
    await turn.renew();
    await work();
  }
  onProgress('verify');
  const reading = await readObs(obs, script);
  const findings = check(reading, limits);
  if (!isReady(findings)) throw notKept(findings);
  if (!hasEncoder(reading, options.encoder) || (options.encoder && !reading.encoder))
    throw new SetupError('setup.noScript');
  return { reading, findings };
}

/**
 * The error for settings that are still not fit after the set-up. A blocking finding comes first,
 * such as a streaming account that is linked to our profile: OBS shows it only while that profile
 * is selected.
 * @param {Finding[]} findings
 */
function notKept(findings) {
  const blocking = findings.find((f) => f.blocks);
  if (blocking) return new SetupError(blocking.text, blocking.values);
  const [first] = toFix(findings);
  return new SetupError('setup.notKept', { what: t(first.text, first.values) });
}

/** @param {Reading['active']} active */
function mustBeIdle(active) {
  const name = /** @type {const} */ (['stream', 'record', 'replay', 'camera']).find(
    (n) => active[n],
  );
  if (name) throw new SetupError(`find.busy.${name}`);
}

/**
 * Selects our profile, or creates it with the canvas, frame rate and sound format of the previous
 * profile. Scenes are laid out for that canvas, and OBS asks for a restart when the sound format
 * changes.
 * @param {ObsCaller} obs
 * @param {Reading} before
 * @param {ReturnType<typeof createUndo>} undo
 */
async function enterProfile(obs, before, undo) {
  if (before.profile === PROFILE) return;
  await remember(obs, before.profile);
  if (before.profiles.includes(PROFILE)) return changeProfile(obs, 'SetCurrentProfile', PROFILE);
  undo.created();
  await changeProfile(obs, 'CreateProfile', PROFILE);
  await inherit(obs, before);
}

/** @param {ObsCaller} obs @param {Reading} before */
async function inherit(obs, before) {
  const now = await readParams(obs);
  /** @type {Record<string, string>} */
  const wanted = {
    ...pick(before.params, ['Audio/SampleRate', 'Audio/ChannelSetup']),
    'Output/Mode': 'Simple',
  };
  // Keep a lower bitrate, because the uplink is probably slow.
  const kbits = whole(before.params['SimpleOutput/VBitrate'], 0);
  if (
    before.params['Output/Mode'] !== 'Advanced' &&
    kbits >= 300 &&
    kbits < whole(now['SimpleOutput/VBitrate'], 6000)
  ) {
    wanted['SimpleOutput/VBitrate'] = String(kbits);
  }
  await setParams(obs, now, wanted);
  await setVideo(obs, before.video);
}

/** @param {Reading} reading @param {string | undefined} encoder as in SetUp */
function hasEncoder({ profile, params }, encoder) {
  if (encoder === undefined) return true;
  const advanced = params['Output/Mode'] === 'Advanced';
  return (
    profile === PROFILE && (encoder ? advanced && params['AdvOut/Encoder'] === encoder : !advanced)
  );
}

/**
 * Selects Advanced mode with that encoder, or Simple mode with x264. The script writes the
 * encoder's file when `check` has found that the settings do not fit.
 * @param {ObsCaller} obs
 * @param {string | undefined} encoder as in SetUp
 */
async function chooseEncoder(obs, encoder) {
  if (encoder === undefined) return;
  /** @type {Record<string, string>} */
  const wanted = encoder
    ? { 'Output/Mode': 'Advanced', 'AdvOut/Encoder': encoder }
    : { 'Output/Mode': 'Simple', 'SimpleOutput/StreamEncoder': 'x264' };
  await setParams(obs, await readParams(obs), wanted);
}

/**
 * @param {ObsCaller} obs
 * @param {SetUp['script']} script
 * @param {import('./encoders.js').Request} request
 * @param {ReturnType<typeof createUndo>} undo
 */
async function writeEncoder(obs, script, request, undo) {
  const result = await script?.write(obs, request, undo.setup);
  if (result === 'done') undo.wrote();
  if (result !== 'done')
    throw new SetupError(result ? 'setup.scriptRefused' : 'setup.noScript', {
      result: result ?? '',
    });
}

/**
 * Makes the changes of findings until `check` finds no more, at most three times, because one
 * change may require another. For example, a new frame rate changes the keyframe interval in
 * frames.
 * @param {ObsCaller} obs
 * @param {SetUp} options
 * @param {ReturnType<typeof createUndo>} undo
 */
async function settle(obs, { limits, script, encoder }, undo) {
  await chooseEncoder(obs, encoder);
  for (let round = 0; round < 3; round++) {
    const now = await readObs(obs, script);
    const changes = toFix(check(now, limits)).map((f) => f.change);
    const params = Object.assign({}, ...changes.map((c) => c.params));
    const video = Object.assign({}, ...changes.map((c) => c.video));
    const file = changes.find((c) => c.encoder)?.encoder;
    if (Object.keys(params).length + Object.keys(video).length === 0 && !file) return;
    if (file) await writeEncoder(obs, script, file, undo);
    await setParams(obs, now.params, params);
    await setVideo(obs, { ...now.video, ...video });
  }
}

/**
 * The members with these names, as far as they exist.
 * @param {Record<string, string>} params
 * @param {string[]} names
 * @returns {Record<string, string>}
 */
const pick = (params, names) =>
  Object.fromEntries(Object.entries(params).filter(([name]) => names.includes(name)));

/**
 * @param {ObsCaller} obs
 * @param {Record<string, string>} now
 * @param {Record<string, string>} wanted
 */
async function setParams(obs, now, wanted) {
  for (const name of Object.keys(wanted).sort()) {
    if (now[name] !== wanted[name]) await setParam(obs, name, wanted[name]);
  }
}

/** @param {ObsCaller} obs @param {string} name @param {string | null} value null removes it */
async function setParam(obs, name, value) {
  const [parameterCategory, parameterName] = name.split('/');
  await obs.call('SetProfileParameter', {
    parameterCategory,
    parameterName,
    parameterValue: value,
  });
}

/** @param {ObsCaller} obs @param {import('./obs-read.js').Video} wanted */
async function setVideo(obs, wanted) {
  const now = await obs.call('GetVideoSettings');
  const { baseWidth, baseHeight, outputWidth, outputHeight, fpsNumerator, fpsDenominator } = wanted;
  const next = { baseWidth, baseHeight, outputWidth, outputHeight, fpsNumerator, fpsDenominator };
  if (Object.entries(next).every(([name, value]) => now[name] === value)) return;
  await obs.call('SetVideoSettings', next);
}

/**
 * The settings that OBS's own dialog would save. "service" makes that dialog show WHIP instead of
 * the first common service.
 * @param {Endpoint} endpoint
 */
export const serviceSettings = ({ server, bearer_token }) => ({
  streamServiceType: 'whip_custom',
  streamServiceSettings: { service: 'WHIP', server, bearer_token, use_auth: false, bwtest: false },
});

/**
 * Writes the endpoint and the token into OBS, and reads them back, because a linked account may
 * have changed them.
 * @param {ObsCaller} obs
 * @param {SetUp['endpoint']} endpoint
 */
async function setService(obs, endpoint) {
  const now = await readService(obs);
  const wanted = await endpoint(now.type === 'whip_custom' ? now.settings : {});
  if (hasService(now, wanted)) return;
  await obs.call('SetStreamServiceSettings', serviceSettings(wanted));
  if (!hasService(await readService(obs), wanted)) throw new SetupError('live.notKept');
}

/** @param {Reading['service']} now @param {Endpoint} wanted */
const hasService = ({ type, settings }, { server, bearer_token }) =>
  type === 'whip_custom' &&
  settings.service === 'WHIP' &&
  settings.server === server &&
  settings.bearer_token === bearer_token;

/**
 * Selects another profile and then ours again, so that OBS rebuilds its outputs. If there is no
 * other profile, one is created and removed again. The current profile is never removed, because
 * that breaks OBS (Agash/ObsWebSocket#42).
 * @param {ObsCaller} obs
 * @param {Reading} before
 */
async function bounce(obs, before) {
  const other = [before.profile, ...before.profiles].find((name) => name !== PROFILE);
  if (other) {
    await changeProfile(obs, 'SetCurrentProfile', other);
    return changeProfile(obs, 'SetCurrentProfile', PROFILE);
  }
  const helper = `${PROFILE} (bounce)`;
  await changeProfile(obs, 'CreateProfile', helper);
  await changeProfile(obs, 'SetCurrentProfile', PROFILE);
  await obs.call('RemoveProfile', { profileName: helper });
}

/**
 * Creates or selects a profile that is not the current one. Waits for the event, because since
 * obs-websocket 5.5.4, CreateProfile answers before the profile exists (obs-websocket#1283).
 * @param {ObsCaller} obs
 * @param {'CreateProfile' | 'SetCurrentProfile'} request
 * @param {string} profileName
 */
async function changeProfile(obs, request, profileName) {
  const changed = expectEvent(
    obs,
    'CurrentProfileChanged',
    (e) => e?.profileName === profileName,
    SWITCH_LIMIT,
  );
  try {
    await obs.call(request, { profileName }, { limit: SWITCH_LIMIT });
    if (!(await changed.done)) throw new SetupError('setup.profile', { profile: profileName });
  } finally {
    changed.cancel();
  }
}

/** @param {ObsCaller} obs */
const takeTurn = (obs) =>
  obs.takeTurn().catch((err) => {
    throw explain(err);
  });

/** @param {unknown} err @returns {SetupError} */
function explain(err) {
  if (err instanceof SetupError) return err;
  const { code, message, request } =
    /** @type {{code?: number | string, message: string, request?: string}} */ (err);
  if (code === CODE.creationFailed && request === 'SetStreamServiceSettings') {
    const failure = new SetupError('find.whip.missing', {}, err);
    failure.noWhip = true;
    return failure;
  }
  if (code === CODE.outputRunning) return new SetupError('setup.running', {}, err);
  if (code === 'timeout') return new SetupError('setup.timeout', {}, err);
  if (code === 'closed') return new SetupError('setup.closed', {}, err);
  return new SetupError('setup.failed', { message: said(message).replace(/\.$/, '') }, err);
}

/**
 * Undoes the set-up as far as possible.
 * @param {ObsCaller} obs @param {Reading} before @param {SetUp['script']} script
 */
function createUndo(obs, before, script) {
  const setup = Date.now(); // identifies this set-up to the script
  let hasCreated = false;
  let hasWritten = false;

  /**
   * Restores the encoder's file, unless our profile is removed, and its file with it. Selects our
   * profile first, because the script uses the file of the current profile.
   */
  async function restoreEncoder() {
    if (!hasWritten || hasCreated) return;
    await selectProfile(obs, PROFILE);
    if ((await script?.restore(obs, setup)) !== 'done') throw new SetupError('setup.notUndone');
  }

  async function restoreProfile() {
    const profiles = await selectProfile(obs, before.profile);
    if (before.profile === PROFILE)
      await tryAll([
        () => restoreParams(obs, before.params),
        () => setVideo(obs, before.video),
        () => restoreService(obs, before.service),
      ]);
    else if (hasCreated && profiles.includes(PROFILE))
      await obs.call('RemoveProfile', { profileName: PROFILE });
  }

  return {
    setup,
    created: () => {
      hasCreated = true;
    },
    wrote: () => {
      hasWritten = true;
    },
    /** @returns {Promise<boolean>} whether everything is as before */
    run: () =>
      tryAll([restoreEncoder, restoreProfile])
        .then(() => true)
        .catch(() => false), // the page reports the failure
  };
}

/**
 * Runs all steps, even after one has failed. Then throws the first failure.
 * @param {(() => Promise<unknown>)[]} steps
 */
async function tryAll(steps) {
  /** @type {unknown} */
  let failure;
  for (const step of steps) await step().catch((err) => (failure ??= err));
  if (failure) throw failure;
}

/** @param {ObsCaller} obs @param {string} profile */
async function selectProfile(obs, profile) {
  const { currentProfileName, profiles } = await obs.call('GetProfileList');
  if (currentProfileName !== profile) await changeProfile(obs, 'SetCurrentProfile', profile);
  return profiles;
}

/**
 * Restores the parameters of our own profile.
 * @param {ObsCaller} obs
 * @param {Reading['params']} was
 */
async function restoreParams(obs, was) {
  const now = await readParams(obs);
  const names = [...new Set([...Object.keys(was), ...Object.keys(now)])].sort();
  const changed = names.filter((name) => now[name] !== was[name]);
  await tryAll(changed.map((name) => () => setParam(obs, name, was[name] ?? null)));
}

/**
 * Restores the service. OBS refuses an empty set of settings, and merges settings of the same type.
 * So settings that did not exist before become blank, which OBS treats the same.
 * @param {ObsCaller} obs
 * @param {Reading['service']} was
 */
async function restoreService(obs, was) {
  const now = await readService(obs);
  if (sameService(now, was)) return;
  const settings = { ...was.settings };
  if (now.type === was.type)
    for (const [name, value] of Object.entries(now.settings))
      settings[name] ??= typeof value === 'string' ? '' : false;
  if (Object.keys(settings).length === 0) settings.bwtest = false;
  await obs.call('SetStreamServiceSettings', {
    streamServiceType: was.type,
    streamServiceSettings: settings,
  });
  if (!sameService(await readService(obs), was)) throw new SetupError('setup.notUndone');
}

/** @param {Reading['service']} a @param {Reading['service']} b */
const sameService = (a, b) =>
  a.type === b.type &&
  Object.keys({ ...a.settings, ...b.settings }).every(
    (name) => JSON.stringify(a.settings[name] || '') === JSON.stringify(b.settings[name] || ''),
  );

/**
 * Stores the previous profile in OBS. Another dock finds it there, and so does this dock after the
 * browser has lost its storage.
 * @param {ObsCaller} obs
 * @param {string} previousProfile
 */
async function remember(obs, previousProfile) {
  await obs.call('SetPersistentData', { ...SLOT, slotValue: { previousProfile } });
}

/**
 * The profile that backToMyProfile selects, if there is one.
 * @param {ObsCaller} obs
 * @returns {Promise<string | undefined>}
 */
export async function previousProfile(obs) {
  const { currentProfileName, profiles } = await obs.call('GetProfileList');
  if (currentProfileName !== PROFILE) return undefined;
  // In some versions of OBS, an unset slot is an error.
  const slot = await obs.call('GetPersistentData', SLOT).catch(() => undefined);
  const remembered = slot?.slotValue?.previousProfile;
  if (profiles.includes(remembered)) return remembered;
  return profiles.find((/** @type {string} */ name) => name !== PROFILE);
}

/**
 * Removes the token from the profile. It saves twice, because OBS keeps the previous version of the
 * file as a backup. The caller has the turn, so that no other client selects another profile
 * meanwhile.
 * @param {ObsCaller} obs
 */
async function removeToken(obs) {
  for (let saves = 0; saves < 2; saves++) {
    await obs.call('SetStreamServiceSettings', {
      streamServiceType: 'whip_custom',
      streamServiceSettings: { bearer_token: '' },
    });
  }
}

/**
 * Removes the token from OBS's current profile, if it is ours.
 * @param {ObsCaller} obs
 * @param {(settings: Record<string, any>) => unknown} isOurs
 */
export async function blankToken(obs, isOurs) {
  const turn = await obs.takeTurn();
  try {
    const { type, settings } = await readService(obs);
    if (type === 'whip_custom' && isOurs(settings)) await removeToken(obs);
  } finally {
    await turn.end();
  }
}

/**
 * Selects the previous profile again. The set-up has not changed it.
 * @param {ObsCaller} obs
 * @param {{remove?: boolean, blank?: boolean}} [options] remove: whether to remove our profile
 *   afterwards; only for a profile that the set-up has just created; blank: whether to remove the
 *   token from it first
 * @returns {Promise<string>} the profile that is current now
 */
export async function backToMyProfile(obs, { remove = false, blank = false } = {}) {
  // Take the turn before the first reading, because another client may select another profile while
  // this one waits.
  const turn = await takeTurn(obs);
  try {
    mustBeIdle(await readActive(obs));
    const { currentProfileName } = await obs.call('GetProfileList');
    if (currentProfileName !== PROFILE) throw new SetupError('setup.left');
    const profile = await previousProfile(obs);
    if (!profile) throw new SetupError('setup.noOther');
    if (blank && (await readService(obs)).type === 'whip_custom') await removeToken(obs);
    await changeProfile(obs, 'SetCurrentProfile', profile);
    if (remove) await obs.call('RemoveProfile', { profileName: PROFILE });
    return profile;
  } catch (err) {
    throw explain(err);
  } finally {
    await turn.end();
  }
}
