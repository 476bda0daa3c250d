/**
 * The page of a guest by link, who needs no account and no cookie. The guest enters a name, checks
 * camera and microphone, and joins the stage.
 */
import { api, ApiError } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { sleep } from '../lib/events.js';
import { errorText, header, page, prepare, say } from '../lib/page.js';
import { createClient } from '../lib/stage/client.js';
import { createPublishing } from '../lib/stage/publishing.js';
import { send } from '../lib/stage/send.js';
import { t } from '../lib/strings.js';
import { createDevices } from './devices.js';
import { createOthers } from './others.js';
import { previewView, endedView, onStageView, whyText } from './views.js';

/** Storage keys. With the stored values, a tab stays the same guest after a reload. */
const KEYS = Object.freeze({
  secret: 'stagedoor.guest',
  admission: 'stagedoor.guest.admission',
  name: 'stagedoor.guest.name',
});

/** Only users renew tokens. A guest keeps the first token. */
const NEVER = '9999-01-01T00:00:00Z';

/** @type {import('./views.js').Model} */
const model = {
  phase: 'loading',
  offer: null,
  name: localStorage.getItem(KEYS.name) ?? '',
  error: '',
  busy: false,
  publishing: null,
  muted: false,
  hidden: false,
  changed: '',
};
/** @type {import('../lib/stage/publishing.js').Admission | null} */
let admission = null;

const secret = (() => {
  const own = takeSecret();
  if (own && own !== sessionStorage.getItem(KEYS.secret)) {
    sessionStorage.removeItem(KEYS.admission);
    sessionStorage.setItem(KEYS.secret, own);
  }
  return own || (sessionStorage.getItem(KEYS.secret) ?? '');
})();

/** Removes the secret from the address, because guests may share their screens, and returns it. */
function takeSecret() {
  const own = location.hash.slice(1);
  if (!/^sdg_[\w-]+$/.test(own)) return '';
  history.replaceState(null, '', location.pathname);
  return own;
}

/** @type {import('../lib/types.js').Fetch} */
const bearer = (url, init = {}) =>
  fetch(url, {
    ...init,
    credentials: 'omit',
    headers: { ...init.headers, Authorization: `Bearer ${secret}` },
  });

const devices = createDevices({ changed: draw });
const others = createOthers({ changed: draw, fit: (id, lines) => client.fit(id, lines) });
const token = async () => /** @type {NonNullable<typeof admission>} */ (admission);
const publishing = createPublishing({
  token,
  stream: devices.stream,
  send: (about) => send({ ...about, receive: others.on }),
  changed(state) {
    model.publishing = state;
    if (state.phase === 'ended' && model.phase === 'stage') void reconsider(whyText(state.why));
    draw();
  },
});
const client = createClient({
  token: async () => ({ ...(await token()), expiresAt: NEVER }),
  wants: () => true,
  on: {
    ...others.on,
    state(phase, err) {
      if (phase === 'refused' || (phase === 'lost' && DONE.includes(err?.message)))
        void reconsider(whyText({ code: err?.message ?? '', detail: '' }));
    },
  },
});

/**
 * Codes after which the page does not join again by itself. It asks the server whether the guest
 * was removed or has another role.
 */
const DONE = Object.freeze([
  'PARTICIPANT_DISCONNECTED',
  'TOKEN_REVOKED',
  'TOKEN_EXPIRED',
  'STAGE_DELETED',
  'kicked',
  'token_revoked',
  'token_expired',
]);

/** Milliseconds until the page asks again, if the server did not answer. */
const ASK_AGAIN = 2000;

const local = () => admission?.stage.split(':')[3] === 'local';
const publishes = () => model.offer?.role === 'publish';

function draw() {
  const view = { loading: loadingView, preview: previewView, stage: onStageView, ended: endedView }[
    model.phase
  ];
  page(header(null, 'guest'), ...view(model, actions, devices, others));
  devices.mount();
  if (model.phase === 'stage') others.mount();
}

const loadingView = () => [h('main', { className: 'card' }, h('p', null, t('app.loading')))];

/** @type {import('./views.js').Actions} */
const actions = {
  check: () => void devices.open(),
  choose: (kind, id) => void devices.choose(kind, id),
  async join(name) {
    if (model.busy) return;
    if (admission) return enter(); // this guest has used the link already
    Object.assign(model, { busy: true, error: '', name });
    localStorage.setItem(KEYS.name, name);
    draw();
    try {
      admission = await api('POST', 'api/guest', { name }, { fetch: bearer });
      sessionStorage.setItem(KEYS.admission, JSON.stringify(admission));
      enter();
    } catch (err) {
      model.error = errorText(err);
    }
    model.busy = false;
    draw();
  },
  mute() {
    model.muted = !model.muted;
    devices.enable('audio', !model.muted);
    draw();
  },
  hide() {
    model.hidden = !model.hidden;
    devices.enable('video', !model.hidden);
    draw();
  },
  leave() {
    sessionStorage.removeItem(KEYS.admission);
    end(t('guest.left'));
  },
  again: () => location.reload(),
};

function enter() {
  model.phase = 'stage';
  say(t('guest.on', { stage: model.offer?.stageName ?? '' }));
  if (publishes()) publishing.start();
  // Amazon's SDK sends and receives in one session, which send.js opens.
  if (local() || !publishes()) client.join();
  draw();
}

let asking = false;

/**
 * Called when the sessions have ended. Finds out whether the guest was removed, or a moderator
 * changed the guest's role.
 * @param {string} why
 */
async function reconsider(why) {
  if (asking || model.phase !== 'stage' || !admission) return;
  asking = true;
  stop();
  const role = await roleNow(admission.token);
  asking = false;
  if (!role || !model.offer || role === model.offer.role) return end(why);
  model.offer = { ...model.offer, role };
  if (role === 'view') {
    devices.close();
    model.publishing = null;
    enter();
  } else {
    model.phase = 'preview'; // first, the guest checks camera and microphone
  }
  model.changed = t(`guest.now.${role}`);
  say(model.changed);
  draw();
}

/**
 * Asks until the server answers, or the guest leaves.
 * @param {string} bearer
 * @returns {Promise<import('../types.js').GuestInvitation['role'] | null>} null if the guest was
 *   removed from the stage, or has left it
 */
async function roleNow(bearer) {
  while (model.phase === 'stage') {
    try {
      const self = await api('GET', 'api/guest/self', undefined, {
        fetch: (url, init = {}) =>
          fetch(url, {
            ...init,
            credentials: 'omit',
            headers: { Authorization: `Bearer ${bearer}` },
          }),
      });
      return self.capabilities.includes('publish') ? 'publish' : 'view';
    } catch (err) {
      if (!(err instanceof ApiError) || !err.temporary) return null;
    }
    await sleep(ASK_AGAIN);
  }
  return null;
}

/** @param {string} why */
function end(why) {
  if (model.phase === 'ended') return;
  Object.assign(model, { phase: 'ended', error: why });
  sessionStorage.removeItem(KEYS.admission);
  stop();
  devices.close();
  say(why);
  draw();
}

function stop() {
  publishing.stop();
  client.leave();
  others.clear();
}

async function start() {
  await prepare();
  document.title = `${t('guest.title')} – ${t('app')}`;
  addEventListener('pagehide', stop);
  addEventListener('pageshow', (e) => {
    if (e.persisted) location.reload();
  });
  addEventListener('hashchange', () => location.reload()); // another link, opened in the same tab
  draw();
  try {
    model.offer = await api('GET', 'api/guest', undefined, { fetch: bearer });
    model.phase = 'preview';
    resume();
  } catch (err) {
    Object.assign(model, {
      phase: 'ended',
      error: secret || !(err instanceof ApiError) ? errorText(err) : t('guest.noLink'),
    });
  }
  draw();
}

/**
 * Called when the page starts. After a reload, the tab may still have a valid token. With it, a
 * guest who only watches joins at once, and any other guest checks camera and microphone first.
 */
function resume() {
  const kept = JSON.parse(sessionStorage.getItem(KEYS.admission) ?? 'null');
  if (!kept || Date.parse(kept.expiresAt) <= Date.now()) return;
  admission = kept;
  if (!publishes()) enter();
}

void start();
