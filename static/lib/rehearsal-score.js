/**
 * The score of a rehearsal: picture, sound and network. It is computed from the measurements of the
 * stage, of OBS, and of the page that played the broadcast back. Pure. The texts have the keys
 * rehearsal.NAME, and rehearsal.NAME.cure for a mark that is not ok.
 */

/**
 * @typedef {'ok' | 'warning' | 'bad'} Level
 * @typedef {{name: string, level: Level, values?: Record<string, string | number>}} Mark
 * @typedef {{picture: Mark[], sound: Mark[], network: Mark[]}} Score - the worst mark first; each
 *   list has at least one
 *
 * @typedef {object} Heard
 * @property {number} seconds of measured sound
 * @property {number} peak the highest sample, 0 to 1
 * @property {number} loudness the mean level without silence, in decibels relative to full scale
 * @property {number} clipped share of the measurements in which samples were at full scale
 * @property {number} left the highest sample of the left channel
 * @property {number} right
 * @property {boolean} same both channels are the same
 *
 * @typedef {object} Played
 * @property {number} frames that were decoded
 * @property {number} freezes
 * @property {number} frozen seconds
 * @property {number | null} roundTrip milliseconds; null if the browser does not report it
 *
 * @typedef {object} Measured
 * @property {import('./types.js').Limits} limits of the stage on which the person goes live
 * @property {number} fps the frame rate that is set in OBS; 0 if unknown
 * @property {import('./types.js').Reception[]} received samples of what the stage received
 * @property {import('./numbers.js').Sent | null} sent by OBS
 * @property {number} uplink bit/s that this computer can send to the server; 0 when unknown
 * @property {Played | null} played null when nothing could be played back
 * @property {Heard | null} heard null where the browser cannot listen
 */

const RANK = Object.freeze({ bad: 0, warning: 1, ok: 2 });

/** Quieter than this is silence, as a fraction of full scale: -60 dB. */
const SILENCE = 0.001;

/** @param {number} n @param {number} [digits] */
const round = (n, digits = 0) => Math.round(n * 10 ** digits) / 10 ** digits;
/** @param {number} bits */
const mbits = (bits) => round(bits / 1e6, 1);
/** @param {number} share */
const percent = (share) => round(share * 100, 1);

/** @param {number[]} list */
const mean = (list) => (list.length > 0 ? list.reduce((a, b) => a + b, 0) / list.length : 0);

/** @param {Measured} m @returns {Score} */
export function score(m) {
  return {
    picture: sorted(picture(m), pictureGood(m)),
    sound: sorted(sound(m), soundGood(m)),
    network: sorted(network(m), networkGood(m)),
  };
}

/** The worst level of picture, sound and network. @param {Score} s @returns {Level} */
export function overall({ picture: a, sound: b, network: c }) {
  const worst = Math.min(...[a, b, c].map(([first]) => RANK[first.level]));
  return /** @type {Level} */ (Object.keys(RANK)[worst]);
}

/** @param {(Mark | false | null | undefined)[]} marks @param {Mark} good @returns {Mark[]} */
function sorted(marks, good) {
  const found = marks.filter((mark) => Boolean(mark)).map((mark) => /** @type {Mark} */ (mark));
  return found.length > 0 ? found.sort((a, b) => RANK[a.level] - RANK[b.level]) : [good];
}

/** @param {string} name @param {Level} level @param {Mark['values']} [values] @returns {Mark} */
const mark = (name, level, values = {}) => ({ name, level, values });

/* ---- picture ---- */

/**
 * The samples with a picture. The score uses the mean of their frame rates, and the other values
 * of the last one.
 * @param {Measured} m
 */
const videos = (m) => m.received.flatMap((r) => (r.video && r.video.height > 0 ? [r.video] : []));

/** @param {Measured} m */
const lastVideo = (m) => videos(m).at(-1);

/** Frames a second, without the first sample. @param {Measured} m */
function fpsOf(m) {
  const list = videos(m).map((v) => v.fps);
  return mean(list.length > 1 ? list.slice(1) : list);
}

/** @param {Measured} m */
function picture(m) {
  const video = lastVideo(m);
  if (!video) return [mark('noPicture', 'bad')];
  return [...encoded(video, m.limits), ...smooth(m)];
}

/**
 * @param {import('./types.js').VideoReception} video
 * @param {import('./types.js').Limits} limits
 */
function encoded(video, limits) {
  const short = Math.min(video.width, video.height);
  const size = { width: video.width, height: video.height, most: limits.maxHeight };
  const interval = video.keyframeInterval;
  return [
    short > limits.maxHeight && mark('tooLarge', 'bad', size),
    short < Math.min(480, limits.maxHeight) && mark('small', 'warning', size),
    video.bFrames && mark('bFrames', 'bad'),
    // The tolerance is 10 %, because the interval is measured when frames arrive.
    interval > limits.maxKeyframeInterval * 1.1 &&
      mark('keyframes', 'warning', {
        seconds: round(interval, 1),
        most: limits.maxKeyframeInterval,
      }),
    interval === 0 && mark('noKeyframes', 'warning', { most: limits.maxKeyframeInterval }),
    video.profile !== '' &&
      !/baseline/i.test(video.profile) &&
      mark('profile', 'warning', { profile: video.profile }),
  ];
}

/**
 * Checks whether as many frames a second arrive as are set in OBS. If a cause for fewer frames is
 * known, the cause is reported instead.
 * @param {Measured} m
 */
function smooth(m) {
  const fps = fpsOf(m);
  const { encoderLag = 0, renderLag = 0 } = m.sent ?? {};
  const slow = m.fps > 0 ? fps < m.fps * 0.9 : fps < 20;
  const lags = [
    encoderLag > 0.02 &&
      mark('encoderLag', encoderLag > 0.1 ? 'bad' : 'warning', { percent: percent(encoderLag) }),
    renderLag > 0.02 &&
      mark('renderLag', renderLag > 0.1 ? 'bad' : 'warning', { percent: percent(renderLag) }),
  ];
  const { freezes = 0, frozen = 0 } = m.played ?? {};
  return [
    ...lags,
    slow &&
      !lags.some(Boolean) &&
      mark('fps', fps < 15 ? 'bad' : 'warning', { fps: round(fps), wanted: m.fps || 30 }),
    (freezes > 1 || frozen > 1) &&
      mark('freezes', frozen > 2 ? 'bad' : 'warning', { n: freezes, seconds: round(frozen, 1) }),
  ];
}

/** @param {Measured} m */
function pictureGood(m) {
  const video = lastVideo(m);
  return mark('pictureGood', 'ok', {
    width: video?.width ?? 0,
    height: video?.height ?? 0,
    fps: round(fpsOf(m)),
    seconds: round(video?.keyframeInterval ?? 0, 1),
  });
}

/* ---- sound ---- */

/** @param {Measured} m */
function sound({ received, heard }) {
  const audio = received.flatMap((r) => (r.audio ? [r.audio] : [])).at(-1);
  if (!audio) return [mark('noSound', 'bad')];
  if (!audio.valid) return [mark('notOpus', 'bad')];
  if (!heard || heard.seconds < 1) return [mark('notHeard', 'warning')];
  if (heard.peak < SILENCE) return [mark('silent', 'bad')];
  const side = heard.left < SILENCE ? 'right' : heard.right < SILENCE ? 'left' : '';
  return [
    side !== '' && mark(side === 'left' ? 'leftOnly' : 'rightOnly', 'warning'),
    heard.clipped > 0.005 &&
      mark('clipping', heard.clipped > 0.05 ? 'bad' : 'warning', {
        percent: percent(heard.clipped),
      }),
    heard.clipped <= 0.005 &&
      heard.loudness > -9 &&
      mark('loud', 'warning', { level: round(heard.loudness) }),
    heard.loudness < -35 &&
      mark('quiet', heard.loudness < -50 ? 'bad' : 'warning', { level: round(heard.loudness) }),
  ];
}

/** @param {Measured} m */
const soundGood = ({ heard }) =>
  mark(heard?.same ? 'soundMono' : 'soundGood', 'ok', {
    level: round(heard?.loudness ?? 0),
    peak: round(20 * Math.log10(heard?.peak || SILENCE)),
  });

/* ---- network ---- */

/**
 * The bit/s of picture and sound that the stage receives.
 * @param {import('./types.js').Reception} r
 */
const rate = (r) => (r.video?.bitrate ?? 0) + (r.audio?.bitrate ?? 0);

/** @param {Measured} m */
const arriving = (m) => mean(m.received.slice(-4).map(rate));

/** @param {Measured} m */
function network(m) {
  const arrives = arriving(m);
  if (arrives === 0) return [mark('nothing', 'bad')];
  const loss = mean(m.received.map((r) => r.loss));
  const sent = m.sent?.bitrate ?? 0;
  const roundTrip = m.played?.roundTrip ?? 0;
  return [
    loss > 0.01 && mark('loss', loss > 0.05 ? 'bad' : 'warning', { percent: percent(loss) }),
    sent > 0 &&
      arrives < sent * 0.75 &&
      mark('stuck', 'bad', { sent: mbits(sent), mbits: mbits(arrives) }),
    ...headRoom(m, Math.max(arrives, sent)),
    roundTrip > 250 &&
      mark('roundTrip', roundTrip > 600 ? 'bad' : 'warning', { ms: round(roundTrip) }),
  ];
}

/**
 * The margin between the bitrate and both the limits of the stage and the uplink.
 * @param {Measured} m @param {number} bits
 */
function headRoom({ limits, uplink }, bits) {
  return [
    bits > limits.maxBitrate &&
      mark('bitrateOver', 'bad', { mbits: mbits(bits), most: mbits(limits.maxBitrate) }),
    bits > limits.advisedBitrate * 1.25 &&
      bits <= limits.maxBitrate &&
      mark('bitrateHigh', 'warning', { mbits: mbits(bits), most: mbits(limits.advisedBitrate) }),
    // The uplink must carry 1.5 times the bitrate, because other programs share it, and scenes with
    // much movement need more.
    uplink > 0 &&
      uplink < bits * 1.5 &&
      mark('headRoom', uplink < bits * 1.1 ? 'bad' : 'warning', {
        mbits: mbits(bits),
        uplink: mbits(uplink),
        kbits: Math.max(100, Math.floor(uplink / 1.5 / 100_000) * 100),
      }),
  ];
}

/** @param {Measured} m */
const networkGood = (m) =>
  mark(m.uplink > 0 ? 'networkRoom' : 'networkGood', 'ok', {
    mbits: mbits(arriving(m)),
    ms: round(m.played?.roundTrip ?? 0),
    uplink: mbits(m.uplink),
  });
