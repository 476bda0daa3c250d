/** Signing in: name and password, a provider, a code, a dock link. */
import { api, ApiError, base } from './api.js';
import { h } from './dom.js';
import {
  button,
  DOCKS,
  errorLine,
  errorText,
  field,
  form,
  header,
  page,
  prepare,
  whoAmI,
} from './page.js';
import { signInWithPasskey, usable } from './passkeys.js';
import { has, t } from './strings.js';

/** @typedef {import('./dom.js').Child} Child */
/** @typedef {import('./types.js').Me} Me */
/**
 * @typedef {{passwords: boolean, setUp?: boolean, provider?: string, codes: boolean, passkeys?:
 *   string}} Ways
 */
/**
 * @typedef {{deviceCode: string, userCode: string, verificationUri: string,
 *   verificationUriComplete: string, qr: string, expiresIn: number, interval: number}} Code
 */

/**
 * Takes a value out of the address's fragment, so that neither the history nor a screenshot keeps
 * it.
 * @param {string} name
 * @returns {string}
 */
export function takeFragment(name) {
  const url = new URL(location.href);
  const values = new URLSearchParams(url.hash.slice(1));
  const value = values.get(name) ?? '';
  if (value) {
    values.delete(name);
    url.hash = [...values].length > 0 ? values.toString() : '';
    history.replaceState(null, '', url);
  }
  return value;
}

let enrolment = '';

/**
 * Signs in with the code of a dock link, where the address has one.
 * @returns {Promise<Me | null>}
 */
export async function enrol() {
  enrolment ||= takeFragment('enrol');
  if (!enrolment) return null;
  try {
    const me = await api('POST', 'api/enrol', { code: enrolment });
    enrolment = '';
    return me;
  } catch (err) {
    if (err instanceof ApiError) enrolment = ''; // refused; without an answer it is tried again
    throw err;
  }
}

/** @param {string} code of a sign-in that the provider or the server refused */
const failure = (code) => t(has(`ways.failed.${code}`) ? `ways.failed.${code}` : 'ways.failed');

/**
 * @param {{inDock: boolean, draw: () => void, arrived: (me: Me) => void}} about
 */
export function createWays({ inDock, draw, arrived }) {
  /** @type {{ways: Ways, code: Code | null, busy: boolean, error?: string, timer: number}} */
  const state = {
    ways: { passwords: true, codes: false },
    code: null,
    busy: false,
    error: undefined,
    timer: 0,
  };

  async function load() {
    const failed = takeFragment('sign-in');
    if (failed) state.error = failure(failed);
    try {
      state.ways = await api('GET', 'api/sign-in');
    } catch {
      // name and password stay
    }
    draw();
  }

  async function begin() {
    if (state.busy) return;
    Object.assign(state, { busy: true, error: undefined });
    draw();
    try {
      state.code = await api('POST', 'api/device');
      later(/** @type {Code} */ (state.code));
    } catch (err) {
      state.error = errorText(err);
    }
    state.busy = false;
    draw();
  }

  /** @param {Code} code */
  const later = (code) => {
    state.timer = setTimeout(() => void poll(code), code.interval * 1000);
  };

  /** Asks whether the code was approved, until it was decided. @param {Code} code */
  async function poll(code) {
    if (code !== state.code) return;
    try {
      const me = await api('POST', 'api/device/token', { deviceCode: code.deviceCode });
      stop();
      return arrived(me);
    } catch (err) {
      const goesOn =
        !(err instanceof ApiError) || err.code === 'authorization_pending' || err.status >= 500;
      if (goesOn) return later(code); // also while the network is away
      Object.assign(state, { code: null, error: errorText(err) });
      draw();
    }
  }

  function stop() {
    clearTimeout(state.timer);
    Object.assign(state, { code: null, error: undefined });
  }

  return {
    load,
    stop,
    // While a code waits, there is one thing to do.
    passwords: () => state.ways.passwords && !state.code,
    noOperator: () => state.ways.setUp === true,
    /** What stands above or below the form for name and password. @returns {Child} */
    view: () =>
      waysView(state, {
        inDock,
        begin: () => void begin(),
        passkey: () => void byPasskey(state, { draw, arrived }),
        again: () => {
          stop();
          void begin();
        },
        cancel: () => {
          stop();
          draw();
        },
      }),
  };
}

/**
 * @param {{busy: boolean, error?: string}} state
 * @param {{draw: () => void, arrived: (me: Me) => void}} about
 */
async function byPasskey(state, { draw, arrived }) {
  if (state.busy) return;
  Object.assign(state, { busy: true, error: undefined });
  draw();
  try {
    const me = await signInWithPasskey();
    state.busy = false;
    arrived(me);
  } catch (err) {
    Object.assign(state, { busy: false, error: errorText(err) });
    draw();
  }
}

/**
 * @param {{ways: Ways, code: Code | null, busy: boolean, error?: string}} state
 * @param {{inDock: boolean, begin: () => void, passkey: () => void, again: () => void, cancel: ()
 *   => void}} about
 */
function waysView({ ways, code, busy, error }, { inDock, begin, passkey, again, cancel }) {
  if (code) return codeView(code, again, cancel);
  const provider =
    ways.provider &&
    h(
      'a',
      {
        className: inDock ? 'button' : 'button primary',
        key: 'provider',
        href: new URL(`api/oidc/login?next=${encodeURIComponent(location.pathname)}`, base).href,
      },
      t('ways.provider', { name: ways.provider }),
    );
  const codes =
    ways.codes &&
    button(t('ways.code'), begin, {
      key: 'begin',
      className: inDock && ways.provider ? 'primary' : '',
      'aria-disabled': busy && 'true',
    });
  const key =
    usable(ways.passkeys) &&
    button(t('ways.passkey'), passkey, { key: 'passkey', 'aria-disabled': busy && 'true' });
  return h(
    'section',
    { className: 'ways', key: 'ways' },
    errorLine(error),
    ...(inDock ? [codes, provider] : [provider, key, codes]),
    inDock && ways.provider && h('p', { className: 'hint', key: 'embedded' }, t('ways.embedded')),
    ways.passwords &&
      (ways.provider || ways.codes) &&
      h('p', { className: 'or', key: 'or' }, t('ways.or')),
  );
}

/** @param {Code} code @param {() => void} again @param {() => void} cancel */
const codeView = (code, again, cancel) =>
  h(
    'section',
    { className: 'ways', key: 'code' },
    h('p', null, t('ways.codeLead')),
    h('p', { className: 'code', role: 'status' }, code.userCode),
    h(
      'p',
      null,
      h(
        'a',
        { href: code.verificationUri, target: '_blank', rel: 'noopener' },
        code.verificationUri,
      ),
    ),
    h('img', { className: 'qr', src: code.qr, alt: t('ways.qr'), width: 132, height: 132 }),
    h('p', { className: 'hint' }, t('ways.codeWait')),
    h(
      'div',
      { className: 'row' },
      button(t('ways.codeNew'), again, { className: 'small' }),
      button(t('app.cancel'), cancel, { className: 'small' }),
    ),
  );

/**
 * Signing in, for every page that needs it. ways are those of lib/signin.js.
 * @param {{error?: string, notice?: string, busy: boolean, onsubmit: (name: string, password:
 *   string) => void, ways: {view: () => Child, passwords: () => boolean, noOperator?: () =>
 *   boolean}}} about
 */
export function signInView({ error, notice, busy, onsubmit, ways }) {
  if (ways.noOperator?.()) {
    return h(
      'main',
      { className: 'card', key: 'no-operator' },
      h('h1', null, t('app')),
      h('p', { className: 'notice' }, t('sign.noOperator')),
    );
  }
  return h(
    'main',
    { className: 'card', key: 'sign-in' },
    h('h1', null, t('sign.title')),
    notice && h('p', { className: 'notice' }, notice),
    ways.view(),
    ways.passwords() &&
      form(
        {
          key: 'sign',
          submit: t('sign.in'),
          busy,
          error,
          onsubmit: (d) => onsubmit(d.name, d.password),
        },
        field(t('sign.name'), {
          name: 'name',
          autocomplete: 'username',
          required: true,
          maxLength: 128,
        }),
        field(t('sign.password'), {
          name: 'password',
          type: 'password',
          autocomplete: 'current-password',
          required: true,
        }),
      ),
    ways.passwords() && h('p', { className: 'hint', key: 'forgot' }, t('sign.forgot')),
  );
}

/**
 * Asks for a login where there is none, and then calls ready.
 * @param {(me: Me) => void} ready @param {string} here
 */
export async function signedIn(ready, here) {
  await prepare();
  /** @type {{error?: string, busy: boolean}} */
  const state = { busy: false };
  const ways = createWays({
    inDock: DOCKS.includes(here),
    draw: () => draw(),
    arrived: (me) => ready(me),
  });
  const draw = () =>
    page(
      header(null, here),
      signInView({
        ...state,
        ways,
        async onsubmit(name, password) {
          Object.assign(state, { busy: true, error: undefined });
          draw();
          try {
            const me = await api('POST', 'api/login', { name, password });
            return ready(me);
          } catch (err) {
            Object.assign(state, { busy: false, error: errorText(err) });
            draw();
          }
        },
      }),
    );
  try {
    const me = await whoAmI();
    if (me) return ready(me);
    draw();
    await ways.load();
  } catch (err) {
    page(
      header(null, here),
      h(
        'main',
        { className: 'card' },
        errorLine(errorText(err)),
        button(t('app.again'), () => location.reload()),
      ),
    );
  }
}
