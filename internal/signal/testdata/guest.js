// Guests that use the stock SDK as an application would. Each guest records the SDK's events in a
// list, its diary. A page may have several guests.
'use strict';

const { Stage, StageErrorCode, StageEvents, LocalStageStream, SubscribeType } =
  window.IVSBroadcastClient;

const newGuest = () => ({
  diary: [],
  streams: {}, // the remote streams by participant ID
  local: [],
  publishes: false,
  place: document.createElement('section'),

  async join(token, { publish = false, v2 = false, frameRate = 15 } = {}) {
    if (publish) await this.openCamera(frameRate);
    this.publishes = publish;
    document.querySelector('main').append(this.place);
    this.stage = new Stage(
      token,
      {
        stageStreamsToPublish: () => this.local,
        shouldPublishParticipant: () => this.publishes,
        shouldSubscribeToParticipant: () => SubscribeType.AUDIO_VIDEO,
      },
      v2 ? { signaling: { connectionImplV2: true } } : undefined,
    );
    this.listen();
    try {
      await this.stage.join();
      return 'joined';
    } catch (error) {
      return 'refused ' + error.code;
    }
  },

  async openCamera(frameRate) {
    const media = await navigator.mediaDevices.getUserMedia({
      video: { width: 320, height: 180, frameRate },
      audio: true,
    });
    this.local = media.getTracks().map((track) => new LocalStageStream(track));
  },

  listen() {
    const note = (text) => {
      this.diary.push(text);
      const line = document.createElement('p'); // failures of tests show the text of the page
      line.textContent = `${Math.round(performance.now())} ms: ${text}`;
      this.place.append(line);
    };
    this.stage.on(StageEvents.STAGE_PARTICIPANT_JOINED, (p) => {
      if (!p.isLocal) note(`joined ${p.id} ${p.userId} ${p.attributes.name}`);
    });
    this.stage.on(StageEvents.STAGE_PARTICIPANT_LEFT, (p) => {
      if (!p.isLocal) note(`left ${p.id}`);
    });
    this.stage.on(StageEvents.STAGE_PARTICIPANT_METADATA_CHANGED, (p) => {
      if (!p.isLocal) note(`renamed ${p.id} ${p.attributes.name}`);
    });
    this.stage.on(StageEvents.STAGE_PARTICIPANT_PUBLISH_STATE_CHANGED, (p, state) =>
      note(`${p.isLocal ? 'own' : p.id} ${state}`),
    );
    this.stage.on(StageEvents.STAGE_PARTICIPANT_SUBSCRIBE_STATE_CHANGED, (p, state) =>
      note(`${p.id} ${state}`),
    );
    this.stage.on(StageEvents.STAGE_STREAM_MUTE_CHANGED, (p, stream) => {
      if (!p.isLocal) note(`${p.id} ${stream.streamType} ${stream.isMuted ? 'muted' : 'unmuted'}`);
    });
    this.stage.on(StageEvents.STAGE_PARTICIPANT_STREAMS_ADDED, (p, streams) => {
      if (!p.isLocal) this.show(p, streams);
    });
    this.stage.on(StageEvents.STAGE_PARTICIPANT_STREAMS_REMOVED, (p) => {
      if (!p.isLocal) this.hide(p);
    });
    this.stage.on(StageEvents.STAGE_LEFT, (reason) => note(`gone ${reason}`));
    this.stage.on(StageEvents.ERROR, (error) => {
      note(`error ${error.code}`);
      // A busy machine may need longer than the SDK waits. The SDK does not try again by itself.
      if (error.code === StageErrorCode.TIMEOUT)
        setTimeout(() => this.stage.refreshStrategy(), 1000);
    });
  },

  show(p, streams) {
    this.streams[p.id] = streams;
    const video = Object.assign(document.createElement('video'), {
      className: 'of-' + p.id,
      autoplay: true,
      playsInline: true,
    });
    video.srcObject = new MediaStream(streams.map((stream) => stream.mediaStreamTrack));
    this.place.append(video);
  },

  hide(p) {
    delete this.streams[p.id];
    this.video(p.id)?.remove();
  },

  video(id) {
    return this.place.querySelector('.of-' + id);
  },

  // seen returns how many frames of a participant were shown.
  seen(id) {
    const video = this.video(id);
    return video && video.videoWidth > 0 ? video.getVideoPlaybackQuality().totalVideoFrames : 0;
  },

  // heard returns the energy of a participant's sound so far, which is 0 for silence.
  async heard(id) {
    return (await this.received(id)).energy;
  },

  // received returns how much media of a participant has arrived so far: the number of decoded
  // frames, and the energy of the sound.
  async received(id) {
    let frames = 0,
      energy = 0;
    for (const stream of this.streams[id] ?? []) {
      for (const [, stats] of (await stream.requestRTCStats()) ?? []) {
        frames += stats.framesDecoded ?? 0;
        energy += stats.totalAudioEnergy ?? 0;
      }
    }
    return { frames, energy };
  },

  // mark records how much media of some participants has arrived so far. After that, waitsFor
  // returns those of whom no more picture or no more sound has arrived.
  async mark(ids) {
    this.marked = await Promise.all(ids.map(async (id) => ({ id, ...(await this.received(id)) })));
  },

  async waitsFor() {
    const waiting = [];
    for (const mark of this.marked) {
      const now = await this.received(mark.id);
      // The SDK has connected again: the figures of the new connection begin at 0.
      if (now.frames < mark.frames || now.energy < mark.energy) {
        Object.assign(mark, { frames: 0, energy: 0 });
      }
      if (now.frames <= mark.frames + 10 || now.energy <= mark.energy) {
        const were = `${mark.frames} frames and energy ${mark.energy}`;
        waiting.push(`${mark.id}: ${now.frames} frames and energy ${now.energy}, were ${were}`);
      }
    }
    return waiting;
  },

  mute(kind, muted) {
    this.local.find((s) => s.streamType === kind).setMuted(muted);
  },

  stopPublishing() {
    this.publishes = false;
    this.stage.refreshStrategy();
  },

  has(text) {
    return this.diary.includes(text);
  },
});
window.guest = newGuest();
window.guests = {}; // by name, for pages with several guests
