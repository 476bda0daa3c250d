/**
 * The people of a stage as the broadcaster sees them: keeps who is there, and carries out what is clicked. What is shown is in
 * views.js; which page it is shown in, and whose connection to OBS it has, is that page's matter.
 */
import { api, ApiError, problem } from '../lib/api.js';
import { copy } from '../lib/copy.js';
import { byId, h } from '../lib/dom.js';
import { obsAddress } from '../lib/obs.js';
import { errorText, href, say } from '../lib/page.js';
import { createClient } from '../lib/stage/client.js';
import { wakeMeters } from '../lib/stage/level.js';
import { t } from '../lib/strings.js';
import { chatView, createChat } from './chat.js';
import { audience, card, cards, choose, personOf, readChoices } from './people.js';
import { addToScene, keyIn, sourceName } from './scene.js';
import { LAYOUTS } from '../lib/stage/view.js';
import { createTile } from './tile.js';
import { notices, peopleView, sourcesView, toolbar } from './views.js';

/** What this browser remembers. */
const KEYS = Object.freeze({ choices: 'stagedoor.stage.choices', watched: 'stagedoor.stage.watched' });

const METER_EVERY = 100;
const SILENCE = 0.02;
const SILENT_AFTER = 5_000;
const AGAIN_AFTER = 500;

/**
 * @typedef {import('../lib/stage/client.js').Participant} Participant
 * @typedef {import('../lib/types.js').Me} Me
 * @typedef {import('../lib/types.js').Stage} Stage
 *
 * @typedef {object} About
 * @property {Me} me
 * @property {import('../lib/obs.js').ObsCaller & {readonly status: import('../lib/obs.js').ObsStatus}} obs
 * @property {() => void} changed there is something to draw
 * @property {() => void} again asks anew who is signed in, and where they may be
 * @property {() => string | null | undefined} stage the ARN where one is who has not chosen another stage here
 * @property {(url: string, password: string) => void} [connect] connects to OBS; without it that is done in another tab:
 * @property {() => void} [toBroadcast] leads there
 *
 * @typedef {ReturnType<typeof createPeople>} People
 */

/** On the stage from enter() to leave(), whether or not what view() answers can be seen. @param {About} about */
export function createPeople(about) {
  const { obs, changed } = about;

  /** @type {import('./views.js').Model} */
  const model = {
    me: about.me, stage: undefined, stages: [], phase: 'idle', error: '', cards: [], audience: [], blocked: false,
    obs: obs.status, connects: Boolean(about.connect), working: false, note: null, views: [], made: null,
  };

  /** @type {Participant[]} */
  let present = [];
  let atEnd = true; // of the chat
  let cut = false; // the chat was told that this login, or its access, has ended
  const gone = new AbortController();
  let choices = readChoices(localStorage.getItem(KEYS.choices));
  /** @type {Map<string, {tile: ReturnType<typeof createTile>, link: string, heardAt: number, silent: boolean}>} */
  const tiles = new Map();
  /** @type {Map<string, MediaStream>} */
  const streams = new Map();

  const chat = createChat({ changed, heard: (m) => { if (m.userId !== model.me?.id) say(`${m.name}: ${m.text}`); }, signedOut: cutOff });

  const client = createClient({
    token: () => api('POST', 'api/tokens', { stage: model.stage?.arn, for: 'view' }),
    wants: (p) => !card(p, model.me.id, choices).hidden,
    on: {
      participants(list) { tellWhoCame(list); present = list; changed(); },
      stream(id, stream) { streams.set(id, stream); tiles.get(id)?.tile.play(stream); changed(); },
      removed(id) { streams.delete(id); tiles.get(id)?.tile.play(null); changed(); },
      link(id, link) { const known = tiles.get(id); if (known) { known.link = link; changed(); } },
      state(phase, err) {
        model.phase = phase;
        model.error = err instanceof ApiError ? errorText(err) : err?.message === 'sdk' ? t('stage.sdk') : '';
        if (phase === 'refused') present = [];
        changed();
      },
    },
  });

  /* ---- drawing ---- */

  /** What the page shows; drawn() follows when it is drawn. */
  function view() {
    const messages = document.getElementById('messages');
    // Hidden it has no height: it stays where it was.
    if (messages?.clientHeight) atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 40;
    model.obs = obs.status;
    model.cards = cards(present, model.me.id, choices);
    model.audience = audience(present, model.me.id);
    follow();
    return [toolbar(model, actions), ...notices(model, actions),
      h('div', { className: 'two', key: 'two' },
        peopleView(model, actions, (id) => tiles.get(id) ?? { link: 'connecting', silent: false }),
        model.stage && h('div', { className: 'side', key: 'side' }, chatView(chat, model.me.id), sourcesView(model, actions)))];
  }

  function drawn() {
    mount();
    if (atEnd) document.getElementById('messages')?.scrollTo(0, 1e9);
  }

  /** Has a tile for everybody who is shown, and for nobody else. */
  function follow() {
    const shown = model.cards.filter((c) => !c.hidden);
    for (const [id, { tile }] of tiles) {
      if (shown.some((c) => c.participant.id === id)) continue;
      tile.stop();
      tiles.delete(id);
      client.fit(id, 0);
    }
    for (const c of shown) {
      const { id, name } = c.participant;
      if (!tiles.has(id)) {
        const tile = createTile({ name, height: (lines) => client.fit(id, lines), blocked() { if (!model.blocked) { model.blocked = true; changed(); } } });
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
    let turned = false;
    for (const known of tiles.values()) {
      if (known.tile.measure() > SILENCE) known.heardAt = Date.now();
      const silent = known.link === 'connected' && Date.now() - known.heardAt > SILENT_AFTER && !model.blocked;
      turned ||= silent !== known.silent;
      known.silent = silent;
    }
    if (turned) changed();
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
    changed();
    if (!bad) setTimeout(() => { if (model.note === mine) { model.note = null; changed(); } }, 6_000);
  }

  /* ---- viewing keys ---- */

  async function loadViews() {
    try {
      const { views } = await api('GET', 'api/views');
      model.views = views.filter((/** @type {import('../types.js').View} */ v) => v.stage === model.stage?.arn);
      changed();
    } catch {
      // the list is read again after the next change
    }
  }

  /** @param {string} view @returns {Promise<{url: string, discard: () => Promise<unknown>}>} */
  async function makeView(view) {
    const made = await api('POST', 'api/views', { stage: model.stage?.arn, view });
    return { url: made.url, discard: () => api('DELETE', `api/views/${made.id}`).catch(() => {}) };
  }

  /** What the key in an address shows, or null when it is good no more. @param {string} url */
  async function shows(url) {
    const key = keyIn(url, href('source'));
    const response = await fetch(href('api/view'), { headers: { Authorization: `Bearer ${key}` }, credentials: 'omit' });
    if ([401, 403, 404].includes(response.status)) return null;
    if (!response.ok) throw await problem(response); // a server that is busy says nothing about the key
    return response.json();
  }

  /** @param {() => Promise<void>} work */
  async function working(work) {
    if (model.working) return;
    model.working = true;
    model.note = null;
    changed();
    try {
      await work();
    } catch (/** @type {any} */ err) {
      note(err.name === 'SceneError' ? t(err.text, err.values) : errorText(err), true);
    }
    model.working = false;
    await loadViews();
    changed();
  }

  /* ---- what can be clicked ---- */

  /** @type {import('./views.js').Actions} */
  const actions = {
    pick(arn) {
      localStorage.setItem(KEYS.watched, arn);
      enter(model.stages.find((s) => s.arn === arn));
    },
    sound() {
      model.blocked = false;
      wakeMeters();
      for (const { tile } of tiles.values()) tile.unlock();
      changed();
    },
    again: about.again,
    dismiss() {
      model.note = null;
      changed();
    },
    choose(c, change) {
      choices = choose(readChoices(localStorage.getItem(KEYS.choices)), personOf(c.participant), change);
      localStorage.setItem(KEYS.choices, JSON.stringify(choices));
      changed();
      client.refresh();
    },
    add(view, name) {
      if (obs.status.phase !== 'ready') return openSources();
      void working(async () => {
        const ours = href('source');
        const { done, scene } = await addToScene(obs, {
          name: sourceName(name), stage: /** @type {Stage} */ (model.stage), view, canvas: LAYOUTS.includes(view),
          ours: (url) => url.startsWith(`${ours}#`), shows, make: () => makeView(view),
        });
        note(t(`scene.done.${done}`, { name, scene }));
      });
    },
    copy(view, name) {
      void working(async () => {
        const { url } = await makeView(view);
        model.made = { label: t('scene.urlOf', { name }), url };
        changed();
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
      about.connect?.(address.url, password);
    },
    toBroadcast: () => about.toBroadcast?.(),
  };

  /** The login has ended, or its access to this stage: the page knows how to find out. */
  function cutOff() {
    cut = true;
    setTimeout(() => { if (!gone.signal.aborted) about.again(); }, AGAIN_AFTER);
  }

  function openSources() {
    const section = /** @type {HTMLDetailsElement} */ (byId('sources'));
    section.open = true;
    section.scrollIntoView({ block: 'nearest' });
    note(t('scene.connectFirst'));
  }

  /** @param {Me} me */
  function stagesOf(me) {
    model.me = me;
    model.stages = me.stages.filter((s) => s.capabilities.includes('subscribe'));
  }

  /** The stage that was chosen here, else the one where the page is. */
  function home() {
    const find = (/** @type {string | null | undefined} */ arn) => model.stages.find((s) => s.arn === arn);
    return find(localStorage.getItem(KEYS.watched)) ?? find(about.stage()) ?? model.stages[0];
  }

  /** @param {Stage | undefined} [stage] */
  function enter(stage = home()) {
    client.leave();
    for (const { tile } of tiles.values()) tile.stop();
    tiles.clear();
    streams.clear();
    present = [];
    cut = false;
    Object.assign(model, { stage, phase: 'idle', error: '', made: null, note: null, views: [] });
    changed();
    if (!stage) return chat.close();
    client.join();
    chat.open(stage.arn);
    void loadViews();
  }

  /** What has changed for the person: they stay where they are as long as they may. @param {Me} me */
  function know(me) {
    stagesOf(me);
    const stage = model.stages.find((s) => s.arn === model.stage?.arn);
    if (!stage) return enter();
    model.stage = stage;
    if (model.phase === 'refused') client.join();
    if (cut) chat.open(stage.arn);
    cut = false;
    changed();
  }

  /** The page went to another stage: so does this. @param {string} arn */
  function goTo(arn) {
    localStorage.removeItem(KEYS.watched);
    const stage = model.stages.find((s) => s.arn === arn);
    if (stage && stage.arn !== model.stage?.arn) enter(stage);
  }

  function leave() {
    gone.abort();
    clearInterval(metering);
    client.leave();
    chat.close();
    for (const { tile } of tiles.values()) tile.stop();
    tiles.clear();
  }

  const { signal } = gone;
  addEventListener('pagehide', () => client.leave(), { signal });
  // A page that the browser kept for "back" is not on the stage any more.
  addEventListener('pageshow', (e) => { if (e.persisted && model.stage) client.join(); }, { signal });
  addEventListener('online', () => { if (model.phase === 'lost') client.join(); }, { signal });
  const metering = setInterval(measure, METER_EVERY);
  stagesOf(about.me);

  return { view, drawn, enter, know, goTo, leave };
}
