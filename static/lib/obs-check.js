/**
 * What OBS has set, held against what a stage needs. Pure: `readObs` asks, `check` judges, nothing here changes anything.
 *
 * A finding's level is "fix" (Set up OBS changes it), "person" (only the person can) or "ok". The texts are keys of strings.js
 * with their values, so that they can be said in the person's language and told to the server in English.
 */
import { CODE } from './obs.js';

/** The name of the profile that is ours. */
export const PROFILE = 'Stagedoor';

/** What IVS allows and advises; a stage's own limits come with it from the server. @type {import('./types.js').Limits} */
const IVS_LIMITS = Object.freeze({ maxHeight: 720, advisedBitrate: 2_500_000, maxBitrate: 8_500_000, maxKeyframeInterval: 2 });

/** Above it OBS's Opus encoder does not start, with a message about AAC (obs-studio#12753). */
const MAX_OPUS = 256;

/** Seconds before OBS knocks again, which it makes half as long again each time; a viewer waits for all of it. */
const MAX_RETRY_DELAY = 10;

/** The profile parameters that matter, "category/name". */
const PARAMETERS = Object.freeze([
  'Output/Mode', 'Output/Reconnect', 'Output/RetryDelay', 'Output/MaxRetries', 'Output/DelayEnable',
  'SimpleOutput/StreamEncoder', 'SimpleOutput/StreamAudioEncoder', 'SimpleOutput/VBitrate', 'SimpleOutput/ABitrate',
  'SimpleOutput/UseAdvanced', 'SimpleOutput/x264Settings',
  'AdvOut/Encoder', 'AdvOut/AudioEncoder', 'AdvOut/ApplyServiceSettings', 'AdvOut/TrackIndex',
  'AdvOut/Track1Bitrate', 'AdvOut/Track2Bitrate', 'AdvOut/Track3Bitrate', 'AdvOut/Track4Bitrate', 'AdvOut/Track5Bitrate', 'AdvOut/Track6Bitrate',
  'Stream1/WHIPSimulcastTotalLayers', 'Stream1/EnableMultitrackVideo',
  'Audio/SampleRate', 'Audio/ChannelSetup', 'Auth/Type',
]);

/**
 * @typedef {{baseWidth: number, baseHeight: number, outputWidth: number, outputHeight: number, fpsNumerator: number, fpsDenominator: number}} Video
 * @typedef {'stream' | 'record' | 'replay' | 'camera'} OutputName
 * @typedef {object} Reading
 * @property {string} version OBS's
 * @property {string} platform "windows", "macos", "ubuntu" …
 * @property {{type: string, settings: Record<string, any>}} service
 * @property {string} profile
 * @property {string[]} profiles
 * @property {Record<string, string>} params
 * @property {Video} video
 * @property {Record<OutputName, boolean>} active
 * @property {boolean} [noWhip] OBS said 700 when it was given the service
 *
 * @typedef {{what: 'param' | 'video' | 'service' | 'profile', name?: string, value?: any}} Change
 * @typedef {object} Finding
 * @property {string} id
 * @property {'fix' | 'person' | 'ok'} level
 * @property {string} text key in strings.js
 * @property {Record<string, string | number>} [values]
 * @property {Change[]} change empty unless the level is "fix"
 * @property {boolean} [blocks] nothing can be set up before the person has done it
 */

/**
 * Reads everything that `check` judges.
 * @param {import('./obs.js').ObsCaller} obs
 * @returns {Promise<Reading>}
 */
export async function readObs(obs) {
  const version = await obs.call('GetVersion');
  const profiles = await obs.call('GetProfileList');
  const service = await readService(obs);
  const video = await obs.call('GetVideoSettings');
  return {
    version: version.obsVersion,
    platform: version.platform,
    service,
    profile: profiles.currentProfileName,
    profiles: profiles.profiles,
    params: await readParams(obs),
    video,
    active: await readActive(obs),
  };
}

/** @param {import('./obs.js').ObsCaller} obs @returns {Promise<Reading['service']>} */
export async function readService(obs) {
  const { streamServiceType, streamServiceSettings } = await obs.call('GetStreamServiceSettings');
  return { type: streamServiceType, settings: streamServiceSettings ?? {} };
}

/** @param {import('./obs.js').ObsCaller} obs @returns {Promise<Record<string, string>>} */
export async function readParams(obs) {
  /** @type {Record<string, string>} */
  const params = {};
  for (const name of PARAMETERS) {
    const [parameterCategory, parameterName] = name.split('/');
    const got = await obs.call('GetProfileParameter', { parameterCategory, parameterName });
    const value = got.parameterValue ?? got.defaultParameterValue;
    if (value !== null && value !== undefined) params[name] = String(value);
  }
  return params;
}

/** @param {import('./obs.js').ObsCaller} obs @returns {Promise<Record<OutputName, boolean>>} */
export async function readActive(obs) {
  return {
    stream: await active(obs, 'GetStreamStatus'),
    record: await active(obs, 'GetRecordStatus'),
    replay: await active(obs, 'GetReplayBufferStatus'),
    camera: await active(obs, 'GetVirtualCamStatus'),
  };
}

/** @param {import('./obs.js').ObsCaller} obs @param {string} request */
async function active(obs, request) {
  try {
    return Boolean((await obs.call(request)).outputActive);
  } catch (/** @type {any} */ err) {
    if (err.code === CODE.notAvailable || err.code === CODE.unknownRequest) return false; // this OBS has no such output
    throw err;
  }
}

/**
 * @param {Reading} obs
 * @param {import('./types.js').Limits} limits
 * @returns {Finding[]}
 */
export function check(obs, limits = IVS_LIMITS) {
  const whip = checkWhip(obs);
  if (whip.level === 'person') return [whip];
  const advanced = obs.params['Output/Mode'] === 'Advanced';
  const ours = obs.profile === PROFILE;
  const encoder = advanced ? advancedFindings(obs, limits) : simpleFindings(obs, limits);
  const findings = [
    whip,
    checkService(obs),
    ...encoder,
    checkResolution(obs, limits),
    checkFps(obs),
    ...reconnectFindings(obs),
    checkDelay(obs),
    checkLayers(obs),
    checkAccount(obs),
  ];
  const fixes = findings.filter((f) => f.level === 'fix').length;
  findings.splice(1, 0, checkProfile(obs, ours, fixes), checkMode(obs, advanced, ours, fixes));
  if (fixes > 0) findings.unshift(...checkBusy(obs));
  // What only the person could set here does not matter once our profile is selected; what is set there shows then.
  return ours || fixes === 0 ? findings : findings.filter((f) => f.level !== 'person' || f.blocks);
}

/** What Set up OBS would change. @param {Finding[]} findings */
export const toFix = (findings) => findings.filter((f) => f.level === 'fix');

/** Nothing to fix and nothing in the way. @param {Finding[]} findings */
export const isReady = (findings) => findings.length > 0 && findings.every((f) => f.level !== 'fix' && !f.blocks);

/** @param {string} version */
const majorVersion = (version) => Number.parseInt(version, 10) || 0;

/** @param {string} id @param {string} text @param {Record<string, string | number>} [values] @returns {Finding} */
const ok = (id, text, values) => ({ id, level: 'ok', text, values, change: [] });

/** @param {string} id @param {string} text @param {Record<string, string | number>} values @param {Change[]} change @returns {Finding} */
const fix = (id, text, values, change) => ({ id, level: 'fix', text, values, change });

/** @param {string} id @param {string} text @param {Record<string, string | number>} [values] @param {boolean} [blocks] @returns {Finding} */
const person = (id, text, values, blocks = false) => ({ id, level: 'person', text, values, change: [], blocks });

/** @param {string} name @param {string | number} value @returns {Change} */
const param = (name, value) => ({ what: 'param', name, value: String(value) });

/** WHIP came with OBS 30; Debian and Ubuntu packages are built without it, which only 700 tells. @param {Reading} obs */
function checkWhip(obs) {
  if (majorVersion(obs.version) < 30) return person('whip', 'find.whip.old', { version: obs.version }, true);
  if (obs.noWhip) return person('whip', 'find.whip.missing', { version: obs.version }, true);
  return ok('whip', 'find.whip.ok', { version: obs.version });
}

/**
 * A profile of our own is made in Simple mode, whose settings can be read and set. Who has switched it to Advanced mode, for a
 * hardware encoder, is respected; from another profile nobody can see that.
 * @param {Reading} obs @param {boolean} advanced @param {boolean} ours @param {number} fixes @returns {Finding}
 */
function checkMode(obs, advanced, ours, fixes) {
  if (!advanced) return ok('mode', 'find.mode.simple');
  if (ours || fixes === 0) return ok('mode', 'find.mode.advanced');
  if (obs.profiles.includes(PROFILE)) return fix('mode', 'find.mode.theirs', { ours: PROFILE }, []);
  return fix('mode', 'find.mode.fix', { ours: PROFILE }, [param('Output/Mode', 'Simple')]);
}

/** @param {Reading} obs @param {boolean} ours @param {number} fixes */
function checkProfile(obs, ours, fixes) {
  if (ours || fixes === 0) return ok('profile', 'find.profile.ok', { profile: obs.profile });
  return fix('profile', obs.profiles.includes(PROFILE) ? 'find.profile.select' : 'find.profile.create', { profile: obs.profile, ours: PROFILE }, [{ what: 'profile', name: PROFILE }]);
}

/**
 * Without "service" the settings dialog would show the first common service and, on OK, write it over WHIP.
 * @param {Reading} obs
 */
function checkService(obs) {
  const { type, settings } = obs.service;
  if (type !== 'whip_custom') {
    const service = String(settings.service || settings.server || '');
    return fix('service', service ? 'find.service.other' : 'find.service.none', { service }, [{ what: 'service' }]);
  }
  if (settings.service !== 'WHIP') return fix('service', 'find.service.name', {}, [{ what: 'service' }]);
  return ok('service', 'find.service.ok');
}

/** @param {Reading} obs @param {import('./types.js').Limits} limits @returns {Finding[]} */
function simpleFindings(obs, limits) {
  const p = obs.params;
  return [
    p['SimpleOutput/StreamAudioEncoder'] === 'opus'
      ? ok('audio', 'find.audio.ok')
      : fix('audio', 'find.audio.aac', {}, [param('SimpleOutput/StreamAudioEncoder', 'opus'), param('AdvOut/AudioEncoder', 'ffmpeg_opus')]),
    checkAudioBitrate(Number(p['SimpleOutput/ABitrate'] ?? 160), ['SimpleOutput/ABitrate']),
    ...simpleEncoder(obs, limits),
    checkBitrate(Number(p['SimpleOutput/VBitrate'] ?? 6000), limits),
  ];
}

/**
 * Simple mode lets the keyframe interval be set for x264 alone; the hardware encoders keep 250 frames there, Apple's sends B-frames
 * (obs-studio#11237), and the stage takes H.264 only. So x264 it is, unless 250 frames are few enough.
 * @param {Reading} obs @param {import('./types.js').Limits} limits
 * @returns {Finding[]}
 */
function simpleEncoder(obs, limits) {
  const encoder = obs.params['SimpleOutput/StreamEncoder'] ?? 'x264';
  const options = obs.params['SimpleOutput/UseAdvanced'] === 'true' ? obs.params['SimpleOutput/x264Settings'] ?? '' : '';
  const wanted = x264Options(options, keyframes(obs.video, limits));
  const settings = [param('SimpleOutput/UseAdvanced', 'true'), param('SimpleOutput/x264Settings', wanted)];
  if (/^(nvenc|amd|qsv)$/.test(encoder) && 250 / fps(obs.video) <= limits.maxKeyframeInterval) {
    return [ok('encoder', 'find.encoder.advanced', { encoder }), ok('keyframes', 'find.keyframes.ok', { seconds: round(250 / fps(obs.video)) })];
  }
  if (!encoder.startsWith('x264')) {
    return [fix('encoder', encoderText(encoder), { encoder }, [param('SimpleOutput/StreamEncoder', 'x264'), ...settings])];
  }
  const findings = [ok('encoder', 'find.encoder.ok')];
  const interval = intervalOf(options, obs.video);
  findings.push(interval > 0 && interval <= limits.maxKeyframeInterval
    ? ok('keyframes', 'find.keyframes.ok', { seconds: round(interval) })
    : fix('keyframes', 'find.keyframes.far', { seconds: round(interval || 250 / fps(obs.video)), wanted: limits.maxKeyframeInterval }, settings));
  const b = /(?:^|\s)(?:bframes|b)=(\d+)/.exec(options);
  findings.push(b && Number(b[1]) > 0 ? fix('bframes', 'find.bframes.set', {}, settings) : ok('bframes', 'find.bframes.ok'));
  return findings;
}

/** @param {string} encoder */
function encoderText(encoder) {
  if (encoder.startsWith('apple')) return 'find.encoder.apple';
  if (/hevc|av1/.test(encoder)) return 'find.encoder.codec';
  return 'find.encoder.hardware';
}

/** Advanced mode: its encoder settings lie in a file that no request reads or writes. @param {Reading} obs @param {import('./types.js').Limits} limits @returns {Finding[]} */
function advancedFindings(obs, limits) {
  const p = obs.params;
  const encoder = p['AdvOut/Encoder'] ?? 'obs_x264';
  const track = `AdvOut/Track${p['AdvOut/TrackIndex'] ?? '1'}Bitrate`;
  const findings = [
    p['AdvOut/AudioEncoder'] === 'ffmpeg_opus'
      ? ok('audio', 'find.audio.ok')
      : fix('audio', 'find.audio.aac', {}, [param('AdvOut/AudioEncoder', 'ffmpeg_opus'), param('SimpleOutput/StreamAudioEncoder', 'opus')]),
    checkAudioBitrate(Number(p[track] ?? 160), [track]),
    /hevc|h265|av1|aom|svt/i.test(encoder)
      ? fix('encoder', 'find.encoder.codec', { encoder }, [param('AdvOut/Encoder', 'obs_x264')])
      : ok('encoder', 'find.encoder.advanced', { encoder }),
    person('keyframes', 'find.keyframes.advanced', { wanted: limits.maxKeyframeInterval, bitrate: Math.round(limits.advisedBitrate / 1000) }),
  ];
  if (/videotoolbox|apple/i.test(encoder)) findings.push(person('bframes', 'find.bframes.apple'));
  else if (p['AdvOut/ApplyServiceSettings'] === 'false') findings.push(fix('bframes', 'find.bframes.ignored', {}, [param('AdvOut/ApplyServiceSettings', 'true')]));
  return findings;
}

/** @param {number} kbits @param {string[]} names */
function checkAudioBitrate(kbits, names) {
  if (kbits <= MAX_OPUS) return ok('audioBitrate', 'find.audioBitrate.ok', { kbits });
  return fix('audioBitrate', 'find.audioBitrate.high', { kbits, wanted: 160 }, names.map((name) => param(name, 160)));
}

/** @param {number} kbits @param {import('./types.js').Limits} limits */
function checkBitrate(kbits, limits) {
  const advised = Math.floor(limits.advisedBitrate / 1000);
  if (kbits <= advised) return ok('bitrate', 'find.bitrate.ok', { kbits });
  const text = kbits * 1000 > limits.maxBitrate ? 'find.bitrate.forbidden' : 'find.bitrate.high';
  return fix('bitrate', text, { kbits, wanted: advised, most: Math.floor(limits.maxBitrate / 1000) }, [param('SimpleOutput/VBitrate', advised)]);
}

/** @param {Reading} obs @param {import('./types.js').Limits} limits */
function checkResolution(obs, limits) {
  const { outputWidth: width, outputHeight: height } = obs.video;
  const [w, h] = fitted(width, height, limits.maxHeight);
  if (w === width && h === height) return ok('resolution', 'find.resolution.ok', { width, height });
  return fix('resolution', 'find.resolution.large', { width, height, w, h, most: limits.maxHeight }, [{ what: 'video', value: { outputWidth: w, outputHeight: h } }]);
}

/** IVS takes 10 to 60 frames a second. @param {Reading} obs */
function checkFps(obs) {
  const rate = fps(obs.video);
  if (rate >= 10 && rate <= 60.001) return ok('fps', 'find.fps.ok', { fps: round(rate) });
  return fix('fps', 'find.fps.odd', { fps: round(rate) }, [{ what: 'video', value: { fpsNumerator: 30, fpsDenominator: 1 } }]);
}

/** No retries are as good as none allowed (libobs, can_reconnect). @param {Reading} obs @returns {Finding[]} */
function reconnectFindings(obs) {
  const wanted = [];
  if (obs.params['Output/Reconnect'] === 'false') wanted.push(param('Output/Reconnect', 'true'));
  if (Number(obs.params['Output/MaxRetries'] ?? 25) < 1) wanted.push(param('Output/MaxRetries', 25));
  const seconds = Number(obs.params['Output/RetryDelay'] ?? 2);
  return [
    wanted.length > 0 ? fix('reconnect', 'find.reconnect.off', {}, wanted) : ok('reconnect', 'find.reconnect.ok'),
    ...(seconds > MAX_RETRY_DELAY ? [fix('retryDelay', 'find.retryDelay', { seconds, wanted: 2 }, [param('Output/RetryDelay', 2)])] : []),
  ];
}

/** @param {Reading} obs */
function checkDelay(obs) {
  if (obs.params['Output/DelayEnable'] === 'true') return fix('delay', 'find.delay', {}, [param('Output/DelayEnable', 'false')]);
  return ok('delay', 'find.delay.ok');
}

/** @param {Reading} obs */
function checkLayers(obs) {
  const layers = Number(obs.params['Stream1/WHIPSimulcastTotalLayers'] ?? 1) || 1;
  if (layers > 1) return fix('layers', 'find.layers.many', { layers }, [param('Stream1/WHIPSimulcastTotalLayers', 1)]);
  if (obs.params['Stream1/EnableMultitrackVideo'] === 'true') return fix('layers', 'find.layers.multitrack', {}, [param('Stream1/EnableMultitrackVideo', 'false')]);
  return ok('layers', 'find.layers.ok');
}

/** A linked account writes its stream key into whatever service is set, at every start. It belongs to the profile. @param {Reading} obs @returns {Finding} */
function checkAccount(obs) {
  const account = obs.params['Auth/Type'];
  if (!account || account === 'None') return ok('account', 'find.account.ok');
  if (obs.profile === PROFILE) return person('account', 'find.account.ours', { account }, true);
  return fix('account', 'find.account.linked', { account, ours: PROFILE }, [{ what: 'profile', name: PROFILE }]);
}

/** The encoders are rebuilt only while nothing is active. @param {Reading} obs @returns {Finding[]} */
function checkBusy(obs) {
  const busy = /** @type {OutputName[]} */ (['stream', 'record', 'replay', 'camera']).filter((name) => obs.active[name]);
  return busy.map((name) => person(`busy.${name}`, `find.busy.${name}`, {}, true));
}

/** @param {Video} video */
export const fps = (video) => video.fpsNumerator / (video.fpsDenominator || 1);

/** Frames between keyframes. @param {Video} video @param {import('./types.js').Limits} limits */
export const keyframes = (video, limits) => Math.max(1, Math.floor(fps(video) * limits.maxKeyframeInterval));

/** @param {string} options @param {Video} video */
function intervalOf(options, video) {
  const keyint = /(?:^|\s)keyint=(\d+)/.exec(options);
  return keyint ? Number(keyint[1]) / fps(video) : 0;
}

/** Puts our two options in and leaves the person's others alone. @param {string} options @param {number} keyint */
export function x264Options(options, keyint) {
  const others = options.split(/\s+/).filter((o) => o && !/^(keyint|bframes|b)=/.test(o));
  return [`keyint=${keyint}`, 'bframes=0', ...others].join(' ');
}

/** The largest even size of the same shape whose short side is within the limit. @param {number} width @param {number} height @param {number} limit @returns {[number, number]} */
export function fitted(width, height, limit) {
  const long = Math.floor((limit * 16) / 9);
  const scale = Math.min(1, limit / Math.min(width, height), long / Math.max(width, height));
  const even = (/** @type {number} */ n) => Math.max(8, Math.round((n * scale) / 2) * 2);
  return [even(width), even(height)];
}

/** @param {number} n */
const round = (n) => Math.round(n * 10) / 10;
