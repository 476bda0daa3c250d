/** Reads the settings of OBS that the rules of obs-check.js need, and changes none of them. */
import { CODE } from './obs.js';

/** The name of our profile in OBS. */
export const PROFILE = 'Stagedoor';

/** The profile parameters that the rules need, "category/name". */
const PARAMETERS = Object.freeze([
  'Output/Mode',
  'Output/Reconnect',
  'Output/RetryDelay',
  'Output/MaxRetries',
  'Output/DelayEnable',
  'SimpleOutput/StreamEncoder',
  'SimpleOutput/StreamAudioEncoder',
  'SimpleOutput/VBitrate',
  'SimpleOutput/ABitrate',
  'SimpleOutput/UseAdvanced',
  'SimpleOutput/Preset',
  'SimpleOutput/x264Settings',
  'AdvOut/Encoder',
  'AdvOut/AudioEncoder',
  'AdvOut/ApplyServiceSettings',
  'AdvOut/TrackIndex',
  'AdvOut/Track1Bitrate',
  'AdvOut/Track2Bitrate',
  'AdvOut/Track3Bitrate',
  'AdvOut/Track4Bitrate',
  'AdvOut/Track5Bitrate',
  'AdvOut/Track6Bitrate',
  'Stream1/WHIPSimulcastTotalLayers',
  'Stream1/EnableMultitrackVideo',
  'Audio/SampleRate',
  'Audio/ChannelSetup',
  'Auth/Type',
]);

/**
 * @typedef {{baseWidth: number, baseHeight: number, outputWidth: number, outputHeight: number,
 *   fpsNumerator: number, fpsDenominator: number}} Video
 * @typedef {'stream' | 'record' | 'replay' | 'camera'} OutputName
 * @typedef {object} Reading
 * @property {string} version the version of OBS
 * @property {string} platform "windows", "macos", "ubuntu" …
 * @property {{type: string, settings: Record<string, any>}} service
 * @property {string} profile
 * @property {string[]} profiles
 * @property {Record<string, string>} params parameters without a value and a default are absent
 * @property {Video} video
 * @property {Record<OutputName, boolean>} active
 * @property {Record<string, any>} [encoder] the settings of Advanced mode's encoder; absent if
 *   there is no script that can read them
 * @property {boolean} [noWhip] OBS answered with status 700 when it received the WHIP
 *   service
 *
 * @typedef {import('./obs.js').ObsCaller} ObsCaller
 */

/**
 * Reads everything that `check` needs.
 * @param {ObsCaller} obs
 * @param {import('./obs-script.js').Script} [script] the script in OBS, if it is paired
 * @returns {Promise<Reading>}
 */
export async function readObs(obs, script) {
  const version = await obs.call('GetVersion');
  const profiles = await obs.call('GetProfileList');
  const service = await readService(obs);
  const video = await obs.call('GetVideoSettings');
  /** @type {Reading} */
  const reading = {
    version: version.obsVersion,
    platform: version.platform,
    service,
    profile: profiles.currentProfileName,
    profiles: profiles.profiles,
    params: await readParams(obs),
    video,
    active: await readActive(obs),
  };
  if (script && reading.profile === PROFILE && reading.params['Output/Mode'] === 'Advanced') {
    const encoder = await script.settings(obs);
    if (encoder) reading.encoder = encoder;
  }
  return reading;
}

/** @param {ObsCaller} obs @returns {Promise<Reading['service']>} */
export async function readService(obs) {
  const { streamServiceType, streamServiceSettings } = await obs.call('GetStreamServiceSettings');
  return { type: streamServiceType, settings: streamServiceSettings ?? {} };
}

/** @param {ObsCaller} obs @returns {Promise<Record<string, string>>} */
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

/**
 * Reads the counters of what OBS sends, for createMeter in numbers.js. `at` is the time of the byte
 * count. With the time of a later response, the computed bitrate would be wrong.
 * @param {ObsCaller} obs
 */
export async function readCounters(obs) {
  const status = await obs.call('GetStreamStatus');
  const at = Date.now();
  return { at, status, stats: await obs.call('GetStats') };
}

/** @param {ObsCaller} obs @returns {Promise<Record<OutputName, boolean>>} */
export async function readActive(obs) {
  return {
    stream: await active(obs, 'GetStreamStatus'),
    record: await active(obs, 'GetRecordStatus'),
    replay: await active(obs, 'GetReplayBufferStatus'),
    camera: await active(obs, 'GetVirtualCamStatus'),
  };
}

/** @param {ObsCaller} obs @param {string} request */
async function active(obs, request) {
  try {
    return Boolean((await obs.call(request)).outputActive);
  } catch (/** @type {any} */ err) {
    // This OBS has no such output.
    if (err.code === CODE.notAvailable || err.code === CODE.unknownRequest) return false;
    throw err;
  }
}
