/** The page for the one-time link that the server prints. It creates the first operator. */
import { api, ApiError } from '../lib/api.js';
import { h } from '../lib/dom.js';
import {
  chosenPassword,
  errorText,
  field,
  form,
  header,
  href,
  page,
  passwordFields,
  prepare,
  takeCode,
} from '../lib/page.js';
import { providerButton } from '../lib/signin-views.js';
import { t } from '../lib/strings.js';

const code = takeCode();
/**
 * `refused` is the reason why the link does not work. `provider` is the name of the sign-in service
 * with which the operator signs in if passwords are switched off.
 * @type {{busy: boolean, checked: boolean, error?: string, refused?: string, provider?: string}}
 */
const state = { busy: false, checked: false };

function draw() {
  page(
    header(null, 'setup'),
    h(
      'main',
      { className: 'card' },
      h('h1', null, t('setup.title')),
      ...(state.checked ? checked() : [h('p', { className: 'hint' }, t('setup.checking'))]),
    ),
  );
}

function checked() {
  const { busy, error, refused, provider } = state;
  if (provider)
    return [
      h('p', { className: 'notice' }, t('setup.byProvider')),
      providerButton(provider, true, '/'),
    ];
  if (refused) return [h('p', { className: 'error' }, refused), h('p', null, t('setup.again'))];
  return [
    h('p', null, t('setup.lead')),
    form(
      { key: 'setup', submit: t('setup.go'), busy, error, onsubmit: setUp },
      field(t('sign.name'), {
        name: 'name',
        autocomplete: 'username',
        required: true,
        autofocus: true,
      }),
      ...passwordFields(),
    ),
  ];
}

/** Checks the code first, before the person chooses a password. */
async function start() {
  await prepare();
  draw();
  try {
    if (code) await api('POST', 'api/setup/check', { code });
    else state.refused = t('setup.noCode');
  } catch (err) {
    state.refused = t('setup.badLink', { reason: errorText(err) });
    if (err instanceof ApiError && err.code === 'no_passwords') await findProvider();
  }
  state.checked = true;
  draw();
}

async function findProvider() {
  try {
    state.provider = (await api('GET', 'api/sign-in')).provider;
  } catch {
    // the page says why the link does not work
  }
}

/** @param {Record<string, string>} data */
async function setUp(data) {
  const { password, error } = chosenPassword(data);
  Object.assign(state, { busy: !error, error });
  draw();
  if (error) return;
  try {
    await api('POST', 'api/setup', { code, name: data.name, password });
    location.replace(href(''));
  } catch (err) {
    Object.assign(state, { busy: false, error: errorText(err) });
    draw();
  }
}

void start();
