/**
 * Plays all publishers of a stage, local or AWS. The sound starts with a click, as browsers
 * require.
 */
import { api, ApiError } from '../lib/api.js';
import { barsView } from '../lib/bars.js';
import { select } from '../lib/choices.js';
import { byId, h } from '../lib/dom.js';
import { listen, patiently } from '../lib/events.js';
import { followHeight } from '../lib/height.js';
import { button, errorText, header, href, page, say, signedOut } from '../lib/page.js';
import { signedIn } from '../lib/signin.js';
import { createClient } from '../lib/stage/client.js';
import { t } from '../lib/strings.js';
import { columns } from '../source/layout.js';

/** Pixels between two pictures, and the smallest width of a picture. */
const GAP = 6;
const SMALLEST = 100;

/** The key under which this browser remembers the volume. */
const VOLUME = 'stagedoor.watch.volume';

/** @typedef {import('../lib/stage/client.js').Participant} Participant */
/** @typedef {import('../lib/stage/client.js').Link} Link */

const state = {
  /** @type {import('../lib/types.js').Me | null} */ me: null,
  /** @type {string} the ARN of the chosen stage */ stage: '',
  /** @type {Participant[]} */ present: [],
  /** @type {string} the reason why the stage cannot be played */ error: '',
  sound: false,
  online: true,
  volume: Number(localStorage.getItem(VOLUME) ?? 1),
};
/**
 * The number of viewers by participant ID, as the server counts them.
 * @type {Map<string, number>}
 */
const viewers = new Map();
/** @type {Map<string, ReturnType<typeof createPlayer>>} */
const players = new Map();

const client = createClient({
  token: () => api('POST', 'api/tokens', { stage: state.stage, for: 'view' }),
  wants: () => true,
  on: {
    participants(list) {
      announce(list);
      state.present = list;
      draw();
    },
    stream: (id, stream) => player(id).play(stream),
    removed: (id) => players.get(id)?.play(null),
    link(id, link) {
      player(id).link = link;
      draw();
    },
    state(phase, err) {
      state.error =
        phase === 'joined' || !(err instanceof ApiError)
          ? ''
          : t('watch.failed', { message: errorText(err) });
      draw();
    },
  },
});

const stages = () => state.me?.stages.filter((s) => s.capabilities.includes('subscribe')) ?? [];
const publishing = () => state.present.filter((p) => p.publishing);

/** @param {string} id */
function player(id) {
  const known = players.get(id) ?? createPlayer(id);
  players.set(id, known);
  return known;
}

function draw() {
  const list = stages();
  const stage = list.find((s) => s.arn === state.stage);
  const shown = publishing();
  for (const id of players.keys()) if (!state.present.some((p) => p.id === id)) drop(id);
  page(
    header(state.me, 'watch', { leave: () => client.leave() }),
    h(
      'main',
      { key: 'main' },
      !state.online && h('p', { className: 'notice', key: 'offline' }, t('app.offline')),
      state.error && h('p', { className: 'notice', key: 'error' }, state.error),
      h(
        'div',
        { className: 'row wrap controls', key: 'bar' },
        list.length === 1 && stage
          ? h('h1', { dir: 'auto' }, stage.name)
          : h('h1', null, t('watch.title')),
        list.length > 1 && choice(list),
        ...(shown.length > 0 ? controls() : []),
      ),
      barsView(state.me?.bars),
      list.length === 0 && h('p', { className: 'card', key: 'no-stage' }, noStageText()),
      stage &&
        shown.length === 0 &&
        h(
          'div',
          { className: 'card', key: 'nobody' },
          h('p', null, t('watch.nobody')),
          stage.capabilities.includes('publish') && h('a', { href: href('') }, t('watch.toStart')),
        ),
      h('div', { className: 'wall', id: 'wall', key: 'wall' }, ...shown.map(card)),
    ),
  );
  for (const p of shown) player(p.id).mount(); // a video that is moved stops playing
  fit();
}

/** For a barred person, the page shows the bar above this text. */
const noStageText = () => t(state.me?.bars?.length ? 'watch.noOther' : 'watch.noStage');

/** The buttons for sound and full screen, and the volume. */
const controls = () => [
  button(t(state.sound ? 'watch.mute' : 'watch.sound'), () => setSound(!state.sound), {
    className: state.sound ? '' : 'primary',
    key: 'sound',
  }),
  h(
    'label',
    { className: 'volume', key: 'volume' },
    h('span', null, t('watch.volume')),
    h('input', {
      type: 'range',
      min: 0,
      max: 1,
      step: 0.05,
      value: String(state.volume),
      oninput: (/** @type {Event} */ e) =>
        setVolume(Number(/** @type {HTMLInputElement} */ (e.target).value)),
    }),
  ),
  document.fullscreenEnabled &&
    button(t('watch.full'), () => enlarge(byId('wall')), { key: 'full' }),
];

/**
 * Makes an element fill the screen. Escape or a second click ends this.
 * @param {Element} element
 */
function enlarge(element) {
  if (document.fullscreenElement === element) void document.exitFullscreen();
  else void element.requestFullscreen().catch(() => {}); // if it fails, the page stays as it is
}

/** Shows all pictures at once, as large as the window allows. */
function fit() {
  const wall = byId('wall');
  const n = wall.childElementCount;
  const { clientWidth: width, clientHeight: height } = wall;
  const c = columns(n, width, height);
  const rows = Math.ceil(n / c);
  const side = Math.min(
    (width - GAP * (c - 1)) / c,
    (((height - GAP * (rows - 1)) / rows) * 16) / 9,
  );
  wall.style.gridTemplateColumns = `repeat(${c}, ${Math.max(Math.floor(side), SMALLEST)}px)`;
  wall.classList.toggle('small', side < 200);
}

/** Enters the chosen stage, which a reload of the page keeps. @param {string} arn */
function choose(arn) {
  const url = new URL(location.href);
  url.searchParams.set('stage', arn);
  history.replaceState(null, '', url);
  enter(arn);
}

/** The stage of the address if the person may watch it, or their first. */
function firstStage() {
  const asked = new URLSearchParams(location.search).get('stage');
  return (stages().find((s) => s.arn === asked) ?? stages()[0])?.arn ?? '';
}

/** @param {import('../lib/types.js').Stage[]} list */
const choice = (list) =>
  select(
    { key: 'stage', 'aria-label': t('live.stage'), chosen: state.stage, onchoose: choose },
    list.map((s) => [s.arn, s.name]),
  );

/** @param {Participant} p */
function card(p) {
  const { link } = player(p.id);
  const count = viewers.get(p.id) ?? 0;
  return h(
    'article',
    {
      className: `video${p.videoMuted && !p.stalled ? ' no-picture' : ''}`,
      key: p.id,
      'aria-label': p.name,
    },
    h('div', { keep: true, id: `video-${p.id}`, className: 'picture' }),
    link !== 'connected'
      ? h('p', { className: 'over', key: 'over' }, t(`watch.${link}`))
      : p.videoMuted &&
          h(
            'p',
            { className: 'over', key: 'over' },
            t(p.stalled ? 'stage.stalled' : 'stage.noPicture'),
          ),
    document.fullscreenEnabled &&
      button('', () => enlarge(byId(`video-${p.id}`).parentElement ?? byId('wall')), {
        className: 'icon i-size',
        title: t('watch.fullOf', { name: p.name }),
        'aria-label': t('watch.fullOf', { name: p.name }),
        key: 'full',
      }),
    h(
      'div',
      { className: 'caption', key: 'caption' },
      h('b', { dir: 'auto', title: p.name }, p.name),
      p.userId !== '' &&
        p.userId === state.me?.id &&
        h('span', { className: 'tag' }, t('watch.you')),
      p.audioMuted && !p.stalled && h('span', { className: 'tag' }, t('watch.muted')),
      link === 'connected' &&
        count > 0 &&
        h('span', { className: 'count' }, t('watch.viewers', { n: count })),
    ),
  );
}

/**
 * The video of one participant. It exists until the participant leaves the stage.
 * @param {string} id
 */
function createPlayer(id) {
  const video = h('video', { autoplay: true, playsInline: true, muted: true });
  video.muted = !state.sound;
  video.volume = state.volume;
  const unfollow = followHeight(video, (lines) => client.fit(id, lines));
  // Until the first click, the page may play only without sound.
  const start = () =>
    video
      .play()
      .catch((err) => {
        // Any other error means that the stream was replaced. The new stream has its own play().
        if (err.name !== 'NotAllowedError') return;
        setSound(false);
        return video.play();
      })
      .catch(() => {});
  return {
    /** @type {Link} */ link: 'connecting',
    /** @param {MediaStream | null} stream */
    play(stream) {
      if (video.srcObject === stream) return;
      video.srcObject = stream;
      if (stream) void start();
    },
    mount() {
      video.ariaLabel = state.present.find((p) => p.id === id)?.name ?? '';
      const frame = byId(`video-${id}`);
      if (video.parentNode !== frame) frame.append(video);
    },
    /** @param {boolean} on */
    sound(on) {
      video.muted = !on;
      if (on && video.srcObject) void start();
    },
    /** @param {number} now */
    volume(now) {
      video.volume = now;
    },
    stop() {
      unfollow();
      client.fit(id, 0);
      video.srcObject = null;
    },
  };
}

/** Switches the sound of all videos on or off with one click. @param {boolean} on */
function setSound(on) {
  state.sound = on;
  for (const p of players.values()) p.sound(on);
  draw();
}

/** @param {number} volume from 0 to 1 */
function setVolume(volume) {
  state.volume = volume;
  localStorage.setItem(VOLUME, String(volume));
  for (const p of players.values()) p.volume(volume);
  // Browsers allow sound only after a click or a similar input, such as a move of this slider.
  if (!state.sound && volume > 0) setSound(true);
}

/** @param {string} id */
function drop(id) {
  players.get(id)?.stop();
  players.delete(id);
}

/**
 * Announces the publishers to screen readers when they have changed.
 * @param {Participant[]} list
 */
function announce(list) {
  const names = (/** @type {Participant[]} */ all) =>
    all
      .filter((p) => p.publishing)
      .map((p) => p.name)
      .join(', ');
  if (names(list) !== names(state.present)) say(names(list));
}

/** Joins a stage, or none if the person may watch none. @param {string} [arn] */
function enter(arn = firstStage()) {
  client.leave();
  for (const id of [...players.keys()]) drop(id);
  Object.assign(state, { stage: arn, present: [], error: '' });
  draw();
  if (arn) client.join();
}

/** @param {import('../lib/types.js').Me} me */
function know(me) {
  state.me = me;
  if (!stages().some((s) => s.arn === state.stage)) enter();
  else draw();
}

addEventListener('resize', () => {
  if (document.getElementById('wall')) fit();
});
addEventListener('pagehide', () => client.leave());
addEventListener('pageshow', (e) => {
  if (e.persisted && state.stage) client.join();
});

void signedIn((me) => {
  know(me);
  listen({
    connected: patiently((online) => {
      state.online = online;
      draw();
    }),
    signedOut,
    event({ event, data }) {
      if (event === 'me') know(data);
      if (event !== 'presence' || data.stage !== state.stage) return;
      for (const p of data.participants) viewers.set(p.participantId, p.viewers);
      draw();
    },
  });
}, 'watch');
