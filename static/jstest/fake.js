/**
 * A fake OBS without a socket, for modules that only send requests and receive events. It imitates
 * how OBS merges and replaces service settings, builds its encoders when a profile is activated,
 * and answers CreateProfile before or after the profile exists. internal/apptest/fakeobs is the
 * complete fake, with a real WebSocket.
 */
import { ENCODERS } from '../lib/encoders.js';
import { sign } from '../lib/obs-script.js';
import { ObsError } from '../lib/obs.js';

const DEFAULTS = {
  'Output/Mode': 'Simple',
  'Output/Reconnect': 'true',
  'Output/RetryDelay': '2',
  'Output/MaxRetries': '25',
  'Output/DelayEnable': 'false',
  'SimpleOutput/StreamEncoder': 'x264',
  'SimpleOutput/StreamAudioEncoder': 'aac',
  'SimpleOutput/VBitrate': '6000',
  'SimpleOutput/ABitrate': '160',
  'SimpleOutput/UseAdvanced': 'false',
  'AdvOut/Encoder': 'obs_x264',
  'AdvOut/AudioEncoder': 'ffmpeg_aac',
  'AdvOut/ApplyServiceSettings': 'true',
  'AdvOut/TrackIndex': '1',
  'Audio/SampleRate': '48000',
  'Audio/ChannelSetup': 'Stereo',
};
const VIDEO = {
  baseWidth: 1920,
  baseHeight: 1080,
  outputWidth: 1920,
  outputHeight: 1080,
  fpsNumerator: 30,
  fpsDenominator: 1,
};

export function fakeObs({
  version = '32.1.2',
  asyncCreate = true,
  params = {},
  video = {},
  screen = {},
  noWhip = false,
  secret = '',
  encoders = [],
} = {}) {
  const profile = () => ({
    file: null,
    params: {},
    video: { ...VIDEO, ...screen },
    service: { type: 'rtmp_common', settings: {} },
  });
  const handlers = new Map();
  const slots = new Map();
  const obs = {
    calls: [], // [request, data]
    profiles: { Untitled: { ...profile(), params: { ...params }, video: { ...VIDEO, ...video } } },
    current: 'Untitled',
    audio: 'aac', // the encoder that was built
    active: { stream: false, record: false, replay: false, camera: false },
    reconnecting: false,
    onStart: () => obs.state('STARTED', true), // called by StartStream
    fail: {}, // the error code for a request, used once
    get now() {
      return obs.profiles[obs.current];
    },
    on(event, handler) {
      handlers.set(event, (handlers.get(event) ?? new Set()).add(handler));
      return () => handlers.get(event).delete(handler);
    },
    emit(event, data) {
      for (const h of [...(handlers.get(event) ?? [])]) h(data);
    },
    state(name, active) {
      obs.active.stream = active;
      obs.emit('StreamStateChanged', {
        outputActive: active,
        outputState: `OBS_WEBSOCKET_OUTPUT_${name}`,
      });
    },
    activate(name) {
      obs.current = name;
      if (obs.now.service.type === 'whip_custom')
        obs.now.params['SimpleOutput/StreamAudioEncoder'] = 'opus';
      obs.audio = obs.now.params['SimpleOutput/StreamAudioEncoder'] ?? 'aac';
      obs.emit('CurrentProfileChanged', { profileName: name });
    },
    async call(request, data = {}) {
      obs.calls.push([request, data]);
      await null;
      if (obs.fail[request]) {
        const code = obs.fail[request];
        delete obs.fail[request];
        throw new ObsError(code, `failed on purpose: ${request}`, request);
      }
      return answers[request](data);
    },
    takeTurn: async () => ({ renew: async () => {}, end: async () => {} }),
    count: (request) => obs.calls.filter(([r]) => r === request).length,
  };
  const refuse = (code, request) => {
    throw new ObsError(code, `refused: ${request}`, request);
  };
  let kept = null; // the encoder's file before a set-up
  /** Answers a request as the script in OBS does (internal/obs/script). */
  async function serve(ask) {
    const body = ask.slice(65);
    if (ask !== `${await sign(secret, `ask ${body}`)} ${body}`) return '';
    const { at, encoder: id, bitrate, keyint_sec, setup, server, do: what } = JSON.parse(body);
    const answer = { at, encoders: encoders.join(' ') };
    const known = encoders.includes(id) && ENCODERS.find((e) => e.id === id);
    if (what === 'write') answer.result = known ? 'done' : 'no_such_encoder';
    if (what === 'move') [obs.now.server, answer.result] = [server, 'done'];
    if (what === 'restore') {
      answer.result = kept?.setup === setup ? 'done' : 'nothing_kept';
      if (answer.result === 'done') obs.now.file = kept.file;
    }
    if (what === 'write' && known) {
      if (kept?.setup !== setup) kept = { setup, file: structuredClone(obs.now.file) };
      const fill = { '{kbits}': bitrate, '{seconds}': keyint_sec };
      obs.now.file = Object.fromEntries(
        Object.entries(known.settings).map(([name, value]) => [name, fill[value] ?? value]),
      );
    }
    answer.settings = obs.now.file ? JSON.stringify(obs.now.file) : '';
    return `${await sign(secret, `answer ${JSON.stringify(answer)}`)} ${JSON.stringify(answer)}`;
  }
  const answers = {
    GetVersion: () => ({
      obsVersion: version,
      platform: 'windows',
      obsWebSocketVersion: '5.7.2',
      availableRequests: [],
    }),
    GetProfileList: () => ({
      currentProfileName: obs.current,
      profiles: Object.keys(obs.profiles),
    }),
    CreateProfile({ profileName }) {
      if (obs.profiles[profileName]) refuse(601, 'CreateProfile');
      const create = () => {
        obs.profiles[profileName] = profile();
        obs.activate(profileName);
      };
      if (asyncCreate) setTimeout(create, 5);
      else create();
    },
    SetCurrentProfile({ profileName }) {
      if (!obs.profiles[profileName]) refuse(600, 'SetCurrentProfile');
      if (profileName !== obs.current) obs.activate(profileName);
    },
    RemoveProfile({ profileName }) {
      if (profileName === obs.current)
        throw new Error('OBS breaks when the current profile is removed');
      delete obs.profiles[profileName];
    },
    GetProfileParameter({ parameterCategory, parameterName }) {
      const name = `${parameterCategory}/${parameterName}`;
      return {
        parameterValue: obs.now.params[name] ?? DEFAULTS[name] ?? null,
        defaultParameterValue: DEFAULTS[name] ?? null,
      };
    },
    async SetProfileParameter({ parameterCategory, parameterName, parameterValue }) {
      const name = `${parameterCategory}/${parameterName}`;
      if (name === 'Stagedoor/Ask' && secret && parameterValue !== null)
        obs.now.params['Stagedoor/Answer'] = await serve(parameterValue);
      if (parameterValue !== null) obs.now.params[name] = parameterValue;
      else if (!(name in obs.now.params)) refuse(600, 'SetProfileParameter');
      else delete obs.now.params[name];
    },
    GetVideoSettings: () => ({ ...obs.now.video }),
    SetVideoSettings(wanted) {
      if (Object.values(obs.active).some(Boolean)) refuse(500, 'SetVideoSettings');
      Object.assign(obs.now.video, wanted);
    },
    GetStreamServiceSettings: () => ({
      streamServiceType: obs.now.service.type,
      streamServiceSettings: { ...obs.now.service.settings },
    }),
    SetStreamServiceSettings({ streamServiceType: type, streamServiceSettings: settings }) {
      if (obs.active.stream) refuse(500, 'SetStreamServiceSettings');
      if (Object.keys(settings).length === 0) refuse(403, 'SetStreamServiceSettings');
      if (noWhip && type === 'whip_custom') refuse(700, 'SetStreamServiceSettings');
      const same = obs.now.service.type === type;
      obs.now.service = {
        type,
        settings: same ? { ...obs.now.service.settings, ...settings } : { ...settings },
      };
    },
    GetStreamStatus: () => ({
      outputActive: obs.active.stream || obs.reconnecting,
      outputReconnecting: obs.reconnecting,
      outputBytes: 0,
    }),
    GetRecordStatus: () => ({ outputActive: obs.active.record }),
    GetReplayBufferStatus: () => refuse(604, 'GetReplayBufferStatus'),
    GetVirtualCamStatus: () => ({ outputActive: obs.active.camera }),
    StartStream() {
      if (obs.active.stream) refuse(500, 'StartStream');
      setTimeout(() => {
        obs.emit('StreamStateChanged', {
          outputActive: false,
          outputState: 'OBS_WEBSOCKET_OUTPUT_STARTING',
        });
        obs.onStart();
      }, 1);
    },
    StopStream() {
      if (!obs.active.stream && !obs.reconnecting) refuse(501, 'StopStream');
      setTimeout(() => {
        obs.reconnecting = false;
        obs.state('STOPPING', false);
        obs.state('STOPPED', false);
      }, 1);
    },
    GetPersistentData: ({ slotName }) => ({ slotValue: slots.get(slotName) ?? null }),
    SetPersistentData({ slotName, slotValue }) {
      slots.set(slotName, slotValue);
    },
  };
  return obs;
}

/** A localStorage in memory. */
export function memory() {
  const map = new Map();
  return {
    getItem: (k) => map.get(k) ?? null,
    setItem: (k, v) => map.set(k, v),
    removeItem: (k) => map.delete(k),
  };
}

/** Waits until ok() is true. After two seconds it fails with the value of what(). */
export async function until(ok, what = () => '') {
  for (let i = 0; i < 400; i++) {
    if (ok()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`it did not come to pass: ${ok} ${JSON.stringify(what())}`);
}

/** The limits and the advice of a local stage. */
export const limits = {
  maxHeight: 720,
  advisedBitrate: 2_500_000,
  maxBitrate: 8_500_000,
  maxKeyframeInterval: 2,
};

/** A video track as it arrives from an OBS that was set up, and an audio track. */
export const video = {
  codec: 'H264',
  profile: 'Constrained Baseline',
  width: 1280,
  height: 720,
  fps: 30,
  bitrate: 2_400_000,
  keyframeInterval: 2,
  bFrames: false,
  layers: 1,
};
export const audio = { codec: 'opus', bitrate: 160_000, valid: true };
