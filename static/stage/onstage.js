/**
 * The participants of a stage in the tab People. This module keeps the participants, and performs
 * the actions of the buttons. The views are in views.js. The page that uses this module owns the
 * connection to OBS.
 */
import { api, ApiError } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { obsAddress } from '../lib/obs.js';
import { errorText, say } from '../lib/page.js';
import { createClient } from '../lib/stage/client.js';
import { wakeMeters } from '../lib/stage/level.js';
import { readLook } from '../lib/stage/look.js';
import { t } from '../lib/strings.js';
import { chatView, createChat } from './chat.js';
import { audience, card, cards, choose, crowded, personOf, readChoices } from './people.js';
import { Guests } from './guests.js';
import { createSources } from './sources.js';
import { Tiles } from './tiles.js';
import { notices, peopleView, sourcesView, toolbar } from './views.js';

/** The keys of localStorage. */
const KEYS = Object.freeze({
  choices: 'stagedoor.stage.choices',
  watched: 'stagedoor.stage.watched',
  look: 'stagedoor.source.look',
});

const METER_EVERY = 100;
const AGAIN_AFTER = 500;

/** Whether the page has one column, as in a dock. */
const narrow = matchMedia('(max-width: 519px)');

/**
 * @typedef {import('../lib/stage/client.js').Participant} Participant
 * @typedef {import('../lib/types.js').Me} Me
 * @typedef {import('../lib/types.js').Stage} Stage
 *
 * @typedef {object} About
 * @property {Me} me
 * @property {import('../lib/obs.js').ObsCaller & {readonly status:
 *   import('../lib/obs.js').ObsStatus}} obs
 * @property {() => void} changed called when the page must be redrawn
 * @property {() => void} again reads the user and the user's stages again
 * @property {() => string | null | undefined} stage the ARN of the page's stage, which is shown if
 *   the person has chosen no other stage here
 * @property {(url: string, password: string) => void} [connect] connects to OBS; absent if the tab
 *   Broadcast does that
 * @property {() => void} [toBroadcast] opens the tab Broadcast
 */

/**
 * The person is on the stage from enter() to leave(), whether or not the elements of view() are
 * visible.
 */
export class People {
  #about;
  #model;
  #gone = new AbortController();
  /** The chat reported that this login, or its access, has ended. */
  #cut = false;
  #chat;
  #client;
  #roster;
  #screen;
  #sources;
  #tiles;

  /** @param {About} about */
  constructor(about) {
    const { changed } = about;
    const model = firstModel(about);
    const choices = createChoices();
    const { sources, tiles, roster, client } = createParts(about, model, choices);
    const chat = createChat({
      changed,
      heard: (m) => {
        if (m.userId !== model.me?.id) say(`${m.name}: ${m.text}`);
      },
      signedOut: () => this.#askAgain(),
    });
    const enter = (/** @type {string} */ arn) => this.enter(this.#find(arn));
    const actions = createActions({ about, model, tiles, sources, choices, client, enter });
    this.#screen = createScreen({ about, model, tiles, chat, choices, roster, actions });
    this.#about = about;
    this.#model = model;
    this.#sources = sources;
    this.#tiles = tiles;
    this.#roster = roster;
    this.#client = client;
    this.#chat = chat;
    listenToPage(this.#gone.signal, model, client, tiles, changed);
    stagesOf(model, about.me);
  }

  /** Call drawn() after the elements were added to the page. */
  view() {
    return this.#screen.view();
  }

  drawn() {
    this.#screen.drawn();
  }

  /** @param {Stage | undefined} [stage] */
  enter(stage = home(this.#model, this.#about)) {
    const model = this.#model;
    this.#client.leave();
    this.#tiles.clear();
    this.#roster.present = [];
    this.#cut = false;
    Object.assign(model, { stage, phase: 'idle', error: '', made: null, note: null, views: [] });
    this.#about.changed();
    if (!stage) return this.#chat.close();
    this.#client.join();
    this.#chat.open(stage.arn);
    void this.#sources.load();
  }

  /**
   * The user's access has changed. The user stays on the stage if that is still allowed.
   * @param {Me} me
   */
  know(me) {
    const model = this.#model;
    stagesOf(model, me);
    const stage = this.#find(model.stage?.arn);
    if (!stage) return this.enter();
    model.stage = stage;
    if (model.phase === 'refused') this.#client.join();
    if (this.#cut) {
      this.#cut = false;
      this.#chat.open(stage.arn);
    }
    this.#about.changed();
  }

  /** Follows the page to another stage. @param {string} arn */
  goTo(arn) {
    localStorage.removeItem(KEYS.watched);
    const stage = this.#find(arn);
    if (stage && stage.arn !== this.#model.stage?.arn) this.enter(stage);
  }

  leave() {
    this.#gone.abort();
    this.#client.leave();
    this.#chat.close();
    this.#tiles.clear();
  }

  /** Makes the page check whether the login or its access to this stage has ended. */
  #askAgain() {
    this.#cut = true;
    setTimeout(() => {
      if (!this.#gone.signal.aborted) this.#about.again();
    }, AGAIN_AFTER);
  }

  /** @param {string | undefined} arn */
  #find(arn) {
    return this.#model.stages.find((s) => s.arn === arn);
  }
}

/**
 * @param {About} about
 * @param {import('./views.js').Model} model
 * @param {ReturnType<typeof createChoices>} choices
 */
function createParts({ obs, changed }, model, choices) {
  const sources = createSources({ model, obs, changed });
  const blocked = () => {
    if (!model.blocked) {
      model.blocked = true;
      changed();
    }
  };
  const tiles = new Tiles({ changed, blocked, fit: (id, lines) => client.fit(id, lines) });
  const roster = createRoster({ model, tiles, changed });
  const wants = (/** @type {Participant} */ p) => !card(p, model.me.id, choices.now).hidden;
  const client = createClient({
    token: () => api('POST', 'api/tokens', { stage: model.stage?.arn, for: 'view' }),
    wants,
    on: roster.on,
  });
  return { sources, tiles, roster, client };
}

/** @param {About} about @returns {import('./views.js').Model} */
function firstModel({ me, obs, connect }) {
  return {
    me,
    stage: undefined,
    stages: [],
    phase: 'idle',
    error: '',
    cards: [],
    audience: [],
    crowded: false,
    blocked: false,
    obs: obs.status,
    connects: Boolean(connect),
    working: false,
    note: null,
    views: [],
    made: null,
    look: readLook(localStorage.getItem(KEYS.look)),
  };
}

/** @param {import('./views.js').Model} model @param {Me} me */
function stagesOf(model, me) {
  model.me = me;
  model.stages = me.stages.filter((s) => s.capabilities.includes('subscribe'));
}

/**
 * The stage that was chosen here, otherwise the stage of the page, otherwise the user's first.
 * @param {import('./views.js').Model} model
 * @param {About} about
 */
function home({ stages }, about) {
  const find = (/** @type {string | null | undefined} */ arn) => stages.find((s) => s.arn === arn);
  return find(localStorage.getItem(KEYS.watched)) ?? find(about.stage()) ?? stages[0];
}

/** The choices about each person, which this browser stores. */
function createChoices() {
  const read = () => readChoices(localStorage.getItem(KEYS.choices));
  let now = read();
  return {
    get now() {
      return now;
    },
    /** @param {Participant} participant @param {import('./people.js').Choice} change */
    change(participant, change) {
      now = choose(read(), personOf(participant), change);
      localStorage.setItem(KEYS.choices, JSON.stringify(now));
    },
  };
}

/**
 * The participants of the stage, as the client reports them.
 * @param {{model: import('./views.js').Model, tiles: Tiles, changed: () =>
 *   void}} about
 */
function createRoster({ model, tiles, changed }) {
  /** @type {Participant[]} */
  let present = [];
  return {
    get present() {
      return present;
    },
    set present(list) {
      present = list;
    },
    on: {
      /** @param {Participant[]} list */
      participants(list) {
        announce(present, list);
        present = list;
        changed();
      },
      /** @param {string} id @param {MediaStream} stream */
      stream(id, stream) {
        tiles.play(id, stream);
        changed();
      },
      /** @param {string} id */
      removed(id) {
        tiles.play(id, null);
        changed();
      },
      /** @param {string} id @param {import('../lib/stage/client.js').Link} link */
      link: (id, link) => tiles.link(id, link),
      /** @param {import('../lib/stage/client.js').Phase} phase @param {any} [err] */
      state(phase, err) {
        model.phase = phase;
        model.error =
          err instanceof ApiError ? errorText(err) : err?.message === 'sdk' ? t('stage.sdk') : '';
        if (phase === 'refused') present = [];
        changed();
      },
    },
  };
}

/**
 * Announces to screen readers who began and who stopped publishing.
 * @param {Participant[]} old
 * @param {Participant[]} list
 */
function announce(old, list) {
  const before = new Set(old.filter((p) => p.publishing).map((p) => p.id));
  const after = new Set(list.filter((p) => p.publishing).map((p) => p.id));
  const came = list
    .filter((p) => p.publishing && !before.has(p.id))
    .map((p) => t('stage.came', { name: p.name }));
  const left = old
    .filter((p) => p.publishing && !after.has(p.id))
    .map((p) => t('stage.left', { name: p.name }));
  if (came.length + left.length > 0) say([...came, ...left].join(' '));
}

/**
 * @param {object} deps
 * @param {About} deps.about
 * @param {import('./views.js').Model} deps.model
 * @param {Tiles} deps.tiles
 * @param {ReturnType<typeof createSources>} deps.sources
 * @param {ReturnType<typeof createChoices>} deps.choices
 * @param {{refresh: () => void}} deps.client
 * @param {(arn: string) => void} deps.enter
 * @returns {import('./views.js').Actions}
 */
function createActions({ about, model, tiles, sources, choices, client, enter }) {
  const { changed } = about;
  return {
    pick(arn) {
      localStorage.setItem(KEYS.watched, arn);
      enter(arn);
    },
    sound() {
      model.blocked = false;
      wakeMeters();
      tiles.unlock();
      changed();
    },
    again: about.again,
    dismiss() {
      model.note = null;
      changed();
    },
    choose(c, change) {
      choices.change(c.participant, change);
      changed();
      client.refresh();
    },
    add: sources.add,
    copy: sources.copy,
    revoke: sources.revoke,
    dress(look) {
      model.look = { ...model.look, ...look };
      localStorage.setItem(KEYS.look, JSON.stringify(model.look));
      changed();
    },
    connect(text, password) {
      const address = obsAddress(text);
      if (!address) return sources.note(t('scene.badAddress'), true);
      about.connect?.(address.url, password);
    },
    toBroadcast: () => about.toBroadcast?.(),
  };
}

/**
 * Creates the elements of the tab People.
 * @param {object} deps
 * @param {About} deps.about
 * @param {import('./views.js').Model} deps.model
 * @param {Tiles} deps.tiles
 * @param {ReturnType<typeof createChat>} deps.chat
 * @param {ReturnType<typeof createChoices>} deps.choices
 * @param {{readonly present: Participant[]}} deps.roster
 * @param {import('./views.js').Actions} deps.actions
 */
function createScreen({ about, model, tiles, chat, choices, roster, actions }) {
  const guests = new Guests({
    changed: about.changed,
    stage: () => model.stage,
    moderates: () => ['operator', 'moderator'].includes(model.me.role),
  });
  let atEnd = true; // whether the chat is scrolled to its end
  return {
    view() {
      const messages = document.getElementById('messages');
      // A hidden chat has no height, and keeps its scroll position.
      if (messages?.clientHeight)
        atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 40;
      model.obs = about.obs.status;
      model.crowded = crowded(roster.present, model.me.id, choices.now, narrow.matches);
      model.cards = cards(
        roster.present,
        model.me.id,
        choices.now,
        model.crowded ? 'small' : 'normal',
      );
      model.audience = audience(roster.present, model.me.id);
      tiles.follow(model.cards);
      return [
        toolbar(model, actions),
        ...notices(model, actions),
        h(
          'div',
          { className: 'two', key: 'two' },
          peopleView(model, actions, (id) => tiles.get(id)),
          model.stage &&
            h(
              'div',
              { className: 'side', key: 'side' },
              chatView(chat, model.me.id),
              sourcesView(model, actions),
              guests.view(roster.present.filter((p) => p.guest)),
            ),
        ),
      ];
    },
    drawn() {
      tiles.mount();
      if (atEnd) document.getElementById('messages')?.scrollTo(0, 1e9);
    },
  };
}

/**
 * @param {AbortSignal} signal
 * @param {import('./views.js').Model} model
 * @param {{join: () => void, leave: () => void}} client
 * @param {Tiles} tiles
 * @param {() => void} changed
 */
function listenToPage(signal, model, client, tiles, changed) {
  narrow.addEventListener('change', changed, { signal });
  const metering = setInterval(() => tiles.measure(model.blocked), METER_EVERY);
  signal.addEventListener('abort', () => clearInterval(metering));
  addEventListener('pagehide', () => client.leave(), { signal });
  // A page that the browser has kept for "Back" has left the stage, so it joins again.
  addEventListener(
    'pageshow',
    (e) => {
      if (e.persisted && model.stage) client.join();
    },
    { signal },
  );
  addEventListener(
    'online',
    () => {
      if (model.phase === 'lost') client.join();
    },
    { signal },
  );
}
