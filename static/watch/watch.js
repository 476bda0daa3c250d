/** Who is on the stage, played as they come. The sound waits for a click, as browsers want it. */
import { byId, h } from '../lib/dom.js';
import { growing, listen } from '../lib/events.js';
import { followHeight } from '../lib/height.js';
import { button, errorText, header, page, say, signedIn, signOut } from '../lib/page.js';
import { t } from '../lib/strings.js';
import { play } from '../lib/whep.js';

/** @typedef {import('../lib/types.js').Presence} Presence */

const state = {
  /** @type {import('../lib/types.js').Me | null} */ me: null,
  /** @type {string} the chosen stage */ stage: '',
  sound: false, online: true,
};
/** @type {Map<string, Presence[]>} */
const presence = new Map();
/** @type {Map<string, ReturnType<typeof player>>} */
const players = new Map();

const stages = () => state.me?.stages.filter((s) => s.capabilities.includes('subscribe')) ?? [];
const here = () => presence.get(state.stage) ?? [];

function draw() {
  const list = stages();
  const stage = list.find((s) => s.arn === state.stage);
  follow(stage?.served === 'aws' ? [] : here().filter((p) => p.publishing));
  const shown = [...players.values()];
  page(header(state.me, 'watch', { onSignOut: signOut }),
    !state.online && h('p', { className: 'notice', key: 'offline' }, t('app.offline')),
    h('div', { className: 'row wrap', key: 'bar' },
      h('h1', null, t('watch.title')),
      list.length > 1 ? choice(list) : stage && h('span', { className: 'tag' }, stage.name),
      shown.length > 0 && button(t(state.sound ? 'watch.mute' : 'watch.sound'), sound, { className: state.sound ? '' : 'primary', 'aria-pressed': state.sound, key: 'sound' })),
    h('main', { key: 'stage' },
      list.length === 0 && h('p', { className: 'card' }, t('watch.noStage')),
      stage?.served === 'aws' && h('p', { className: 'card' }, t('watch.aws')),
      stage?.served === 'local' && shown.length === 0 && h('p', { className: 'card', key: 'nobody' }, t('watch.nobody')),
      h('div', { className: shown.length === 1 ? 'videos one' : 'videos', key: 'videos' }, ...shown.map((p) => p.view()))));
  for (const p of shown) p.mount(); // a video that plays is never moved
}

/** @param {import('../lib/types.js').Stage[]} list */
const choice = (list) => h('select', { 'aria-label': t('live.stage'), onchange: (/** @type {Event} */ e) => { state.stage = /** @type {HTMLSelectElement} */ (e.target).value; draw(); } },
  ...list.map((s) => h('option', { value: s.arn, selected: s.arn === state.stage, key: s.arn }, s.name)));

/** One click is enough for all of them. */
function sound() {
  state.sound = !state.sound;
  for (const p of players.values()) p.sound(state.sound);
  draw();
}

/** Plays those who publish, and nobody else. @param {Presence[]} publishing */
function follow(publishing) {
  for (const [id, p] of players) {
    if (!publishing.some((now) => now.participantId === id)) { p.stop(); players.delete(id); }
  }
  for (const p of publishing) {
    const known = players.get(p.participantId);
    if (known) known.know(p);
    else players.set(p.participantId, player(p));
  }
}

/** Somebody who is played. @param {Presence} who */
function player(who) {
  const video = h('video', { autoplay: true, playsInline: true, muted: true, 'aria-label': who.name });
  let note = t('watch.connecting');
  let stopped = false;
  let tries = 0;
  let timer = 0;
  let height = 0;
  let session = { stop() {}, fit(/** @type {number} */ _) {} };
  const unfollow = followHeight(video, (lines) => { height = lines; session.fit(lines); });
  video.muted = !state.sound;
  video.onplaying = () => { tries = 0; tell(''); };

  /** @param {string} text */
  function tell(text) {
    if (text === note) return;
    note = text;
    draw();
  }

  /** @param {MediaStream} stream */
  function showStream(stream) {
    if (video.srcObject !== stream) video.srcObject = stream;
    // A page that was not clicked yet may play without sound only.
    video.play().catch(() => { video.muted = true; state.sound = false; return video.play(); }).catch(() => {});
  }

  async function connect() {
    try {
      const now = await play(who.participantId, {
        stream: showStream,
        state: (s) => { if (s === 'failed' || s === 'closed') again(t('watch.retrying')); },
      });
      if (stopped) return now.stop();
      session = now;
      if (height) session.fit(height);
    } catch (err) {
      again(t('watch.failed', { message: errorText(err) }));
    }
  }

  /** @param {string} why */
  function again(why) {
    session.stop();
    if (stopped) return;
    tell(why);
    timer = window.setTimeout(connect, growing(++tries, Math.random()));
  }

  void connect();
  return {
    view: () => h('article', { className: 'video', key: who.participantId },
      h('div', { keep: true, id: `video-${who.participantId}` }),
      h('div', { className: 'row' },
        h('b', null, who.name),
        who.you && h('span', { className: 'tag' }, t('watch.you')),
        who.audioMuted && h('span', { className: 'tag' }, t('watch.muted')),
        h('span', { className: 'hint' }, note || t('watch.viewers', { n: who.viewers })))),
    mount() {
      const frame = byId(`video-${who.participantId}`);
      if (video.parentNode !== frame) frame.append(video);
    },
    /** @param {Presence} now */
    know: (now) => { who = now; },
    /** @param {boolean} on */
    sound: (on) => { video.muted = !on; void video.play().catch(() => {}); },
    stop: () => { stopped = true; unfollow(); clearTimeout(timer); session.stop(); video.srcObject = null; },
  };
}

addEventListener('pagehide', () => { for (const p of players.values()) p.stop(); });

void signedIn((me) => {
  state.me = me;
  state.stage = stages()[0]?.arn ?? '';
  draw();
  listen({
    connected: (online) => { state.online = online; draw(); },
    signedOut: () => location.reload(),
    event({ event, data }) {
      if (event === 'presence') presence.set(data.stage, data.participants);
      else if (event === 'me') {
        state.me = data;
        if (!stages().some((s) => s.arn === state.stage)) state.stage = stages()[0]?.arn ?? '';
      } else return;
      draw();
      say(here().filter((p) => p.publishing).map((p) => p.name).join(', '));
    },
  });
}, 'watch');
