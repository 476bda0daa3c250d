/** Measures the sound of a stream: the current level, and values over the whole time. */

/** Milliseconds between two measurements. Each covers the last 43 ms of sound at 48 kHz. */
const EVERY = 50;
const SAMPLES = 2048;

/** Measurements below -60 dB, such as pauses between words, do not count for the loudness. */
const PAUSE = 0.001;
/** Samples of at least this value count as full scale, because Opus changes samples slightly. */
const FULL = 0.985;
/** The largest difference between left and right that still counts as mono. */
const ALIKE = 0.01;

/** Adds up measurements of the left and the right channel. */
export function createSum() {
  let looks = 0;
  let clipped = 0;
  let left = 0;
  let right = 0;
  let same = true;
  let power = 0;
  let loud = 0;
  return {
    /**
     * @param {ArrayLike<number>} l samples, -1 to 1
     * @param {ArrayLike<number>} r
     * @param {ArrayLike<number>} difference of both
     */
    add(l, r, difference) {
      looks++;
      const [a, b] = [side(l), side(r)];
      left = Math.max(left, a.peak);
      right = Math.max(right, b.peak);
      if (Math.max(a.full, b.full) > 1) clipped++;
      if (side(difference).peak > ALIKE) same = false;
      if (Math.max(a.peak, b.peak) >= PAUSE) {
        loud++;
        power += Math.max(a.power, b.power);
      }
      return Math.max(a.power, b.power);
    },
    /** @returns {import('./rehearsal-score.js').Heard} */
    heard: () => ({
      seconds: (looks * EVERY) / 1000,
      peak: Math.max(left, right),
      left,
      right,
      same,
      loudness: loud > 0 ? 10 * Math.log10(power / loud || 1e-12) : -120,
      clipped: looks > 0 ? clipped / looks : 0,
    }),
  };
}

/** @param {ArrayLike<number>} samples */
function side(samples) {
  let peak = 0;
  let full = 0;
  let power = 0;
  for (let i = 0; i < samples.length; i++) {
    const size = Math.abs(samples[i]);
    peak = Math.max(peak, size);
    power += size * size;
    if (size >= FULL) full++;
  }
  return { peak, full, power: power / Math.max(1, samples.length) };
}

/**
 * @param {MediaStream} stream with sound
 * @param {(level: number) => void} on called with the level, 0 (silence, -60 dB) to 1
 */
export function listen(stream, on) {
  const context = new AudioContext();
  void context.resume().catch(() => {});
  const source = context.createMediaStreamSource(stream);
  // Makes a mono stream stereo, because otherwise the right channel would be silent.
  const stereo = new GainNode(context, {
    channelCount: 2,
    channelCountMode: 'explicit',
    channelInterpretation: 'speakers',
  });
  const splitter = context.createChannelSplitter(2);
  const minus = new GainNode(context, { gain: -1 });
  const looks = [context, context, context].map(createLook);
  splitter.connect(looks[0].analyser, 0);
  splitter.connect(looks[1].analyser, 1);
  // The audio graph computes the difference, because the two channels are not read at the same
  // moment.
  splitter.connect(looks[2].analyser, 0);
  splitter.connect(minus, 1).connect(looks[2].analyser);
  source.connect(stereo).connect(splitter);
  const sum = createSum();
  const timer = setInterval(() => {
    if (context.state !== 'running') return;
    const [l, r, difference] = looks.map((look) => look.now());
    const power = sum.add(l, r, difference);
    on(Math.min(1, Math.max(0, 1 + (10 * Math.log10(power || 1e-9)) / 60)));
  }, EVERY);
  return {
    heard: sum.heard,
    stop() {
      clearInterval(timer);
      void context.close().catch(() => {});
    },
  };
}

/** @param {AudioContext} context */
function createLook(context) {
  const analyser = context.createAnalyser();
  analyser.fftSize = SAMPLES;
  const samples = new Float32Array(SAMPLES);
  return {
    analyser,
    now() {
      analyser.getFloatTimeDomainData(samples);
      return samples;
    },
  };
}
