/**
 * The console. Each of its pages has its own address, which also contains the filters of a list.
 * The event stream changes rows, and never makes the console read a list again.
 */
import { api, base } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { button, errorLine, errorText, header, href, page, say, signedOut } from '../lib/page.js';
import { signedIn } from '../lib/signin.js';
import { t } from '../lib/strings.js';
import { keepFocus } from './focus.js';
import { createKeys } from './keys.js';
import { createLive } from './live.js';
import { createPeople } from './people.js';
import { createPerson } from './person.js';
import { createPrograms } from './programs.js';
import { createRecords } from './records.js';
import { createRules } from './rules.js';
import { createStages } from './stages.js';
import { createSystem } from './system.js';
import { createTokens } from './tokens.js';

/** @typedef {import('../lib/types.js').Me} Me */
/** @typedef {import('../lib/types.js').Presence} Presence */
/** @typedef {import('../lib/dom.js').Child} Child */
/**
 * A page of the console. `load` reads the data for the address. `presence` is called when the event
 * stream has reported the participants of a stage, and returns whether the page shows them.
 * @typedef {{load: (query: URLSearchParams) => Promise<void>, view: () => Child, presence?: (arn:
 *   string) => boolean, leave?: () => void}} Page
 */
/** @typedef {typeof console} Console */
/**
 * Describes a request that changes something: `done` is the sentence about what was done, or a
 * function that makes it from the answer; `where` is the place for an error.
 * @typedef {{done: string | ((answer: any) => string), where?: string, timeout?: number}} Deed
 */

const DRAW_AFTER = 250; // milliseconds to wait, so that changes are drawn together
const DONE_FOR = 8_000; // how many milliseconds the page shows what was done

const state = {
  /** @type {Me | null} */ me: null,
  /** The key of the open question, or ''. */ asked: '',
  error: '',
  /** The sentence about what was just done. */ done: '',
  busy: false,
  /** The place of the page where the error is shown; '' for the top. */ where: '',
  /** Counts sent forms: a new number empties a form. */ sent: 0,
  /** Whether the event stream has reported the participants of the stages. */ connected: false,
  /** The participants on each stage. @type {Map<string, Presence[]>} */ present: new Map(),
};

const console = {
  state,
  draw,
  act,
  did,
  ask,
  asking,
  confirmation,
  errorAt,
  failed,
  link,
  back,
  filterBy,
  stageName,
};

/** @type {Record<string, Page>} */
const pages = {
  live: createLive(console),
  stages: createStages(console),
  people: createPeople(console),
  person: createPerson(console),
  rules: createRules(console),
  tokens: createTokens(console),
  keys: createKeys(console),
  records: createRecords(console),
  programs: createPrograms(console),
  system: createSystem(console),
};

/**
 * The menu of each role, in order. A person's page is reached from other pages.
 * @type {Record<string, string[]>}
 */
const menus = {
  operator: [
    'live',
    'stages',
    'people',
    'rules',
    'tokens',
    'keys',
    'records',
    'programs',
    'system',
  ],
  moderator: ['live', 'records'],
};

const menu = () => menus[state.me?.role ?? ''] ?? [];

/** The page of the current address. */
function here() {
  const name = location.pathname.slice(base.pathname.length).split('/')[1] ?? '';
  return menu().includes(name) || (name === 'person' && menu().includes('people')) ? name : 'live';
}

/** @param {string} name @param {Record<string, string>} [query] */
function address(name, query = {}) {
  const url = new URL(`operator/${name}`, base);
  for (const [key, value] of Object.entries(query)) if (value) url.searchParams.set(key, value);
  return url.href;
}

/**
 * A link to a page of the console, which opens without loading everything again.
 * @param {string} name
 * @param {Record<string, string>} query
 * @param {Child} text
 * @param {Record<string, any>} [props]
 */
function link(name, query, text, props = {}) {
  const to = address(name, query);
  return h(
    'a',
    {
      href: to,
      key: to,
      ...props,
      onclick: (/** @type {MouseEvent} */ e) => {
        if (e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return;
        e.preventDefault();
        history.pushState({ inside: true }, '', to);
        show();
        scrollTo(0, 0);
      },
    },
    text,
  );
}

/**
 * Goes back to the page of the console that led here, or to a certain one if no page did.
 * @param {string} name
 */
function back(name) {
  if (history.state?.inside) return history.back();
  history.replaceState(null, '', address(name));
  show();
}

/** Stores the filters of a list in the address. @param {Record<string, string>} query */
function filterBy(query) {
  history.replaceState(null, '', address(here(), query));
}

/** @param {string} arn */
function stageName(arn) {
  return state.me?.stages.find((s) => s.arn === arn)?.name ?? arn.split('/').pop() ?? arn;
}

function draw() {
  const { me } = state;
  if (!me) return;
  const head = header(me, 'operator');
  if (menu().length === 0)
    return page(
      head,
      h(
        'main',
        { className: 'card' },
        h('p', null, t(me.passkeyNeeded ? 'passkeys.needed' : 'op.denied')),
        me.passkeyNeeded && h('a', { href: href('account') }, t('menu.account')),
      ),
    );
  const name = here();
  page(
    head,
    h(
      'div',
      { className: 'console', key: 'console' },
      h(
        'nav',
        { className: 'places', 'aria-label': t('op.title'), key: 'places' },
        ...menu().map((each) =>
          link(each, {}, t(`op.tab.${each}`), {
            'aria-current': (each === name || (each === 'people' && name === 'person')) && 'page',
          }),
        ),
      ),
      h(
        'main',
        { className: 'columns', key: name },
        errorAt(''),
        pages[name].view(),
        state.done && h('p', { className: 'notice good done', key: 'done' }, state.done),
      ),
    ),
  );
}

/** @param {string} where */
function errorAt(where) {
  return state.where === where ? errorLine(state.error) : null;
}

/**
 * Shows an error in the place where the action was started.
 * @param {unknown} err
 * @param {string} where
 */
function failed(err, where) {
  state.error = errorText(err);
  state.where = where;
  draw();
  document.querySelector('.error')?.scrollIntoView({ block: 'nearest' });
}

const query = () => new URLSearchParams(location.search);

/**
 * Sends a request that changes something, then reads the page's data again.
 * @param {string} method
 * @param {string} path
 * @param {unknown} body
 * @param {Deed} deed
 * @returns {Promise<any>} undefined after an error, which the page shows
 */
async function act(method, path, body, { done, where = '', ...options }) {
  const focus = keepFocus(state.asked);
  state.busy = true;
  state.asked = '';
  state.done = '';
  draw();
  try {
    const answer = await api(method, path, body, options);
    state.error = '';
    state.sent++;
    await pages[here()].load(query());
    did(typeof done === 'string' ? done : done(answer));
    return answer ?? true;
  } catch (err) {
    failed(err, where);
    return undefined;
  } finally {
    state.busy = false;
    draw();
    focus();
  }
}

let shownUntil = 0;

/** Shows what was done, and announces it to screen readers. @param {string} text */
function did(text) {
  state.done = text;
  say(text);
  clearTimeout(shownUntil);
  shownUntil = setTimeout(() => {
    state.done = '';
    draw();
  }, DONE_FOR);
}

/**
 * A button that asks for confirmation by a second button in its place, because a dialog box would
 * block OBS.
 * @param {string} key
 * @param {string} label
 * @param {string} question
 * @param {string} about
 * @param {() => void} yes
 */
function asking(key, label, question, about, yes) {
  if (state.asked === key) return confirmation(key, question, yes);
  return button(label, () => ask(key), {
    className: 'small',
    key,
    'aria-label': `${label}: ${about}`,
    'data-asks': key,
  });
}

/** Opens a question, and moves the focus to the button that confirms. @param {string} key */
function ask(key) {
  state.asked = key;
  draw();
  elementOf(key)?.querySelector('button')?.focus();
}

/** Closes the question, and moves the focus to the button that opened it. @param {string} key */
function answered(key) {
  state.asked = '';
  draw();
  elementOf(key)?.focus();
}

/** The button that asks a question, or the question. @param {string} key */
const elementOf = (key) =>
  /** @type {HTMLElement | null} */ (document.querySelector(`[data-asks="${CSS.escape(key)}"]`));

/** @param {string} key @param {string} question @param {() => void} yes */
function confirmation(key, question, yes) {
  return h(
    'div',
    {
      className: 'notice warning row wrap',
      role: 'alertdialog',
      'aria-label': question,
      'data-asks': key,
      key,
      onkeydown: (/** @type {KeyboardEvent} */ e) => {
        if (e.key === 'Escape') answered(key);
      },
    },
    h('span', null, question),
    button(t('op.sure'), yes, { className: 'danger small' }),
    button(t('app.cancel'), () => answered(key), { className: 'small' }),
  );
}

let timer = 0;

/** Draws after a short wait, because many stages may change at once. A hidden page is not drawn. */
function drawSoon() {
  if (document.hidden) return;
  timer ||= setTimeout(() => {
    timer = 0;
    draw();
  }, DRAW_AFTER);
}

let shown = '';

function show() {
  Object.assign(state, { asked: '', error: '', where: '' });
  if (shown && shown !== here()) pages[shown].leave?.();
  shown = here();
  draw();
  void pages[shown].load(query());
}

/** @param {import('../lib/events.js').ServerEvent} event */
function heard({ event, data }) {
  if (event === 'me') state.me = data;
  if (event !== 'presence' && event !== 'me') return;
  const first = !state.connected;
  state.connected = true;
  if (event === 'presence') {
    if (data.participants.length > 0) state.present.set(data.stage, data.participants);
    else state.present.delete(data.stage);
  }
  if (first || (event === 'presence' && pages[here()].presence?.(data.stage))) drawSoon();
}

void signedIn(async (me) => {
  state.me = me;
  draw();
  if (menu().length === 0) return;
  addEventListener('popstate', show);
  document.addEventListener('visibilitychange', drawSoon);
  history.replaceState(null, '', address(here(), Object.fromEntries(query())));
  show();
  listen({ signedOut, event: heard });
}, 'operator');
