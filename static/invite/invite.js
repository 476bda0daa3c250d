/** The page on which an invited user chooses a password. */
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
  takeCode,
} from '../lib/page.js';
import { t } from '../lib/strings.js';

const code = takeCode();
/** @type {{name: string, busy: boolean, error?: string}} */
const state = { name: '', busy: false };

function draw() {
  const { name, busy, error } = state;
  page(
    header(null, 'invite'),
    h(
      'main',
      { className: 'card' },
      h('h1', null, t('invite.title')),
      name
        ? [
            h('p', null, t('invite.hello', { name })),
            form(
              { key: 'invite', submit: t('invite.go'), busy, error, onsubmit: accept },
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
              ...passwordFields(),
            ),
          ]
        : errorLine(error) || h('p', null, t('app.loading')),
    ),
  );
}

/** @param {Record<string, string>} data */
async function accept(data) {
  const { password, error } = chosenPassword(data);
  Object.assign(state, { busy: !error, error });
  draw();
  if (error) return;
  try {
    await api('POST', 'api/invite', { code, password });
    location.replace(href(''));
  } catch (err) {
    Object.assign(state, { busy: false, error: errorText(err) });
    draw();
  }
}

async function start() {
  await prepare();
  draw();
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
