/** The audio level of a stream, for both kinds of stages. */

/** @type {AudioContext | null} */
let context = null;

/** Starts the measurement. Browsers other than OBS require a click first. */
export function wakeMeters() {
  if (context?.state === 'suspended') void context.resume().catch(() => {});
}

/**
 * @param {MediaStream} stream
 * @returns {{level: () => number, stop: () => void}} level: 0 (silence) to 1
 */
export function meter(stream) {
  if (stream.getAudioTracks().length === 0) return { level: () => 0, stop() {} };
  context ??= new AudioContext();
  wakeMeters();
  const source = context.createMediaStreamSource(stream);
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return {
    level() {
      analyser.getFloatTimeDomainData(samples);
      return loudness(samples);
    },
    stop() {
      source.disconnect();
    },
  };
}

/**
 * The loudness: 0 for -60 dB or less, 1 for 0 dB, as OBS's mixer shows it.
 * @param {Float32Array} samples
 */
export function loudness(samples) {
  let sum = 0;
  for (const s of samples) sum += s * s;
  const db = 10 * Math.log10(sum / samples.length || 1e-9);
  return Math.min(1, Math.max(0, 1 + db / 60));
}
