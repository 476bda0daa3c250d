/**
 * Makes OBS ready: a profile of our own, its settings, the service, and a bounce of the profile, because OBS builds its
 * encoders only when a profile is activated (switching the service over the WebSocket alone sends AAC as if it were Opus).
 * What goes wrong is taken back. Run twice it changes nothing.
 */
import { check, isReady, PROFILE, readActive, readObs, readParams, readService, toFix } from './obs-check.js';
import { CODE, expectEvent } from './obs.js';
import { said, t } from './strings.js';

/** A switch may make OBS ask about its audio settings in a box, and the answer waits for the person. */
const PROFILE_LIMIT = 60_000;

const SLOT = Object.freeze({ realm: 'OBS_WEBSOCKET_DATA_REALM_GLOBAL', slotName: 'stagedoor' });

/** Why the set-up stopped; everything is as it was before, unless `undone` is false. */
export class SetupError extends Error {
  /** @param {string} text key in strings.js @param {Record<string, any>} [values] @param {unknown} [cause] */
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
export const STEPS = Object.freeze(/** @type {const} */ (['check', 'profile', 'settings', 'service', 'rebuild', 'verify']));

/**
 * @typedef {import('./obs.js').ObsCaller} ObsCaller
 * @typedef {import('./obs-check.js').Reading} Reading
 * @typedef {import('./obs-check.js').Finding} Finding
 * @typedef {{server: string, bearer_token: string}} Endpoint
 * @typedef {object} SetUp
 * @property {import('./types.js').Limits} limits
 * @property {(settings: Record<string, any>) => Promise<Endpoint>} endpoint what OBS shall call, given what it has now
 * @property {(step: typeof STEPS[number]) => void} [onProgress]
 * @property {boolean} [force] rebuild the encoders even if everything reads right: the stage hears that they are not
 */

/**
 * @param {ObsCaller} obs
 * @param {SetUp} options
 * @returns {Promise<{changed: boolean, reading: Reading, findings: Finding[]}>}
 */
export async function setUpObs(obs, { limits, endpoint, onProgress = () => {}, force = false }) {
  onProgress('check');
  const before = await readObs(obs);
  const found = check(before, limits);
  if (isReady(found) && !force) return { changed: false, reading: before, findings: found };
  const inTheWay = found.find((f) => f.blocks);
  if (inTheWay) throw new SetupError(inTheWay.text, inTheWay.values);
  if (force) await requireIdle(obs);
  const undo = createUndo(obs, before);
  try {
    onProgress('profile');
    await enterProfile(obs, before, undo);
    onProgress('settings');
    await settle(obs, limits);
    onProgress('service');
    await setService(obs, endpoint);
    onProgress('rebuild');
    await bounce(obs, before.profile);
    onProgress('verify');
    const reading = await readObs(obs);
    const findings = check(reading, limits);
    if (!isReady(findings)) throw notKept(findings);
    return { changed: true, reading, findings };
  } catch (err) {
    const failure = explain(err);
    failure.undone = await undo.run();
    throw failure;
  }
}

/** An account that is linked to our profile shows only when that is selected. @param {Finding[]} findings */
function notKept(findings) {
  const blocking = findings.find((f) => f.blocks);
  if (blocking) return new SetupError(blocking.text, blocking.values);
  const [first] = toFix(findings);
  return new SetupError('setup.notKept', { what: t(first.text, first.values) });
}

/** @param {ObsCaller} obs */
async function requireIdle(obs) {
  const active = await readActive(obs);
  const name = /** @type {const} */ (['stream', 'record', 'replay', 'camera']).find((n) => active[n]);
  if (name) throw new SetupError(`find.busy.${name}`);
}

/**
 * Selects our profile, or makes it with the canvas, frame rate and sound format of the one before: scenes are laid out for
 * that canvas, and OBS wants to restart when the sound format changes.
 * @param {ObsCaller} obs @param {Reading} before @param {ReturnType<typeof createUndo>} undo
 */
async function enterProfile(obs, before, undo) {
  if (before.profile === PROFILE) return;
  await remember(obs, before.profile);
  undo.left();
  if (before.profiles.includes(PROFILE)) return changeProfile(obs, 'SetCurrentProfile', PROFILE);
  undo.created();
  await changeProfile(obs, 'CreateProfile', PROFILE);
  await inherit(obs, before);
}

/** @param {ObsCaller} obs @param {Reading} before */
async function inherit(obs, before) {
  const now = await readParams(obs);
  const wanted = { ...pick(before.params, ['Audio/SampleRate', 'Audio/ChannelSetup']), 'Output/Mode': 'Simple' };
  for (const [name, value] of Object.entries(wanted)) {
    if (value !== now[name]) await setParam(obs, name, value);
  }
  // Who chose a low bit rate had a reason: the line.
  const kbits = Number(before.params['SimpleOutput/VBitrate']);
  if (before.params['Output/Mode'] !== 'Advanced' && kbits >= 300 && kbits < Number(now['SimpleOutput/VBitrate'] ?? 6000)) {
    await setParam(obs, 'SimpleOutput/VBitrate', String(kbits));
  }
  await setVideo(obs, before.video);
}

/**
 * Changes what `check` finds until it finds nothing: one change may call for another, as a frame rate does for the keyframes.
 * @param {ObsCaller} obs @param {import('./types.js').Limits} limits
 */
async function settle(obs, limits) {
  for (let round = 0; round < 3; round++) {
    const changes = toFix(check(await readObs(obs), limits)).flatMap((f) => f.change);
    const settings = changes.filter((c) => c.what === 'param' || c.what === 'video');
    if (settings.length === 0) return;
    for (const change of settings) await apply(obs, change);
  }
}

/** @param {ObsCaller} obs @param {import('./obs-check.js').Change} change */
async function apply(obs, change) {
  if (change.what === 'param') await setParam(obs, change.name ?? '', change.value);
  else await setVideo(obs, change.value);
}

/** What is there of these. @param {Record<string, string>} params @param {string[]} names @returns {Record<string, string>} */
const pick = (params, names) => Object.fromEntries(Object.entries(params).filter(([name]) => names.includes(name)));

/** @param {ObsCaller} obs @param {string} name @param {string | null} value null takes it away */
async function setParam(obs, name, value) {
  const [parameterCategory, parameterName] = name.split('/');
  await obs.call('SetProfileParameter', { parameterCategory, parameterName, parameterValue: value });
}

/** @param {ObsCaller} obs @param {Partial<import('./obs-check.js').Video>} wanted */
async function setVideo(obs, wanted) {
  const now = await obs.call('GetVideoSettings');
  const next = { ...now, ...wanted };
  const { baseWidth, baseHeight, outputWidth, outputHeight, fpsNumerator, fpsDenominator } = next;
  if (['baseWidth', 'baseHeight', 'outputWidth', 'outputHeight', 'fpsNumerator', 'fpsDenominator'].every((k) => now[k] === next[k])) return;
  await obs.call('SetVideoSettings', { baseWidth, baseHeight, outputWidth, outputHeight, fpsNumerator, fpsDenominator });
}

/**
 * The settings that OBS's own dialog would save. "service" makes that dialog show WHIP instead of the first common service.
 * @param {Endpoint} endpoint
 */
export const serviceSettings = ({ server, bearer_token }) => ({
  streamServiceType: 'whip_custom',
  streamServiceSettings: { service: 'WHIP', server, bearer_token, use_auth: false, bwtest: false },
});

/** @param {ObsCaller} obs @param {SetUp['endpoint']} endpoint */
async function setService(obs, endpoint) {
  const now = await obs.call('GetStreamServiceSettings');
  const has = now.streamServiceType === 'whip_custom' ? now.streamServiceSettings ?? {} : {};
  const wanted = await endpoint(has);
  if (has.service === 'WHIP' && has.server === wanted.server && has.bearer_token === wanted.bearer_token) return;
  await obs.call('SetStreamServiceSettings', serviceSettings(wanted));
}

/**
 * Leaves our profile and comes back, so that OBS builds its outputs anew.
 * @param {ObsCaller} obs @param {string} previous
 */
async function bounce(obs, previous) {
  const { profiles } = await obs.call('GetProfileList');
  const other = previous !== PROFILE ? previous : profiles.find((/** @type {string} */ name) => name !== PROFILE);
  if (other) {
    await changeProfile(obs, 'SetCurrentProfile', other);
    return changeProfile(obs, 'SetCurrentProfile', PROFILE);
  }
  const helper = `${PROFILE} (${Date.now()})`;
  await changeProfile(obs, 'CreateProfile', helper);
  await changeProfile(obs, 'SetCurrentProfile', PROFILE);
  await obs.call('RemoveProfile', { profileName: helper }); // never the current one: OBS would break
}

/**
 * CreateProfile answers before the profile is there since obs-websocket 5.5.4 (obs-websocket#1283), and after it before.
 * @param {ObsCaller} obs @param {'CreateProfile' | 'SetCurrentProfile'} request @param {string} profileName
 */
async function changeProfile(obs, request, profileName) {
  const changed = expectEvent(obs, 'CurrentProfileChanged', (e) => e?.profileName === profileName, PROFILE_LIMIT);
  try {
    await obs.call(request, { profileName }, { limit: PROFILE_LIMIT });
    if (await isCurrent(obs, profileName)) return;
    await changed.done;
    if (!(await isCurrent(obs, profileName))) throw new SetupError('setup.profile', { profile: profileName });
  } finally {
    changed.cancel();
  }
}

/** @param {ObsCaller} obs @param {string} profileName */
const isCurrent = async (obs, profileName) => (await obs.call('GetProfileList')).currentProfileName === profileName;

/** @param {unknown} err @returns {SetupError} */
function explain(err) {
  if (err instanceof SetupError) return err;
  const { code, message, request } = /** @type {{code?: number | string, message: string, request?: string}} */ (err);
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
 * Remembers how to go back, and goes back as far as it can.
 * @param {ObsCaller} obs @param {Reading} before
 */
function createUndo(obs, before) {
  let hasLeft = false;
  let hasCreated = false;
  return {
    left: () => { hasLeft = true; },
    created: () => { hasCreated = true; },
    /** @returns {Promise<boolean>} whether everything is as before */
    async run() {
      try {
        if (!hasLeft) await restore(obs, before);
        else if (!(await isCurrent(obs, before.profile))) await changeProfile(obs, 'SetCurrentProfile', before.profile);
        const { profiles } = await obs.call('GetProfileList');
        if (hasCreated && profiles.includes(PROFILE)) await obs.call('RemoveProfile', { profileName: PROFILE });
        return true;
      } catch {
        return false; // the person is told
      }
    },
  };
}

/** Puts back what was changed inside our own profile. @param {ObsCaller} obs @param {Reading} before */
async function restore(obs, before) {
  if (!(await isCurrent(obs, before.profile))) await changeProfile(obs, 'SetCurrentProfile', before.profile);
  const now = await readParams(obs);
  for (const name of new Set([...Object.keys(before.params), ...Object.keys(now)])) {
    if (now[name] !== before.params[name]) await setParam(obs, name, before.params[name] ?? null);
  }
  await setVideo(obs, before.video);
  await restoreService(obs, before.service);
}

/**
 * OBS takes no empty settings, and keeps what it has of the same type: what was not there becomes blank, which is the same to OBS.
 * @param {ObsCaller} obs @param {Reading['service']} was
 */
async function restoreService(obs, was) {
  const now = await readService(obs);
  if (sameService(now, was)) return;
  const settings = { ...was.settings };
  if (now.type === was.type) for (const [name, value] of Object.entries(now.settings)) settings[name] ??= typeof value === 'string' ? '' : false;
  if (Object.keys(settings).length === 0) settings.bwtest = false;
  await obs.call('SetStreamServiceSettings', { streamServiceType: was.type, streamServiceSettings: settings });
  if (!sameService(await readService(obs), was)) throw new SetupError('setup.notUndone');
}

/** @param {Reading['service']} a @param {Reading['service']} b */
const sameService = (a, b) => a.type === b.type && Object.keys({ ...a.settings, ...b.settings }).every((name) => (
  JSON.stringify(a.settings[name] || '') === JSON.stringify(b.settings[name] || '')));

/** In OBS, so that another dock or a browser that forgot finds it too. @param {ObsCaller} obs @param {string} previousProfile */
async function remember(obs, previousProfile) {
  await obs.call('SetPersistentData', { ...SLOT, slotValue: { previousProfile } });
}

/**
 * The profile to go back to, if there is one.
 * @param {ObsCaller} obs
 * @returns {Promise<string | undefined>}
 */
export async function previousProfile(obs) {
  const { currentProfileName, profiles } = await obs.call('GetProfileList');
  if (currentProfileName !== PROFILE) return undefined;
  const slot = await obs.call('GetPersistentData', SLOT).catch(() => undefined); // no slot yet is an error for some versions
  const remembered = slot?.slotValue?.previousProfile;
  if (profiles.includes(remembered)) return remembered;
  return profiles.find((/** @type {string} */ name) => name !== PROFILE);
}

/**
 * Back to my profile: everything there is as it was.
 * @param {ObsCaller} obs
 * @returns {Promise<string>} the profile that is current now
 */
export async function backToMyProfile(obs) {
  await requireIdle(obs);
  const profile = await previousProfile(obs);
  if (!profile) throw new SetupError('setup.noOther');
  try {
    await changeProfile(obs, 'SetCurrentProfile', profile);
  } catch (err) {
    throw explain(err);
  }
  return profile;
}
