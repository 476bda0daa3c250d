/** The account page: the script for OBS; the user's password, passkeys, logins, keys and tokens. */
import { agentName } from '../lib/agent.js';
import { api } from '../lib/api.js';
import { barsView } from '../lib/bars.js';
import { checkbox } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import {
  button,
  chosenPassword,
  copyField,
  errorLine,
  errorText,
  field,
  form,
  header,
  page,
  passwordFields,
  signedOut,
} from '../lib/page.js';
import { connectView } from '../lib/pairing.js';
import { signedIn } from '../lib/signin.js';
import { createPasskeys } from './passkeys.js';
import { t, time } from '../lib/strings.js';
import { tokenItem } from '../operator/tokens.js';

/** @typedef {{id: string, name: string, createdAt: string, lastUsedAt?: string}} Key */

const state = {
  /** @type {import('../lib/types.js').Me | null} */ me: null,
  /** @type {import('../types').Login[]} */ logins: [],
  /** @type {Key[]} */ keys: [],
  /** @type {import('../lib/types.js').Issued[]} */ tokens: [],
  made: '',
  changed: false,
  /** The key of the open question, or ''. */ asked: '',
  /** @type {string | undefined} */ error: undefined,
  /** @type {{busy: boolean, error?: string}} */ password: { busy: false },
  /** @type {{busy: boolean, error?: string}} */ key: { busy: false },
};

/** The participants who publish on each stage. @type {Map<string, string[]>} */
const live = new Map();

const passkeys = createPasskeys({ draw: () => draw() });

function draw() {
  const { me } = state;
  if (!me) return;
  page(
    header(me, 'account'),
    h(
      'main',
      { className: 'columns' },
      h('h1', null, t('account.title')),
      h('p', null, t('account.signedInAs', { name: me.name, role: t(`account.role.${me.role}`) })),
      errorLine(state.error),
      barsView(me.bars),
      obsCard(),
      me.hasPassword && passwordCard(),
      passkeys.view(me.passkeyNeeded ?? false),
      loginsCard(),
      keysCard(),
      tokensCard(),
    ),
  );
}

const obsCard = () =>
  h(
    'section',
    { className: 'card', key: 'obs' },
    h('h2', null, t('pair.title')),
    ...connectView(state.me ?? {}),
  );

function passwordCard() {
  return h(
    'section',
    { className: 'card', key: 'password' },
    h('h2', null, t('account.password')),
    state.changed && h('p', { className: 'notice good', role: 'status' }, t('account.changed')),
    form(
      {
        key: `password-${state.changed}`,
        submit: t('account.change'),
        ...state.password,
        onsubmit: changePassword,
      },
      h(
        'div',
        { className: 'unseen' },
        field(t('sign.name'), {
          name: 'name',
          autocomplete: 'username',
          value: state.me?.name,
          readOnly: true,
          tabIndex: -1,
        }),
      ),
      field(t('account.current'), {
        name: 'current',
        type: 'password',
        autocomplete: 'current-password',
        required: true,
      }),
      ...passwordFields(),
      checkbox(t('account.endKeys'), { name: 'endKeys' }),
    ),
  );
}

/** @param {Record<string, string>} data */
async function changePassword(data) {
  const { password, error } = chosenPassword(data);
  state.password = { busy: !error, error };
  state.changed = false;
  draw();
  if (error) return;
  try {
    await api('POST', 'api/password', {
      current: data.current,
      new: password,
      endKeys: data.endKeys === 'on',
    });
    if (data.endKeys) await load();
    state.changed = true;
    state.password = { busy: false };
  } catch (err) {
    state.password = { busy: false, error: errorText(err) };
  }
  draw();
}

function loginsCard() {
  return h(
    'section',
    { className: 'card', key: 'logins' },
    h('h2', null, t('account.logins')),
    h('ul', { className: 'list', key: 'list' }, ...state.logins.map(loginItem)),
    h('p', { className: 'hint', key: 'hint' }, t('account.everywhere')),
    asking(
      'everywhere',
      t('account.signOutAll'),
      t('account.sureSignOutAll'),
      '',
      () => void signOutEverywhere(),
    ),
  );
}

/** @param {import('../types').Login} login */
const loginItem = (login) =>
  h(
    'li',
    { className: 'item', key: login.id },
    h(
      'div',
      { className: 'head' },
      h('b', { title: login.agent }, agentName(login.agent)),
      login.current && h('span', { className: 'tag good' }, t('account.thisLogin')),
    ),
    h(
      'p',
      { className: 'hint' },
      t('account.loginUsed', {
        address: login.address,
        made: time(login.createdAt),
        used: time(login.lastUsedAt),
      }),
    ),
    !login.current &&
      button(
        t('menu.signOut'),
        () => void change('DELETE', `api/logins/${encodeURIComponent(login.id)}`),
        {
          className: 'small',
          'aria-label': `${t('menu.signOut')}: ${agentName(login.agent)}, ${login.address}`,
        },
      ),
  );

/**
 * A button that asks for confirmation by a second button in its place, because a dialog box would
 * block OBS.
 * @type {import('../operator/tokens.js').Asking}
 */
function asking(key, label, question, about, yes) {
  const ask = (/** @type {string} */ what) => {
    state.asked = what;
    draw();
  };
  if (state.asked !== key)
    return button(label, () => ask(key), {
      className: 'small',
      key,
      'aria-label': about ? `${label}: ${about}` : undefined,
    });
  return h(
    'div',
    { className: 'notice warning row wrap', role: 'alertdialog', 'aria-label': question, key },
    h('span', null, question),
    button(
      t('op.sure'),
      () => {
        ask('');
        yes();
      },
      { className: 'danger small' },
    ),
    button(t('app.cancel'), () => ask(''), { className: 'small' }),
  );
}

async function signOutEverywhere() {
  try {
    await api('DELETE', 'api/logins');
    location.reload();
  } catch (err) {
    state.error = errorText(err);
    draw();
  }
}

function keysCard() {
  return h(
    'section',
    { className: 'card', key: 'keys' },
    h('h2', null, t('account.keys')),
    h('p', { className: 'hint' }, t('account.keysLead')),
    state.made &&
      h(
        'div',
        { className: 'notice good', key: 'made' },
        h('p', null, t('account.keyOnce')),
        copyField({ key: 'key', label: t('account.keys'), text: state.made }),
      ),
    h(
      'ul',
      { className: 'list' },
      ...state.keys.map((k) =>
        h(
          'li',
          { className: 'item', key: k.id },
          h(
            'div',
            { className: 'head' },
            h('b', { dir: 'auto' }, k.name),
            h(
              'span',
              { className: 'hint' },
              k.lastUsedAt
                ? t('account.keyUsed', { made: time(k.createdAt), used: time(k.lastUsedAt) })
                : t('account.keyNever', { made: time(k.createdAt) }),
            ),
          ),
          button(
            t('account.keyRevoke'),
            () => void change('DELETE', `api/keys/${encodeURIComponent(k.id)}`),
            { className: 'small', 'aria-label': `${t('account.keyRevoke')}: ${k.name}` },
          ),
        ),
      ),
    ),
    state.keys.length === 0 && h('p', { className: 'hint', key: 'none' }, t('account.noKeys')),
    form(
      {
        key: `key-${state.keys.length}`,
        submit: t('account.keyMake'),
        ...state.key,
        onsubmit: makeKey,
        className: 'inline',
      },
      field(t('account.keyName'), { name: 'keyName', required: true }),
    ),
  );
}

/** @param {Record<string, string>} data */
async function makeKey({ keyName }) {
  state.key = { busy: true };
  draw();
  try {
    state.made = (await api('POST', 'api/keys', { name: keyName })).key;
    state.key = { busy: false };
    await load();
  } catch (err) {
    state.key = { busy: false, error: errorText(err) };
  }
  draw();
}

function tokensCard() {
  const stages = new Map(state.me?.stages.map((s) => [s.arn, s.name]));
  return h(
    'section',
    { className: 'card', key: 'tokens' },
    h('h2', null, t('account.tokens')),
    state.tokens.length === 0 && h('p', { className: 'hint' }, t('op.noTokens')),
    h(
      'ul',
      { className: 'list' },
      ...state.tokens.map((k) =>
        tokenItem(
          k,
          stages.get(k.stage) ?? k.stage,
          '',
          (id) => void change('DELETE', `api/tokens/${encodeURIComponent(id)}`),
          { live: isLive(k.participantId), asking },
        ),
      ),
    ),
  );
}

/** @param {string} id */
const isLive = (id) => [...live.values()].some((ids) => ids.includes(id));

/** @param {string} method @param {string} path */
async function change(method, path) {
  try {
    await api(method, path);
    state.error = undefined;
    await load();
  } catch (err) {
    state.error = errorText(err);
  }
  draw();
}

async function load() {
  const [logins, keys, tokens] = await Promise.all(
    ['api/logins', 'api/keys', 'api/tokens'].map((path) => api('GET', path)),
  );
  state.logins = logins.logins;
  await passkeys.load();
  state.keys = keys.keys;
  state.tokens = tokens.tokens;
}

void signedIn(async (me) => {
  state.me = me;
  draw();
  try {
    await load();
  } catch (err) {
    state.error = errorText(err);
  }
  draw();
  listen({
    signedOut,
    event({ event, data }) {
      if (event === 'me') {
        state.me = data;
        draw();
      }
      if (event !== 'presence') return;
      live.set(
        data.stage,
        data.participants
          .filter((/** @type {import('../lib/types.js').Presence} */ p) => p.publishing)
          .map((/** @type {import('../lib/types.js').Presence} */ p) => p.participantId),
      );
      draw();
    },
  });
}, 'account');
