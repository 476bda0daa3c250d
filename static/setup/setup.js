/** The first page of all: makes the operator, by the one-time link that the server printed. */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { chosenPassword, errorText, field, form, header, href, page, passwordFields, prepare, takeCode } from '../lib/page.js';
import { t } from '../lib/strings.js';

const code = takeCode();
/** @type {{busy: boolean, error?: string}} */
const state = { busy: false };

function draw() {
  page(header(null, 'setup'), h('main', { className: 'card' },
    h('h1', null, t('setup.title')),
    code
      ? [h('p', null, t('setup.lead')), form({ key: 'setup', submit: t('setup.go'), ...state, onsubmit: setUp },
        field(t('sign.name'), { name: 'name', autocomplete: 'username', required: true, maxLength: 128 }),
        ...passwordFields())]
      : h('p', { className: 'error' }, t('setup.noCode'))));
}

/** @param {Record<string, string>} data */
async function setUp(data) {
  const { password, error } = chosenPassword(data);
  Object.assign(state, { busy: !error, error });
  draw();
  if (error) return;
  try {
    await api('POST', 'api/setup', { code, name: data.name, password });
    location.replace(href('operator'));
  } catch (err) {
    Object.assign(state, { busy: false, error: errorText(err) });
    draw();
  }
}

void prepare().then(draw);
