/**
 * The rules: they compare the settings of OBS with the needs of a stage. Pure.
 * internal/obs/check.go has the same rules for the terminal. internal/obs/testdata/cases.json and a
 * random test check that both agree.
 *
 * The level of a finding is "fix" ("Set up OBS" changes the setting), "person" (only the person can
 * change it) or "ok". Its text is a key of static/strings, so that pages can show it in every
 * language and report it to the server in English.
 */

import { encoderOf, request, unfit } from './encoders.js';
import { PROFILE } from './obs-read.js';

export { PROFILE };

/**
 * The limits and the advice of Amazon IVS; the server sends each stage with its own limits.
 * @type {import('./types.js').Limits}
 */
const IVS_LIMITS = Object.freeze({
  maxHeight: 720,
  advisedBitrate: 2_500_000,
  maxBitrate: 8_500_000,
  maxKeyframeInterval: 2,
});

/** Lines of the smallest picture that Amazon IVS accepts. */
const MIN_HEIGHT = 160;

/**
 * The highest audio bitrate, in kb/s, that Amazon IVS accepts. Above 256 kb/s, OBS's Opus encoder
 * does not even start (obs-studio#12753).
 */
const MAX_AUDIO = 160;

/**
 * The longest allowed delay, in seconds, before OBS's first attempt to reconnect. OBS makes each
 * further delay 1.5 times as long, and viewers see nothing meanwhile.
 */
const MAX_RETRY_DELAY = 10;

/**
 * The keyframe interval of all encoders in Simple mode (x264, NVENC, AMF, QSV) if none is set, in
 * frames.
 */
const SIMPLE_GOP = 250;

/** The presets of x264 that are at least as fast as the one that Amazon advises. */
const QUICK = Object.freeze(['ultrafast', 'superfast', 'veryfast']);

/**
 * The options of x264 that the set-up replaces. `keyint-max` and `b` are other names of `keyint`
 * and `bframes`.
 */
const OURS = Object.freeze([
  'keyint',
  'keyint-max',
  'bframes',
  'b',
  'profile',
  'tune',
  'sliced-threads',
]);

/**
 * @typedef {import('./obs-read.js').Reading} Reading
 * @typedef {import('./obs-read.js').Video} Video
 * @typedef {import('./types.js').Limits} Limits
 *
 * @typedef {{params?: Record<string, string>, video?: Partial<Video>, encoder?:
 *   import('./encoders.js').Request}} Change - parameters ("category/name") of our profile, fields
 *   of SetVideoSettings, and a request to the script
 * @typedef {object} Finding
 * @property {string} id
 * @property {'fix' | 'person' | 'ok'} level
 * @property {string} text key in static/strings
 * @property {Record<string, string | number>} [values]
 * @property {Change} change empty unless the level is "fix"
 * @property {boolean} [blocks] OBS cannot be set up until the person has fixed it
 */

/**
 * @param {Reading} obs
 * @param {Limits} limits
 * @returns {Finding[]}
 */
export function check(obs, limits = IVS_LIMITS) {
  const whip = checkWhip(obs);
  if (whip.level === 'person') return [whip];
  const advanced = obs.params['Output/Mode'] === 'Advanced';
  const ours = obs.profile === PROFILE;
  const found = [
    checkService(obs),
    ...(advanced ? advancedFindings(obs, limits) : simpleFindings(obs, limits)),
    ...checkChannels(obs),
    checkResolution(obs, limits),
    checkFps(obs),
    ...reconnectFindings(obs),
    checkDelay(obs),
    checkLayers(obs),
    checkAccount(obs),
  ];
  const fixes = found.some((f) => f.level === 'fix');
  // The set-up selects our profile and judges the settings there. So if another profile is
  // selected, findings that only the person could fix do not matter, except those that block.
  const kept = ours || !fixes ? found : found.filter((f) => f.level !== 'person' || f.blocks);
  return [
    ...(fixes ? checkBusy(obs) : []),
    whip,
    checkProfile(obs, ours, fixes),
    checkMode(obs, advanced, ours, fixes),
    ...kept,
  ];
}

/** The findings that Set up OBS fixes. @param {Finding[]} findings */
export const toFix = (findings) => findings.filter((f) => f.level === 'fix');

/** Whether there is nothing to fix and no obstacle. @param {Finding[]} findings */
export const isReady = (findings) =>
  findings.length > 0 && findings.every((f) => f.level !== 'fix' && !f.blocks);

/**
 * @param {string} id
 * @param {string} text
 * @param {Record<string, string | number>} [values]
 * @returns {Finding}
 */
const ok = (id, text, values) => ({ id, level: 'ok', text, values, change: {} });

/**
 * @param {string} id
 * @param {string} text
 * @param {Record<string, string | number>} values
 * @param {Change} change
 * @returns {Finding}
 */
const fix = (id, text, values, change) => ({ id, level: 'fix', text, values, change });

/**
 * @param {string} id
 * @param {string} text
 * @param {Record<string, string | number>} [values]
 * @param {boolean} [blocks]
 * @returns {Finding}
 */
const person = (id, text, values, blocks = false) => ({
  id,
  level: 'person',
  text,
  values,
  change: {},
  blocks,
});

/**
 * A whole number as OBS writes it; any other text counts as not set.
 * @param {string | undefined} text
 * @param {number} otherwise
 */
export const whole = (text, otherwise) =>
  /^[+-]?\d{1,9}$/.test(text ?? '') ? Number(text) : otherwise;

/**
 * A boolean setting, as OBS reads it.
 * @param {string | undefined} text
 * @param {boolean} otherwise the value if the setting is absent
 */
function isOn(text, otherwise) {
  if (text === undefined) return otherwise;
  return /^true$/i.test(text) || whole(text, 0) !== 0;
}

/** Rounds to one decimal. @param {number} n */
const round = (n) => (Number.isFinite(n) ? Math.floor(n * 10 + 0.5) / 10 : 0);

/**
 * OBS has had WHIP since version 30. The packages of Debian and Ubuntu are built without it, which
 * shows only when such an OBS receives the WHIP service: it answers with status 700.
 * @param {Reading} obs
 */
function checkWhip(obs) {
  const { version } = obs;
  if (Number(/^\d{1,9}/.exec(version)?.[0] ?? 0) < 30)
    return person('whip', 'find.whip.old', { version }, true);
  if (obs.noWhip) return person('whip', 'find.whip.missing', {}, true);
  return ok('whip', 'find.whip.ok', { version });
}

/**
 * Checks the output mode. Our profile is created in Simple mode, whose settings can be read and
 * set. If the person selects Advanced mode in our profile for a hardware encoder, this mode is
 * kept. While another profile is selected, the mode of ours cannot be read.
 * @param {Reading} obs
 * @param {boolean} advanced
 * @param {boolean} ours
 * @param {boolean} fixes
 * @returns {Finding}
 */
function checkMode(obs, advanced, ours, fixes) {
  if (!advanced) return ok('mode', 'find.mode.simple');
  if (ours || !fixes) return ok('mode', 'find.mode.advanced');
  if (obs.profiles.includes(PROFILE)) return fix('mode', 'find.mode.theirs', { ours: PROFILE }, {});
  return fix('mode', 'find.mode.fix', { ours: PROFILE }, { params: { 'Output/Mode': 'Simple' } });
}

/** @param {Reading} obs @param {boolean} ours @param {boolean} fixes */
function checkProfile({ profile, profiles }, ours, fixes) {
  if (ours || !fixes) return ok('profile', 'find.profile.ok', { profile });
  return fix(
    'profile',
    profiles.includes(PROFILE) ? 'find.profile.select' : 'find.profile.create',
    { profile, ours: PROFILE },
    {},
  );
}

/**
 * Without "service", OBS's settings dialog would show the first common service, and on OK save that
 * in place of WHIP.
 * @param {Reading} obs
 */
function checkService({ service: { type, settings } }) {
  if (type !== 'whip_custom') {
    const service = nameOf(settings);
    return fix(
      'service',
      service ? 'find.service.other' : 'find.service.none',
      service ? { service } : {},
      {},
    );
  }
  if (settings.service !== 'WHIP') return fix('service', 'find.service.name', {}, {});
  return ok('service', 'find.service.ok');
}

/**
 * The service to which OBS streams: its name, or the host of its server. The rest of a URL may
 * contain a key.
 * @param {Record<string, any>} settings
 */
function nameOf({ service, server }) {
  if (typeof service === 'string' && service) return service;
  return (
    /^[a-z]+:\/\/(?:[^/@]*@)?([^/:?#]+)/i.exec(typeof server === 'string' ? server : '')?.[1] ?? ''
  );
}

/** @param {Reading} obs @param {Limits} limits @returns {Finding[]} */
function simpleFindings(obs, limits) {
  const p = obs.params;
  return [
    checkAudio(p['SimpleOutput/StreamAudioEncoder'] === 'opus'),
    checkAudioBitrate(p, 'SimpleOutput/ABitrate'),
    ...simpleEncoder(obs, limits),
    checkBitrate(p, limits),
  ];
}

/**
 * Checks the audio encoder. OBS labels the output of any audio encoder as Opus, and browsers do not
 * play AAC with that label.
 * @param {boolean} opus
 */
function checkAudio(opus) {
  if (opus) return ok('audio', 'find.audio.ok');
  return fix(
    'audio',
    'find.audio.aac',
    {},
    { params: { 'SimpleOutput/StreamAudioEncoder': 'opus', 'AdvOut/AudioEncoder': 'ffmpeg_opus' } },
  );
}

/** @param {Record<string, string>} params @param {string} name */
function checkAudioBitrate(params, name) {
  const kbits = whole(params[name], MAX_AUDIO);
  if (kbits <= MAX_AUDIO) return ok('audioBitrate', 'find.audioBitrate.ok', { kbits });
  return fix(
    'audioBitrate',
    'find.audioBitrate.high',
    { kbits, most: MAX_AUDIO, wanted: MAX_AUDIO },
    { params: { [name]: String(MAX_AUDIO) } },
  );
}

/**
 * Stages accept only H.264. In Simple mode, the keyframe interval can be set only for x264.
 * Hardware encoders use 250 frames, and Apple's sends B-frames (obs-studio#11237). So the encoder
 * must be x264, unless 250 frames are within the limit.
 * @param {Reading} obs
 * @param {Limits} limits
 * @returns {Finding[]}
 */
function simpleEncoder(obs, limits) {
  const encoder = obs.params['SimpleOutput/StreamEncoder'] || 'x264';
  const own = isOn(obs.params['SimpleOutput/UseAdvanced'], false);
  const options = own ? (obs.params['SimpleOutput/x264Settings'] ?? '') : '';
  const settings = {
    'SimpleOutput/UseAdvanced': 'true',
    'SimpleOutput/x264Settings': x264Options(options, keyframes(obs.video, limits)),
  };
  if (!encoder.startsWith('x264'))
    return hardware(encoder, obs.video, limits, {
      params: { 'SimpleOutput/StreamEncoder': 'x264', ...settings },
    });
  const change = { params: settings };
  const seconds = intervalOf(options, obs.video);
  return [
    ok('encoder', 'find.encoder.ok'),
    checkPreset(own ? obs.params['SimpleOutput/Preset'] : undefined, options, settings),
    seconds > 0 && seconds <= limits.maxKeyframeInterval
      ? ok('keyframes', 'find.keyframes.ok', { seconds: round(seconds) })
      : fix(
          'keyframes',
          'find.keyframes.far',
          {
            seconds: round(seconds || SIMPLE_GOP / fps(obs.video)),
            wanted: limits.maxKeyframeInterval,
          },
          change,
        ),
    whole(option(options, 'bframes', 'b'), 0) > 0
      ? fix('bframes', 'find.bframes.set', {}, change)
      : ok('bframes', 'find.bframes.ok'),
    ...checkOptions(options, change),
  ];
}

/**
 * @param {string} encoder
 * @param {Video} video
 * @param {Limits} limits
 * @param {Change} change
 * @returns {Finding[]}
 */
function hardware(encoder, video, limits, change) {
  const every = SIMPLE_GOP / fps(video);
  if (/hevc|av1/.test(encoder)) return [fix('encoder', 'find.encoder.codec', { encoder }, change)];
  if (encoder.startsWith('apple')) return [fix('encoder', 'find.encoder.apple', {}, change)];
  if (every > limits.maxKeyframeInterval)
    return [fix('encoder', 'find.encoder.hardware', { encoder, seconds: round(every) }, change)];
  return [
    ok('encoder', 'find.encoder.advanced', { encoder }),
    ok('keyframes', 'find.keyframes.ok', { seconds: round(every) }),
  ];
}

/**
 * @param {string | undefined} chosen
 * @param {string} options
 * @param {Record<string, string>} settings
 */
function checkPreset(chosen, options, settings) {
  const preset = option(options, 'preset') || chosen || 'veryfast';
  if (QUICK.includes(preset)) return ok('preset', 'find.preset.ok', { preset });
  return fix(
    'preset',
    'find.preset.slow',
    { preset },
    { params: { 'SimpleOutput/Preset': 'veryfast', ...settings } },
  );
}

/**
 * The settings that Amazon documents for x264: Baseline, tuned for low latency, without sliced
 * threads.
 * @param {string} options
 * @param {Change} change
 */
function checkOptions(options, change) {
  const profile = option(options, 'profile') || 'High';
  const tuned = option(options, 'tune')
    .split(/[,./+-]/)
    .includes('zerolatency');
  // This tuning turns on sliced threads.
  const sliced = option(options, 'sliced-threads') || (tuned ? '1' : '0');
  return [
    profile === 'baseline'
      ? ok('h264Profile', 'find.h264Profile.ok')
      : fix('h264Profile', 'find.h264Profile.other', { profile }, change),
    tuned ? ok('tune', 'find.tune.ok') : fix('tune', 'find.tune.off', {}, change),
    /^(0|false|no)$/.test(sliced)
      ? ok('slices', 'find.slices.ok')
      : fix('slices', 'find.slices.on', {}, change),
  ];
}

/**
 * The encoder settings of Advanced mode are in a file that no request of OBS reads or writes. The
 * script in OBS can do both.
 * @param {Reading} obs
 * @param {Limits} limits
 * @returns {Finding[]}
 */
function advancedFindings(obs, limits) {
  const p = obs.params;
  const encoder = p['AdvOut/Encoder'] || 'obs_x264';
  const other = /hevc|h265|av1|aom|svt/i.test(encoder);
  const known = encoderOf(encoder);
  if (obs.encoder && known) return knownEncoder(p, known, obs.encoder, limits);
  const findings = [
    checkAudio(p['AdvOut/AudioEncoder'] === 'ffmpeg_opus'),
    checkAudioBitrate(p, `AdvOut/Track${p['AdvOut/TrackIndex'] || '1'}Bitrate`),
    other
      ? fix(
          'encoder',
          'find.encoder.codec',
          { encoder },
          { params: { 'AdvOut/Encoder': 'obs_x264' } },
        )
      : ok('encoder', 'find.encoder.advanced', { encoder }),
    person('keyframes', 'find.keyframes.advanced', {
      wanted: limits.maxKeyframeInterval,
      bitrate: kilo(limits.advisedBitrate),
    }),
  ];
  if (other || encoder.includes('x264')) findings.push(person('tune', 'find.tune.advanced'));
  if (/videotoolbox|apple/i.test(encoder)) findings.push(person('bframes', 'find.bframes.apple'));
  else if (!isOn(p['AdvOut/ApplyServiceSettings'], true))
    findings.push(
      fix(
        'bframes',
        'find.bframes.ignored',
        {},
        { params: { 'AdvOut/ApplyServiceSettings': 'true' } },
      ),
    );
  return findings;
}

/**
 * Checks Advanced mode with an encoder of encoders.js whose settings the script in OBS has read.
 * @param {Record<string, string>} p
 * @param {import('./encoders.js').Encoder} encoder
 * @param {Record<string, any>} settings
 * @param {Limits} limits
 * @returns {Finding[]}
 */
function knownEncoder(p, encoder, settings, limits) {
  const wrong = unfit(encoder, settings, limits);
  const follows = isOn(p['AdvOut/ApplyServiceSettings'], true);
  return [
    checkAudio(p['AdvOut/AudioEncoder'] === 'ffmpeg_opus'),
    checkAudioBitrate(p, `AdvOut/Track${p['AdvOut/TrackIndex'] || '1'}Bitrate`),
    ok('encoder', 'find.encoder.advanced', { encoder: encoder.name }),
    wrong.length > 0
      ? fix(
          'encoderFile',
          'find.encoderFile.unfit',
          { encoder: encoder.name, settings: wrong.join(', ') },
          { encoder: request(encoder, settings, limits) },
        )
      : ok('encoderFile', 'find.encoderFile.ok', {
          seconds: round(settings.keyint_sec),
          kbits: Math.floor(settings.bitrate),
        }),
    ...(follows
      ? []
      : [
          fix(
            'bframes',
            'find.bframes.ignored',
            {},
            { params: { 'AdvOut/ApplyServiceSettings': 'true' } },
          ),
        ]),
  ];
}

/** @param {number} bits */
const kilo = (bits) => Math.floor(bits / 1000);

/** @param {Record<string, string>} params @param {Limits} limits */
function checkBitrate(params, limits) {
  const kbits = whole(params['SimpleOutput/VBitrate'], 6000);
  const wanted = kilo(limits.advisedBitrate);
  const change = { params: { 'SimpleOutput/VBitrate': String(wanted) } };
  if (kbits <= wanted) return ok('bitrate', 'find.bitrate.ok', { kbits });
  if (kbits * 1000 > limits.maxBitrate)
    return fix(
      'bitrate',
      'find.bitrate.forbidden',
      { kbits, wanted, most: kilo(limits.maxBitrate) },
      change,
    );
  return fix('bitrate', 'find.bitrate.high', { kbits, wanted }, change);
}

/**
 * OBS asks for a restart after a change of the number of channels, so only the person can change
 * it.
 * @param {Reading} obs
 * @returns {Finding[]}
 */
function checkChannels({ params }) {
  const channels = params['Audio/ChannelSetup'] || 'Stereo';
  return channels === 'Stereo' || channels === 'Mono'
    ? []
    : [person('channels', 'find.channels', { channels })];
}

/** @param {Reading} obs @param {Limits} limits */
function checkResolution({ video }, limits) {
  const { outputWidth: width, outputHeight: height } = video;
  const [w, h] = fitted(width, height, limits.maxHeight);
  if (w === width && h === height) return ok('resolution', 'find.resolution.ok', { width, height });
  return fix(
    'resolution',
    'find.resolution.large',
    { width, height, w, h, most: limits.maxHeight },
    { video: { outputWidth: w, outputHeight: h } },
  );
}

/** Amazon IVS accepts 10 to 60 frames a second. @param {Reading} obs */
function checkFps({ video }) {
  const rate = fps(video);
  if (rate >= 10 && rate <= 60.001) return ok('fps', 'find.fps.ok', { fps: round(rate) });
  return fix(
    'fps',
    'find.fps.odd',
    { fps: round(rate) },
    { video: { fpsNumerator: 30, fpsDenominator: 1 } },
  );
}

/**
 * Zero retries mean that OBS does not reconnect (libobs, can_reconnect).
 * @param {Reading} obs
 * @returns {Finding[]}
 */
function reconnectFindings({ params }) {
  /** @type {Record<string, string>} */
  const wanted = {};
  if (!isOn(params['Output/Reconnect'], true)) wanted['Output/Reconnect'] = 'true';
  if (whole(params['Output/MaxRetries'], 25) < 1) wanted['Output/MaxRetries'] = '25';
  const seconds = whole(params['Output/RetryDelay'], 2);
  return [
    Object.keys(wanted).length > 0
      ? fix('reconnect', 'find.reconnect.off', {}, { params: wanted })
      : ok('reconnect', 'find.reconnect.ok'),
    ...(seconds > MAX_RETRY_DELAY
      ? [
          fix(
            'retryDelay',
            'find.retryDelay',
            { seconds, wanted: 2 },
            { params: { 'Output/RetryDelay': '2' } },
          ),
        ]
      : []),
  ];
}

/** @param {Reading} obs */
function checkDelay({ params }) {
  if (isOn(params['Output/DelayEnable'], false))
    return fix('delay', 'find.delay', {}, { params: { 'Output/DelayEnable': 'false' } });
  return ok('delay', 'find.delay.ok');
}

/** @param {Reading} obs */
function checkLayers({ params }) {
  const layers = whole(params['Stream1/WHIPSimulcastTotalLayers'], 1);
  if (layers > 1)
    return fix(
      'layers',
      'find.layers.many',
      { layers },
      { params: { 'Stream1/WHIPSimulcastTotalLayers': '1' } },
    );
  if (isOn(params['Stream1/EnableMultitrackVideo'], false))
    return fix(
      'layers',
      'find.layers.multitrack',
      {},
      { params: { 'Stream1/EnableMultitrackVideo': 'false' } },
    );
  return ok('layers', 'find.layers.ok');
}

/**
 * At every start of the stream, a linked account writes its stream key into the current service.
 * The account belongs to the profile.
 * @param {Reading} obs
 * @returns {Finding}
 */
function checkAccount({ profile, params }) {
  const account = params['Auth/Type'];
  if (!account || account === 'None') return ok('account', 'find.account.ok');
  if (profile === PROFILE) return person('account', 'find.account.ours', { account }, true);
  return fix('account', 'find.account.linked', { account, ours: PROFILE }, {});
}

/**
 * OBS rebuilds its encoders only while no output is active.
 * @param {Reading} obs
 * @returns {Finding[]}
 */
function checkBusy({ active }) {
  const busy = /** @type {const} */ (['stream', 'record', 'replay', 'camera']).filter(
    (name) => active[name],
  );
  return busy.map((name) => person(`busy.${name}`, `find.busy.${name}`, {}, true));
}

/** @param {Video} video */
const fps = (video) => video.fpsNumerator / Math.max(1, video.fpsDenominator);

/**
 * The longest interval that the stage allows, in frames.
 * @param {Video} video
 * @param {Limits} limits
 */
const keyframes = (video, limits) =>
  Math.max(1, Math.floor(fps(video) * limits.maxKeyframeInterval));

/**
 * Seconds between keyframes; 0 if the interval is not set.
 * @param {string} options
 * @param {Video} video
 */
const intervalOf = (options, video) =>
  whole(option(options, 'keyint', 'keyint-max'), 0) / fps(video) || 0;

/**
 * The options, split at blanks as OBS does. x264 reads "_" as "-".
 * @param {string} options
 * @returns {[string, string, string][]} name, value, as written
 */
const parsed = (options) =>
  options
    .split(' ')
    .filter(Boolean)
    .map((text) => {
      const [name, ...value] = text.split('=');
      return [name.replaceAll('_', '-'), value.join('='), text];
    });

/**
 * The last value of an option, which is the one that x264 uses.
 * @param {string} options
 * @param {...string} names
 */
const option = (options, ...names) =>
  parsed(options)
    .filter(([name]) => names.includes(name))
    .pop()?.[1] ?? '';

/**
 * Stagedoor's options and the person's other options, without a preset that is too slow.
 * @param {string} options
 * @param {number} keyint
 */
export function x264Options(options, keyint) {
  const others = parsed(options).filter(
    ([name, value]) => !OURS.includes(name) && (name !== 'preset' || QUICK.includes(value)),
  );
  return [
    `keyint=${keyint}`,
    'bframes=0',
    'profile=baseline',
    'tune=zerolatency',
    'sliced-threads=0',
    ...others.map(([, , text]) => text),
  ].join(' ');
}

/**
 * The nearest even size with the same aspect ratio. Its short side is within the limit, and its
 * long side within 16/9 of the limit. A size whose short side is below MIN_HEIGHT is enlarged.
 * @param {number} width
 * @param {number} height
 * @param {number} limit
 * @returns {[number, number]}
 */
export function fitted(width, height, limit) {
  const short = Math.min(width, height);
  if (short <= 0) return [width, height];
  const long = Math.floor((limit * 16) / 9);
  const scale = Math.max(
    MIN_HEIGHT / short,
    Math.min(1, limit / short, long / Math.max(width, height)),
  );
  const even = (/** @type {number} */ n) => Math.max(8, Math.floor((n * scale) / 2 + 0.5) * 2);
  return [even(width), even(height)];
}
