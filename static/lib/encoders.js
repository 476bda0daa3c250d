/**
 * The H.264 encoders of OBS, in order of preference, with the settings that make each fit for WHIP:
 * a keyframe at least every 4 s, no B-frames, a constant bitrate, Baseline, little delay. "{kbits}"
 * and "{seconds}" stand for the bitrate and the keyframe interval; the other names and values are
 * those of the profile's streamEncoder.json. "since" and "until" are versions of OBS.
 *
 * This is the only table: internal/obs/encoders reads this file for the terminal, and writes it
 * into stagedoor.lua. What follows "ENCODERS =" is JSON.
 *
 * @typedef {{id: string, name: string, hardware: boolean, since?: string, until?: string, settings:
 *   Record<string, string | number | boolean>}} Encoder
 * @typedef {{encoder: string, bitrate: number, keyint_sec: number}} Request - what the script is
 *   asked to write
 */
/** @type {readonly Encoder[]} */
export const ENCODERS = [
  {
    "id": "obs_nvenc_h264_tex",
    "name": "NVIDIA NVENC",
    "hardware": true,
    "since": "31",
    "settings": {
      "rate_control": "CBR",
      "bitrate": "{kbits}",
      "keyint_sec": "{seconds}",
      "bf": 0,
      "profile": "baseline",
      "preset": "p4",
      "tune": "ll",
      "multipass": "disabled",
      "lookahead": false
    }
  },
  {
    "id": "jim_nvenc",
    "name": "NVIDIA NVENC",
    "hardware": true,
    "until": "30",
    "settings": {
      "rate_control": "CBR",
      "bitrate": "{kbits}",
      "keyint_sec": "{seconds}",
      "bf": 0,
      "profile": "baseline",
      "preset2": "p4",
      "tune": "ll",
      "multipass": "disabled",
      "lookahead": false
    }
  },
  {
    "id": "h264_texture_amf",
    "name": "AMD AMF",
    "hardware": true,
    "settings": {
      "rate_control": "CBR",
      "bitrate": "{kbits}",
      "keyint_sec": "{seconds}",
      "bf": 0,
      "profile": "baseline",
      "preset": "speed"
    }
  },
  {
    "id": "com.apple.videotoolbox.videoencoder.ave.avc",
    "name": "Apple VideoToolbox",
    "hardware": true,
    "settings": {
      "rate_control": "ABR",
      "bitrate": "{kbits}",
      "limit_bitrate": true,
      "max_bitrate": "{kbits}",
      "max_bitrate_window": 1,
      "keyint_sec": "{seconds}",
      "bf": 0,
      "bframes": false,
      "profile": "baseline"
    }
  },
  {
    "id": "com.apple.videotoolbox.videoencoder.h264.gva",
    "name": "Apple VideoToolbox",
    "hardware": true,
    "settings": {
      "rate_control": "ABR",
      "bitrate": "{kbits}",
      "limit_bitrate": true,
      "max_bitrate": "{kbits}",
      "max_bitrate_window": 1,
      "keyint_sec": "{seconds}",
      "bf": 0,
      "bframes": false,
      "profile": "baseline"
    }
  },
  {
    "id": "obs_qsv11_v2",
    "name": "Intel Quick Sync",
    "hardware": true,
    "settings": {
      "rate_control": "CBR",
      "bitrate": "{kbits}",
      "keyint_sec": "{seconds}",
      "bf": 0,
      "bframes": 0,
      "profile": "baseline",
      "target_usage": "TU4",
      "latency": "low"
    }
  },
  {
    "id": "ffmpeg_vaapi_tex",
    "name": "VA-API",
    "hardware": true,
    "since": "30.1",
    "settings": {
      "rate_control": "CBR",
      "bitrate": "{kbits}",
      "keyint_sec": "{seconds}",
      "bf": 0,
      "profile": 578
    }
  },
  {
    "id": "ffmpeg_vaapi",
    "name": "VA-API",
    "hardware": true,
    "settings": {
      "rate_control": "CBR",
      "bitrate": "{kbits}",
      "keyint_sec": "{seconds}",
      "bf": 0,
      "profile": 578
    }
  },
  {
    "id": "obs_x264",
    "name": "x264",
    "hardware": false,
    "settings": {
      "rate_control": "CBR",
      "bitrate": "{kbits}",
      "keyint_sec": "{seconds}",
      "bf": 0,
      "profile": "baseline",
      "preset": "veryfast",
      "tune": "zerolatency",
      "x264opts": "sliced-threads=0"
    }
  }
];

/** Settings that are not checked, because the person may choose between quality and load. */
const TASTE = Object.freeze(["preset", "preset2", "target_usage"]);

/** @param {string | undefined} id */
export const encoderOf = (id) => ENCODERS.find((e) => e.id === id);

/**
 * The first hardware encoder in the order of preference.
 * @param {string[]} ids the encoders of an OBS
 */
export const bestHardware = (ids) => ENCODERS.find((e) => e.hardware && ids.includes(e.id));

/**
 * The names of the settings that do not fit.
 * @param {Encoder} encoder
 * @param {Record<string, any>} settings
 * @param {import('./types.js').Limits} limits
 */
export function unfit({ settings: wanted }, settings, limits) {
  const within = (/** @type {any} */ got, /** @type {number} */ most) =>
    typeof got === "number" && got > 0 && got <= most;
  return Object.keys(wanted)
    .sort()
    .filter((name) => {
      if (TASTE.includes(name)) return false;
      if (wanted[name] === "{seconds}")
        return !within(settings[name], Math.max(1, limits.maxKeyframeInterval));
      if (wanted[name] === "{kbits}") return !within(settings[name], limits.advisedBitrate / 1000);
      return settings[name] !== wanted[name];
    });
}

/**
 * The settings that the script is asked to write. A lower bitrate is kept, because the uplink is
 * probably slow.
 * @param {Encoder} encoder
 * @param {Record<string, any>} settings
 * @param {import('./types.js').Limits} limits
 * @returns {Request}
 */
export function request({ id }, { bitrate }, limits) {
  const advised = Math.min(50_000, Math.floor(limits.advisedBitrate / 1000));
  const kept = Number.isInteger(bitrate) && bitrate >= 300 && bitrate < advised;
  return {
    encoder: id,
    bitrate: kept ? bitrate : advised,
    keyint_sec: Math.min(4, Math.max(1, Math.floor(limits.maxKeyframeInterval)))
  };
}
