/**
 * The page on which an invited user chooses a password. Where passwords are switched off, the link
 * signs the user in once, to add a passkey.
 */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import {
  chosenPassword,
  errorLine,
  errorText,
  field,
  form,
  header,
  href,
  page,
  passwordFields,
  prepare,
  signInWays,
  takeCode,
} from '../lib/page.js';
import { passkeysUsable } from '../lib/signin-views.js';
import { providerButton } from '../lib/signin-views.js';
import { t } from '../lib/strings.js';

const code = takeCode();
const state = {
  name: '',
  busy: false,
  /** @type {string | undefined} */ error: undefined,
  /** @type {import('../types').SignInWays} */ ways: { passwords: true, codes: false },
};

function draw() {
  page(
    header(null, 'invite'),
    h(
      'main',
      { className: 'card' },
      h('h1', null, t('invite.title')),
      ...(isGood() ? accepting() : []),
      byProvider(),
    ),
  );
}

/** Whether the link is of use: to choose a password, or to sign in once and add a passkey. */
function isGood() {
  const { passwords, passkeys, provider } = state.ways;
  return passwords || passkeysUsable(passkeys) || !provider;
}

function accepting() {
  const { name, busy, error, ways } = state;
  if (!name) return [errorLine(error) || h('p', null, t('app.loading'))];
  return [
    h('p', null, t(ways.passwords ? 'invite.hello' : 'invite.helloOnce', { name })),
    form(
      {
        key: 'invite',
        submit: t(ways.passwords ? 'invite.go' : 'invite.once'),
        busy,
        error,
        onsubmit: accept,
      },
      // Hidden: password managers read the user's name from it.
      h(
        'div',
        { className: 'unseen' },
        field(t('sign.name'), {
          name: 'name',
          autocomplete: 'username',
          value: name,
          readOnly: true,
          tabIndex: -1,
        }),
      ),
      ...(ways.passwords ? passwordFields() : []),
    ),
  ];
}

/** The sign-in service, where it is the usual way to sign in. */
function byProvider() {
  const { passwords, provider } = state.ways;
  if (passwords || !provider) return null;
  return h(
    'section',
    { className: 'ways', key: 'provider' },
    h('p', null, t('invite.byProvider')),
    providerButton(provider, !isGood(), '/'),
  );
}

/** A password that nobody knows, and that the server does not accept at a sign-in. */
const unknownPassword = () => ({
  password: [...crypto.getRandomValues(new Uint8Array(24))]
    .map((b) => b.toString(16).padStart(2, '0'))
    .join(''),
  error: undefined,
});

/** @param {Record<string, string>} data */
async function accept(data) {
  const { passwords } = state.ways;
  const { password, error } = passwords ? chosenPassword(data) : unknownPassword();
  Object.assign(state, { busy: !error, error });
  draw();
  if (error) return;
  try {
    await api('POST', 'api/invite', { code, password });
    location.replace(href(passwords ? '' : 'account'));
  } catch (err) {
    Object.assign(state, { busy: false, error: errorText(err) });
    draw();
  }
}

async function start() {
  await prepare();
  draw();
  state.ways = await signInWays();
  if (!code) state.error = t('invite.noCode');
  else {
    try {
      state.name = (await api('POST', 'api/invite/name', { code })).name;
    } catch (err) {
      state.error = errorText(err);
    }
  }
  draw();
}

void start();
