/** The operator's console. Each tab reads what it shows; the event stream changes rows and never redraws a list. */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { button, errorLine, errorText, header, page, say, signOut } from '../lib/page.js';
import { signedIn } from '../lib/signin.js';
import { t } from '../lib/strings.js';
import { createPeople } from './people.js';
import { createPrograms, createRecords, createTokens } from './records.js';
import { createRules } from './rules.js';
import { createStages } from './stages.js';

/** @typedef {typeof console} Console */

const DRAW_AFTER = 100; // milliseconds: changes that arrive together are drawn together

const state = {
  /** @type {import('../lib/types.js').Me | null} */ me: null,
  /** What waits for "yes, do it". */ asked: '',
  error: '', busy: false,
  /** Where the error belongs; '' for the top of the page. */ where: '',
  /** Makes a form that was sent empty again. */ sent: 0,
  /** Whether the event stream has said who is on the stages. */ connected: false,
  /** Who publishes on each stage. */ live: /** @type {Map<string, Set<string>>} */ (new Map()),
};

const console = { state, draw, act, asking, errorAt, failed };
const stages = createStages(console);

/** @type {Record<string, {load: () => Promise<void>, view: () => HTMLElement}>} */
const tabs = {
  stages, people: createPeople(console), tokens: createTokens(console), rules: createRules(console),
  records: createRecords(console), programs: createPrograms(console),
};

const tabOf = () => (location.hash.slice(1) in tabs ? location.hash.slice(1) : 'stages');

function draw() {
  const { me } = state;
  if (!me) return;
  const head = header(me, 'operator', { onSignOut: signOut });
  if (me.role !== 'operator') return page(head, h('main', { className: 'card' }, h('p', null, me.passkeyNeeded ? t('passkeys.needed') : t('op.denied'))));
  const here = tabOf();
  page(head, h('main', { className: 'columns' },
    h('h1', null, t('op.title')),
    h('nav', { className: 'row wrap places', 'aria-label': t('op.title'), key: 'places' }, ...Object.keys(tabs).map((tab) =>
      h('a', { href: `#${tab}`, key: tab, className: 'button', 'aria-current': tab === here && 'page' }, t(`op.tab.${tab}`)))),
    errorAt(''),
    tabs[here].view()));
}

/** @param {string} where */
function errorAt(where) {
  return state.where === where ? errorLine(state.error) : null;
}

/** Says why something failed, in the place where it was asked for. @param {unknown} err @param {string} where */
function failed(err, where) {
  state.error = errorText(err);
  state.where = where;
  draw();
  document.querySelector('.error')?.scrollIntoView({ block: 'nearest' });
}

/**
 * Does something on the server, then shows how things are.
 * @param {string} method @param {string} path @param {unknown} [body] @param {string} [where] it is shown if it fails
 * @returns {Promise<any>} undefined when it failed, which is shown
 */
async function act(method, path, body, where = '') {
  state.busy = true;
  state.asked = '';
  draw();
  try {
    const answer = await api(method, path, body);
    state.error = '';
    state.sent++;
    await tabs[tabOf()].load();
    say(t('op.saved'));
    return answer ?? true;
  } catch (err) {
    failed(err, where);
    return undefined;
  } finally {
    state.busy = false;
    draw();
  }
}

/**
 * A button that asks before it does: with a second one in its place, since a dialog box stops the whole of OBS.
 * @param {string} key @param {string} label @param {string} question @param {string} about @param {() => void} yes
 */
function asking(key, label, question, about, yes) {
  if (state.asked !== key) return button(label, () => { state.asked = key; draw(); }, { className: 'small', key, 'aria-label': `${label}: ${about}` });
  return h('div', { className: 'notice warning row wrap', role: 'alertdialog', 'aria-label': question, key },
    h('span', null, question), button(t('op.sure'), yes, { className: 'danger small' }), button(t('app.cancel'), () => { state.asked = ''; draw(); }, { className: 'small' }));
}

let timer = 0;

/** Draws soon: many stages change at once. */
function drawSoon() {
  timer ||= setTimeout(() => {
    timer = 0;
    draw();
  }, DRAW_AFTER);
}

function show() {
  Object.assign(state, { asked: '', error: '', where: '' });
  draw();
  void tabs[tabOf()].load();
}

void signedIn(async (me) => {
  state.me = me;
  draw();
  if (me.role !== 'operator') return;
  addEventListener('hashchange', show);
  show();
  listen({
    signedOut: () => location.reload(),
    event({ event, data }) {
      if (event !== 'presence' && event !== 'me') return;
      const first = !state.connected;
      state.connected = true;
      if (event === 'presence') state.live.set(data.stage, new Set(data.participants.filter((/** @type {any} */ p) => p.publishing).map((/** @type {any} */ p) => p.participantId)));
      const shown = event === 'presence' && stages.presence(data.stage, data.participants);
      if (tabOf() === 'tokens' || ((shown || first) && tabOf() === 'stages')) drawSoon();
    },
  });
}, 'operator');
