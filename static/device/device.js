/** Approves the device code of a dock. The dock is then signed in as the person who approved. */
import { agentName } from '../lib/agent.js';
import { api, ApiError } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { button, errorLine, errorText, field, form, header, page } from '../lib/page.js';
import { signedIn } from '../lib/signin.js';
import { t, time } from '../lib/strings.js';

/** @typedef {{userCode: string, agent: string, address: string, createdAt: string}} Request */

const CODE = 'stagedoor.userCode';

/**
 * The device code in the address of the QR picture. The tab stores it until the person decides,
 * because the fragment of the address is lost during a sign-in at the provider.
 */
function codeOfAddress() {
  const [code] = /^#[A-Za-z-]{1,20}$/.exec(location.hash) ?? [''];
  if (code) sessionStorage.setItem(CODE, code.slice(1));
  return sessionStorage.getItem(CODE) ?? '';
}

const state = {
  /** @type {import('../lib/types.js').Me | null} */ me: null,
  /** @type {Request | null} */ request: null,
  /** @type {'' | 'approved' | 'denied'} */ done: '',
  /** @type {string | undefined} */ error: undefined,
  busy: false,
  code: codeOfAddress(),
};

function draw() {
  const { me } = state;
  if (!me) return;
  page(
    header(me, 'device'),
    h(
      'main',
      { className: 'card' },
      h('h1', null, t('device.title')),
      state.done
        ? h('p', { className: 'notice good', role: 'status' }, t(`device.${state.done}`))
        : state.request
          ? asked(state.request, me)
          : enter(),
    ),
  );
}

const enter = () =>
  form(
    {
      key: 'code',
      submit: t('device.look'),
      busy: state.busy,
      error: state.error,
      onsubmit: ({ code }) => void look(code),
    },
    h('p', null, t('device.lead')),
    field(t('device.code'), {
      name: 'code',
      value: state.code,
      required: true,
      maxLength: 20,
      autocapitalize: 'characters',
      autofocus: true,
    }),
  );

/** @param {Request} request @param {import('../lib/types.js').Me} me */
const asked = (request, me) =>
  h(
    'section',
    { key: 'asked', className: 'asked' },
    h('p', null, t('device.asks', { name: me.name })),
    h('p', { className: 'code' }, request.userCode),
    h(
      'dl',
      { className: 'facts' },
      h('dt', null, t('device.agent')),
      h('dd', { title: request.agent }, agentName(request.agent)),
      h('dt', null, t('device.address')),
      h('dd', null, request.address),
      h('dt', null, t('device.since')),
      h('dd', null, time(request.createdAt)),
    ),
    h('p', { className: 'notice' }, t('device.compare')),
    errorLine(state.error),
    h(
      'div',
      { className: 'row' },
      button(t('device.approve'), () => void decide('approve', 'approved'), {
        className: 'primary',
        'aria-disabled': state.busy && 'true',
      }),
      button(t('device.deny'), () => void decide('deny', 'denied'), {
        'aria-disabled': state.busy && 'true',
      }),
    ),
  );

/** @param {() => Promise<void>} work */
async function busily(work) {
  if (state.busy) return;
  Object.assign(state, { busy: true, error: undefined });
  draw();
  try {
    await work();
  } catch (err) {
    failed(err);
  }
  state.busy = false;
  draw();
}

/**
 * Shows the form again if no dock shows the code that the person entered. The server answers a
 * wrong link with the same error, `bad_code`, so the page has its own sentence for this case.
 * @param {unknown} err
 */
function failed(err) {
  state.error = errorText(err);
  if (!(err instanceof ApiError && err.code === 'bad_code')) return;
  state.error = t('device.badCode');
  state.request = null;
  sessionStorage.removeItem(CODE);
}

/** @param {string} userCode */
const look = (userCode) =>
  busily(async () => {
    state.code = userCode;
    state.request = await api('POST', 'api/device/lookup', { userCode });
  });

/** @param {'approve' | 'deny'} act @param {'approved' | 'denied'} done */
const decide = (act, done) =>
  busily(async () => {
    await api('POST', `api/device/${act}`, { userCode: state.request?.userCode });
    state.done = done;
    sessionStorage.removeItem(CODE);
  });

void signedIn((me) => {
  state.me = me;
  draw();
  if (state.code) void look(state.code);
}, 'device');
