/** The views for signing in. lib/signin.js has the logic. */
import { base } from './api.js';
import { h } from './dom.js';
import { button, errorLine, field, form } from './page.js';
import { t } from './strings.js';

/** @typedef {import('./dom.js').Child} Child */
/** @typedef {import('../types').SignInWays} SignInWays */
/** @typedef {import('../types').DeviceCode} Code */
/**
 * @typedef {object} Ways
 * @property {SignInWays} offered
 * @property {Code | null} code
 * @property {boolean} inDock
 * @property {boolean} busy
 * @property {string} [error]
 */
/** @typedef {Record<'begin' | 'passkey' | 'again' | 'cancel', () => void>} Acts */

/**
 * The provider's button. The sign-in returns to the page `next`.
 * @param {string} name @param {boolean} first whether it is the first choice @param {string} [next]
 */
export const providerButton = (name, first, next = location.pathname + location.search) =>
  h(
    'a',
    {
      className: first ? 'button primary' : 'button',
      key: 'provider',
      href: new URL(`api/oidc/login?next=${encodeURIComponent(next)}`, base).href,
    },
    t('ways.provider', { name }),
  );

/** @param {Ways} ways @param {Acts} acts @returns {Child} */
export function waysView(ways, acts) {
  const { offered, code, busy, error, inDock } = ways;
  if (code) return codeView(code, acts.again, acts.cancel);
  // If there is no operator yet, only one way is offered. A dock also offers the code, because the
  // provider's page may not open in a dock.
  const { setUp = false, provider: name } = offered;
  const codeFirst = inDock && Boolean(name) && !setUp;
  const provider = name && providerButton(name, !codeFirst);
  const codes =
    offered.codes &&
    (inDock || !setUp) &&
    button(t('ways.code'), acts.begin, {
      key: 'begin',
      className: codeFirst ? 'primary' : '',
      'aria-disabled': busy && 'true',
    });
  const key =
    passkeysUsable(offered.passkeys) &&
    !setUp &&
    button(t('ways.passkey'), acts.passkey, { key: 'passkey', 'aria-disabled': busy && 'true' });
  const embedded =
    inDock && name && h('p', { className: 'hint', key: 'embedded' }, t('ways.embedded'));
  return h(
    'section',
    { className: 'ways', key: 'ways' },
    errorLine(error),
    ...(codeFirst ? [codes, provider] : [provider, key, codes]),
    embedded,
    offered.passwords &&
      !setUp &&
      (provider || codes || key) &&
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
        { href: code.verificationUriComplete, target: '_blank', rel: 'noopener' },
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
 * The sign-in view for every page that needs it. `ways` is an object of the class Ways in
 * lib/signin.js.
 * @param {{error?: string, notice?: string, busy: boolean, onsubmit: (name: string, password:
 *   string) => void, ways: {offered: SignInWays, view: () => Child, passwords: () => boolean}}}
 *   about
 */
export function signInView({ ways, notice, ...about }) {
  if (ways.offered.setUp) return noOperatorView(ways);
  return h(
    'main',
    { className: 'card', key: 'sign-in' },
    h('h1', null, t('sign.title')),
    notice && h('p', { className: 'notice' }, notice),
    // If the server offers passwords, the form for the password shows the error.
    !ways.offered.passwords && errorLine(about.error),
    ways.view(),
    ...(ways.passwords() ? passwordView(about) : []),
  );
}

/**
 * The view for a server without an operator: it says how to create the first one.
 * @param {{offered: SignInWays, view: () => Child}} ways
 */
function noOperatorView(ways) {
  const { providerSetsUp, provider, passwords } = ways.offered;
  return h(
    'main',
    { className: 'card', key: 'no-operator' },
    h('h1', null, t('app')),
    ...(providerSetsUp
      ? [
          h('p', { className: 'notice' }, t('sign.providerSetsUp', { name: provider ?? '' })),
          ways.view(),
          passwords && h('p', { className: 'hint', key: 'link' }, t('sign.orSetUpLink')),
        ]
      : [h('p', { className: 'notice' }, t('sign.noOperator'))]),
  );
}

/**
 * @param {{error?: string, busy: boolean, onsubmit: (name: string, password: string) => void}}
 *   about
 */
const passwordView = ({ error, busy, onsubmit }) => [
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
  h('p', { className: 'hint', key: 'forgot' }, t('sign.forgot')),
];

/**
 * Whether this page can use passkeys of the host. The docks of OBS cannot.
 * @param {string | undefined} host
 * @param {{location: {hostname: string}, PublicKeyCredential?: unknown, navigator: {userAgent:
 *   string}}} [here]
 */
export function passkeysUsable(host, here = globalThis) {
  const name = here.location.hostname;
  return Boolean(
    host &&
    here.PublicKeyCredential &&
    !here.navigator.userAgent.includes('OBS/') &&
    (name === host || name.endsWith(`.${host}`)),
  );
}
