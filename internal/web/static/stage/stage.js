/** The participants dock: keeps who is there, draws it, and carries out what is clicked. What is shown is in views.js. */
import { api, ApiError } from '../lib/api.js';
import { copy } from '../lib/copy.js';
import { byId, h } from '../lib/dom.js';
import { createObs, obsAddress } from '../lib/obs.js';
import { errorText, header, href, page, say, signedIn, signOut } from '../lib/page.js';
import { createClient } from '../lib/stage/client.js';
import { wakeMeters } from '../lib/stage/level.js';
import { addWords, t } from '../lib/strings.js';
import { chatView, createChat } from './chat.js';
import { audience, card, cards, choose, personOf, readChoices } from './people.js';
import { addToScene, keyIn } from './scene.js';
import { en } from './strings.js';
import { createTile } from './tile.js';
import { notices, peopleView, sourcesView, toolbar } from './views.js';

/** What this browser remembers; those of OBS are the dock's. */
const KEYS = Object.freeze({ choices: 'stagedoor.stage.choices', stage: 'stagedoor.stage', address: 'stagedoor.obs.address', password: 'stagedoor.obs.password' });

const METER_EVERY = 100;
const SILENCE = 0.02;
const SILENT_AFTER = 5_000;
const inObs = navigator.userAgent.includes('OBS/');

/** @typedef {import('../lib/stage/client.js').Participant} Participant */

const obs = createObs({ Socket: Reflect.get(globalThis, 'OBSWebSocket'), onStatus: obsStatus });

/** @type {import('./views.js').Model} */
const model = {
  me: /** @type {any} */ (null), stage: undefined, stages: [], phase: 'idle', error: '', cards: [], audience: [], blocked: false,
  obs: obs.status, working: false, note: null, views: [], made: null,
};

/** @type {Participant[]} */
let present = [];
let choices = readChoices(localStorage.getItem(KEYS.choices));
/** @type {Map<string, {tile: ReturnType<typeof createTile>, link: string, heardAt: number, silent: boolean}>} */
const tiles = new Map();
/** @type {Map<string, MediaStream>} */
const streams = new Map();

const chat = createChat({ changed: draw, heard: (m) => { if (m.userId !== model.me?.id) say(`${m.name}: ${m.text}`); }, signedOut: startAgain });

const client = createClient({
  token: () => api('POST', 'api/tokens', { stage: model.stage?.arn, for: 'view' }),
  wants: (p) => !card(p, model.me.id, choices).hidden,
  on: {
    participants(list) { tellWhoCame(list); present = list; draw(); },
    stream(id, stream) { streams.set(id, stream); tiles.get(id)?.tile.play(stream); draw(); },
    removed(id) { streams.delete(id); tiles.get(id)?.tile.play(null); draw(); },
    link(id, link) { const known = tiles.get(id); if (known) { known.link = link; draw(); } },
    state(phase, err) {
      model.phase = phase;
      model.error = err instanceof ApiError ? errorText(err) : err?.message === 'sdk' ? t('stage.sdk') : '';
      if (phase === 'refused') present = [];
      draw();
    },
  },
});

/* ---- drawing ---- */

function draw() {
  if (!model.me) return;
  model.cards = cards(present, model.me.id, choices);
  model.audience = audience(present, model.me.id);
  follow();
  const messages = document.getElementById('messages');
  const atEnd = !messages || messages.scrollHeight - messages.scrollTop - messages.clientHeight < 40;
  page(header(model.me, 'dock/stage', { onSignOut: leave }), toolbar(model, actions), ...notices(model, actions),
    h('div', { className: 'two', key: 'two' },
      peopleView(model, actions, (id) => tiles.get(id) ?? { link: 'connecting', silent: false }),
      model.stage && h('div', { className: 'side', key: 'side' }, chatView(chat, model.me.id), sourcesView(model, actions))));
  mount();
  if (atEnd) byIdOrNull('messages')?.scrollTo(0, 1e9);
}

/** @param {string} id */
const byIdOrNull = (id) => document.getElementById(id);

/** Has a tile for everybody who is shown, and for nobody else. */
function follow() {
  const shown = model.cards.filter((c) => !c.hidden);
  for (const [id, { tile }] of tiles) {
    if (shown.some((c) => c.participant.id === id)) continue;
    tile.stop();
    tiles.delete(id);
  }
  for (const c of shown) {
    const { id, name } = c.participant;
    if (!tiles.has(id)) {
      const tile = createTile({ name, blocked() { if (!model.blocked) { model.blocked = true; draw(); } } });
      tiles.set(id, { tile, link: 'connecting', heardAt: Date.now(), silent: false });
      tile.mute(c.muted);
      tile.play(streams.get(id) ?? null);
    }
    tiles.get(id)?.tile.mute(c.muted);
  }
}

/** A video that plays is never moved. */
function mount() {
  for (const [id, { tile }] of tiles) {
    const screen = byId(`screen-${id}`);
    if (tile.video.parentNode !== screen) screen.append(tile.video);
    const meter = byId(`meter-${id}`);
    if (tile.bar.parentNode !== meter) meter.append(tile.bar);
  }
}

function measure() {
  if (document.hidden) return;
  let changed = false;
  for (const known of tiles.values()) {
    if (known.tile.measure() > SILENCE) known.heardAt = Date.now();
    const silent = known.link === 'connected' && Date.now() - known.heardAt > SILENT_AFTER && !model.blocked;
    changed ||= silent !== known.silent;
    known.silent = silent;
  }
  if (changed) draw();
}

/** @param {Participant[]} list */
function tellWhoCame(list) {
  const before = new Set(present.filter((p) => p.publishing).map((p) => p.id));
  const after = new Set(list.filter((p) => p.publishing).map((p) => p.id));
  const came = list.filter((p) => p.publishing && !before.has(p.id)).map((p) => t('stage.came', { name: p.name }));
  const left = present.filter((p) => p.publishing && !after.has(p.id)).map((p) => t('stage.left', { name: p.name }));
  if (came.length + left.length > 0) say([...came, ...left].join(' '));
}

/** Says what was done, for a while. @param {string} text @param {boolean} [bad] */
function note(text, bad = false) {
  const mine = { text, bad };
  model.note = mine;
  draw();
  if (!bad) setTimeout(() => { if (model.note === mine) { model.note = null; draw(); } }, 6_000);
}

/* ---- OBS ---- */

/** @param {import('../lib/obs.js').ObsStatus} status */
function obsStatus(status) {
  if (!model?.me) return; // the first word comes before the page is there
  model.obs = status;
  draw();
}

/** By itself only where nobody is asked for a permission out of the blue. */
function findObs() {
  const password = localStorage.getItem(KEYS.password);
  if (!inObs && password === null) return;
  const address = obsAddress(localStorage.getItem(KEYS.address) ?? '');
  if (address) void obs.open(address.url, password ?? '');
}

/* ---- viewing keys ---- */

async function loadViews() {
  try {
    const { views } = await api('GET', 'api/views');
    model.views = views.filter((/** @type {import('../types.js').View} */ v) => v.stage === model.stage?.arn);
    draw();
  } catch {
    // the list is read again after the next change
  }
}

/** @param {string} view @returns {Promise<{url: string, discard: () => Promise<unknown>}>} */
async function makeView(view) {
  const made = await api('POST', 'api/views', { stage: model.stage?.arn, view });
  return { url: made.url, discard: () => api('DELETE', `api/views/${made.id}`).catch(() => {}) };
}

/** Whether the key in an address still shows that view of this stage. @param {string} url @param {string} view */
async function works(url, view) {
  const key = keyIn(url, href('source'));
  const response = await fetch(href('api/view'), { headers: { Authorization: `Bearer ${key}` }, credentials: 'omit' });
  if (!response.ok) return false;
  const found = await response.json();
  return found.stage === model.stage?.arn && found.view === view;
}

/** @param {() => Promise<void>} work */
async function working(work) {
  if (model.working) return;
  model.working = true;
  model.note = null;
  draw();
  try {
    await work();
  } catch (/** @type {any} */ err) {
    note(err.name === 'SceneError' ? t(err.text, err.values) : errorText(err), true);
  }
  model.working = false;
  await loadViews();
  draw();
}

/* ---- what can be clicked ---- */

/** @type {import('./views.js').Actions} */
const actions = {
  pick(arn) {
    localStorage.setItem(KEYS.stage, arn);
    enter(model.stages.find((s) => s.arn === arn));
  },
  sound() {
    model.blocked = false;
    wakeMeters();
    for (const { tile } of tiles.values()) tile.unlock();
    draw();
  },
  again: startAgain,
  choose(c, change) {
    choices = choose(readChoices(localStorage.getItem(KEYS.choices)), personOf(c.participant), change);
    localStorage.setItem(KEYS.choices, JSON.stringify(choices));
    draw();
    client.refresh();
  },
  add(view, name) {
    if (obs.status.phase !== 'ready') return openSources();
    void working(async () => {
      const ours = href('source');
      const { done, scene } = await addToScene(obs, {
        name: `Stagedoor: ${name}`, canvas: view === 'grid' || view === 'spotlight',
        ours: (url) => url.startsWith(`${ours}#`), works: (url) => works(url, view), make: () => makeView(view),
      });
      note(t(`scene.done.${done}`, { name, scene }));
    });
  },
  copy(view, name) {
    void working(async () => {
      const { url } = await makeView(view);
      model.made = { label: t('scene.urlOf', { name }), url };
      draw();
      const how = await copy(/** @type {HTMLInputElement} */ (byId('c-source-url')), url);
      note(how === 'copied' ? t('scene.copied') : t('app.select'));
    });
  },
  revoke(view) {
    void working(async () => {
      await api('DELETE', `api/views/${view.id}`);
      model.made = null;
      note(t('view.revoked'));
    });
  },
  connect(text, password) {
    const address = obsAddress(text);
    if (!address) return note(t('scene.badAddress'), true);
    void obs.open(address.url, password);
  },
};

/** The page asks anew who is signed in, and where they may be. */
function startAgain() {
  client.leave();
  location.reload();
}

function openSources() {
  const section = /** @type {HTMLDetailsElement} */ (byId('sources'));
  section.open = true;
  section.scrollIntoView({ block: 'nearest' });
  note(t('scene.connectFirst'));
}

/** @param {import('../lib/types.js').Stage | undefined} stage */
function enter(stage) {
  client.leave();
  for (const { tile } of tiles.values()) tile.stop();
  tiles.clear();
  streams.clear();
  present = [];
  Object.assign(model, { stage, phase: 'idle', error: '', made: null, note: null });
  draw();
  if (!stage) return chat.close();
  client.join();
  chat.open(stage.arn);
  void loadViews();
}

async function leave() {
  client.leave();
  await signOut();
}

addEventListener('pagehide', () => client.leave());
// A page that the browser kept for "back" is not on the stage any more.
addEventListener('pageshow', (e) => { if (e.persisted) client.join(); });
addEventListener('online', () => { if (model.phase === 'lost') client.join(); });

void signedIn(async (me) => {
  await addWords(en, { de: async () => (await import('./strings.de.js')).de, es: async () => (await import('./strings.es.js')).es });
  const stages = me.stages.filter((s) => s.capabilities.includes('subscribe'));
  Object.assign(model, { me, stages });
  document.title = `${t('stage.title')} – ${t('app')}`;
  enter(stages.find((s) => s.arn === localStorage.getItem(KEYS.stage)) ?? stages[0]);
  findObs();
  setInterval(measure, METER_EVERY);
}, 'dock/stage');
