/** Compares what OBS sends with what the stage receives. Pure. */

/** How many seconds after the start the stage may still receive nothing. */
const PATIENCE = 12;

/**
 * @typedef {{bitrate: number, encoderLag: number, renderLag: number}} Sent
 * @typedef {{text: string, values?: Record<string, string | number>, cure?: 'setup'}} Disagreement
 */

/**
 * Computes rates from OBS's counters, over the last seconds. outputBytes restarts at 0 with every
 * reconnect. The stream's own count of skipped frames is always 0 with WHIP, so the counts of
 * GetStats are used.
 * @param {{window?: number}} [options] milliseconds
 */
export function createMeter({ window = 10_000 } = {}) {
  /**
   * @type {{at: number, bytes: number, skipped: number, total: number, missed: number, rendered:
   *   number}[]}
   */
  let samples = [];
  return {
    /**
     * @param {number} at milliseconds
     * @param {any} status GetStreamStatus
     * @param {any} stats GetStats
     * @returns {Sent}
     */
    add(at, status, stats) {
      const sample = {
        at,
        bytes: status.outputBytes,
        skipped: stats.outputSkippedFrames,
        total: stats.outputTotalFrames,
        missed: stats.renderSkippedFrames,
        rendered: stats.renderTotalFrames,
      };
      const last = samples[samples.length - 1];
      if (last && (sample.bytes < last.bytes || sample.total < last.total)) samples = [];
      samples = [...samples.filter((s) => at - s.at <= window), sample];
      const first = samples[0];
      const seconds = (at - first.at) / 1000;
      return {
        bitrate: seconds > 0 ? Math.round(((sample.bytes - first.bytes) * 8) / seconds) : 0,
        encoderLag: share(sample.skipped - first.skipped, sample.total - first.total),
        renderLag: share(sample.missed - first.missed, sample.rendered - first.rendered),
      };
    },
    reset() {
      samples = [];
    },
  };
}

/** @param {number} part @param {number} whole */
const share = (part, whole) => (whole > 0 && part > 0 ? part / whole : 0);

/**
 * Sentences about the problems of a live broadcast, the worst first.
 * @param {{sent: Sent | null, presence: import('./types.js').Presence | undefined, seconds: number,
 *   limits: import('./types.js').Limits}} now
 * @returns {Disagreement[]}
 */
export function disagreements({ sent, presence, seconds, limits }) {
  /** @type {Disagreement[]} */
  const list = [];
  const reception = presence?.reception;
  const settled = seconds >= PATIENCE;
  if (
    settled &&
    sent &&
    sent.bitrate > 50_000 &&
    (!presence?.publishing || (reception && !reception.video && !reception.audio))
  ) {
    return [{ text: 'wrong.nothing' }];
  }
  if (reception?.audio && !reception.audio.valid)
    list.push({ text: 'wrong.notOpus', cure: 'setup' });
  if (reception && settled) {
    if (!reception.video) list.push({ text: 'wrong.noVideo', cure: 'setup' });
    if (!reception.audio) list.push({ text: 'wrong.noAudio', cure: 'setup' });
  }
  const video = reception?.video;
  if (video) list.push(...videoWrong(video, limits));
  if (reception && reception.loss > 0.02)
    list.push({ text: 'wrong.loss', values: { percent: percent(reception.loss) } });
  if (sent && sent.encoderLag > 0.05)
    list.push({ text: 'wrong.encoderLag', values: { percent: percent(sent.encoderLag) } });
  if (sent && sent.renderLag > 0.05)
    list.push({ text: 'wrong.renderLag', values: { percent: percent(sent.renderLag) } });
  return list;
}

/**
 * @param {import('./types.js').VideoReception} video
 * @param {import('./types.js').Limits} limits
 * @returns {Disagreement[]}
 */
function videoWrong(video, limits) {
  /** @type {Disagreement[]} */
  const list = [];
  if (video.bitrate > limits.maxBitrate)
    list.push({
      text: 'wrong.bitrate',
      values: { mbits: mbits(video.bitrate), most: mbits(limits.maxBitrate) },
      cure: 'setup',
    });
  if (Math.min(video.width, video.height) > limits.maxHeight)
    list.push({
      text: 'wrong.height',
      values: { height: Math.min(video.width, video.height), most: limits.maxHeight },
      cure: 'setup',
    });
  if (video.bFrames) list.push({ text: 'wrong.bFrames', cure: 'setup' });
  // The tolerance is 10 %, because the interval is measured when frames arrive.
  if (video.keyframeInterval > limits.maxKeyframeInterval * 1.1)
    list.push({
      text: 'wrong.keyframes',
      values: {
        seconds: Math.round(video.keyframeInterval * 10) / 10,
        most: limits.maxKeyframeInterval,
      },
      cure: 'setup',
    });
  if (/^H\.?264$/i.test(video.codec) && video.profile && !/baseline/i.test(video.profile))
    list.push({ text: 'wrong.profile', values: { profile: video.profile }, cure: 'setup' });
  return list;
}

/** @param {number} n */
export const percent = (n) => Math.round(n * 1000) / 10;

/** @param {number} bits */
export const mbits = (bits) => Math.round(bits / 100_000) / 10;
