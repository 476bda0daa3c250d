/**
 * The parts that all pages share: language, branding, the header, signing in, and error messages.
 */
import { api, ApiError, base } from './api.js';
import { copy } from './copy.js';
import { byId, h, show } from './dom.js';
import { brand, footer, loadBrand } from './brand.js';
import {
  chooseLanguage,
  has,
  inLanguage,
  languageNames,
  ownLanguage,
  said,
  serverSaid,
  t,
  useLanguage,
} from './strings.js';

/** @typedef {import('./dom.js').Child} Child */
/** @typedef {import('./types.js').Me} Me */

const THEME = 'stagedoor.theme';

/** The pages that are made for docks of OBS. The links of their menu open in another window. */
export const DOCKS = Object.freeze(['dock', 'dock/stage']);

/** Loads language and branding, before the page is drawn. */
export async function prepare() {
  setTheme(localStorage.getItem(THEME) ?? 'auto');
  await Promise.all([
    useLanguage([ownLanguage(), ...(navigator.languages ?? [navigator.language])].filter(Boolean)),
    loadBrand(),
  ]);
}

/** @param {string} theme auto, dark or light */
function setTheme(theme) {
  localStorage.setItem(THEME, theme);
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Draws the page. @param {...(Child | Child[])} children */
export function page(...children) {
  const root = byId('page');
  root.removeAttribute('aria-busy');
  const focused = document.activeElement;
  show(root, ...children, footer());
  // If the focused button no longer exists, the focus moves to the new heading, and not to the top
  // of the page.
  if (focused && focused !== document.body && !focused.isConnected) {
    const heading = [...root.querySelectorAll('h1')].find((h1) => h1.getClientRects().length > 0);
    heading?.setAttribute('tabindex', '-1');
    heading?.focus({ preventScroll: true });
  }
}

/** Announces a text to screen readers. @param {string} text */
export function say(text) {
  const said = byId('said');
  if (said.textContent !== text) said.textContent = text;
}

/**
 * The sentence for the person: the server's, or the page's own if the server has sent none.
 * @param {any} err
 */
export function errorText(err) {
  if (!(err instanceof ApiError)) return said(err?.message || String(err));
  if (err.message) return serverSaid(err.code, err.message, { wait: err.retryAfter });
  return has(`api.${err.code}`) ? t(`api.${err.code}`) : t('api.failed', { code: err.code });
}

/**
 * The parts of a sentence with a command. A browser may end a line after the "--" of a flag, so
 * each flag is an element that stays on one line.
 * @param {string} text
 */
export const withFlags = (text) =>
  text.split(/(--\w+)/).map((part, n) => (n % 2 ? h('span', { className: 'flag' }, part) : part));

/** @param {string | undefined} text */
export const errorLine = (text) => text && h('p', { className: 'error', role: 'alert' }, text);

let ids = 0;

/**
 * A labelled input.
 * @param {string} label @param {Record<string, any>} props @param {Child} [hint]
 */
export function field(label, props, hint) {
  const id = props.id ?? `f-${props.name ?? ++ids}`;
  return h(
    'div',
    { className: 'field', key: id },
    h('label', { for: id }, label),
    h('input', {
      id,
      autocomplete: 'off',
      spellcheck: false,
      ...props,
      ...(hint ? { 'aria-describedby': `${id}-hint` } : {}),
    }),
    hint && h('p', { className: 'hint', id: `${id}-hint` }, hint),
  );
}

/**
 * A form that is disabled while its work runs, and then shows the error if the work failed.
 * @param {{key: string, submit: string, busy?: boolean, error?: string, onsubmit: (data:
 *   Record<string, string>) => void, className?: string}} about
 * @param {...(Child | Child[])} children
 */
export function form({ key, submit, busy = false, error, onsubmit, className = '' }, ...children) {
  return h(
    'form',
    {
      key,
      className,
      onsubmit: (/** @type {SubmitEvent} */ e) => {
        e.preventDefault();
        if (!busy)
          onsubmit(
            /** @type {Record<string, string>} */ (
              Object.fromEntries(new FormData(/** @type {HTMLFormElement} */ (e.target)))
            ),
          );
      },
    },
    ...children,
    errorLine(error),
    h('button', { type: 'submit', className: 'primary', 'aria-disabled': busy && 'true' }, submit),
  );
}

/** @param {string} text @param {() => void} onclick @param {Record<string, any>} [props] */
export const button = (text, onclick, props = {}) =>
  h('button', { type: 'button', onclick, ...props }, text);

/** The account that is signed in, or null. @returns {Promise<Me | null>} */
export async function whoAmI() {
  try {
    return await api('GET', 'api/me');
  } catch (err) {
    if (err instanceof ApiError && err.status === 401) return null;
    throw err;
  }
}

/** @param {string} path */
export const href = (path) => new URL(path, base).href;

/**
 * The header of every page. Its second line has the tabs. `leave` is called before the login ends,
 * so that the page can clean up.
 * @param {Me | null} me @param {string} here
 * @param {{leave?: () => void | Promise<void>, tabs?: Child}} [more]
 */
export const header = (me, here, { leave, tabs } = {}) =>
  h(
    'header',
    { key: 'header' },
    h(
      'a',
      { className: 'brand', href: href('') },
      h('img', {
        src: brand().logo ? href(brand().logo ?? '') : href('static/icon.svg'),
        alt: '',
        height: 20,
        className: 'logo',
      }),
      h('span', { dir: 'auto' }, brand().name ?? t('app')),
    ),
    me ? menu(me, here, leave) : languageChoice(),
    tabs,
  );

/** @param {Me} me @param {string} here @param {(() => void | Promise<void>) | undefined} leave */
function menu(me, here, leave) {
  const inDock = DOCKS.includes(here);
  /** @type {[string, string][]} */
  const places = [
    ['dock', 'menu.dock'],
    ['watch', 'menu.watch'],
    ['account', 'menu.account'],
  ];
  if (['operator', 'moderator'].includes(me.role) || me.passkeyNeeded)
    places.push(['operator', 'menu.operator']);
  const signOut = async (/** @type {(inDock: boolean) => void | Promise<void>} */ end) => {
    await leave?.();
    await end(inDock);
  };
  return h(
    'details',
    { className: 'menu', onkeydown: closeOnEscape, ontoggle: closeElsewhere },
    h(
      'summary',
      { 'aria-label': `${t('app.menu')}: ${me.name}` },
      h('span', { className: 'who', dir: 'auto' }, me.name),
    ),
    h(
      'nav',
      { 'aria-label': t('app.menu') },
      ...places
        .filter(([path]) => path !== here && !(inDock && path === 'dock'))
        .map(([path, text]) =>
          h('a', { href: href(path), target: inDock ? '_blank' : '' }, t(text)),
        ),
      themeChoice(),
      languageChoice(),
      button(t('menu.signOut'), () => void signOut(endHere)),
      me.provider &&
        button(
          t('menu.signOutProvider', { name: me.provider }),
          () => void signOut(endAtProvider),
          { key: 'provider' },
        ),
    ),
  );
}

/** @param {KeyboardEvent} e */
function closeOnEscape(e) {
  if (e.key !== 'Escape') return;
  const details = /** @type {HTMLDetailsElement} */ (e.currentTarget);
  details.open = false;
  details.querySelector('summary')?.focus();
}

/** An open menu closes on the next click elsewhere. @param {Event} e */
function closeElsewhere(e) {
  const details = /** @type {HTMLDetailsElement} */ (e.currentTarget ?? e.target);
  if (!details.open) return;
  const close = (/** @type {Event} */ click) => {
    if (details.contains(/** @type {Node} */ (click.target))) return;
    details.open = false;
    document.removeEventListener('click', close);
  };
  document.addEventListener('click', close);
}

function themeChoice() {
  const now = localStorage.getItem(THEME) ?? 'auto';
  return h(
    'label',
    { className: 'choice' },
    t('app.theme'),
    h(
      'select',
      {
        onchange: (/** @type {Event} */ e) =>
          setTheme(/** @type {HTMLSelectElement} */ (e.target).value),
      },
      ...['auto', 'dark', 'light'].map((theme) =>
        h('option', { value: theme, selected: theme === now }, t(`app.theme.${theme}`)),
      ),
    ),
  );
}

/**
 * The choice of the language, which reloads the page. A broadcast continues, because OBS sends it.
 */
function languageChoice() {
  return h(
    'label',
    { className: 'choice', key: 'language' },
    t('app.language'),
    h(
      'select',
      {
        onchange: (/** @type {Event} */ e) => {
          chooseLanguage(/** @type {HTMLSelectElement} */ (e.target).value);
          if (taken) history.replaceState(null, '', `#code=${taken}`); // for the reloaded page
          location.reload();
        },
      },
      ...languageNames.map(([tag, name]) =>
        h('option', { value: tag, lang: tag, selected: tag === inLanguage() }, name),
      ),
    ),
  );
}

/** Whether this page is navigating to the provider, to sign out there. */
let leaving = false;

/**
 * Reloads the page after the login has ended, so that it shows the sign-in form. A page that is
 * navigating to the provider is not reloaded, because that would stop the navigation.
 */
export function signedOut() {
  if (!leaving) location.reload();
}

/** Ends this login and shows the sign-in form. */
async function endHere() {
  await api('DELETE', 'api/login').catch(() => {}); // the login has ended, or it expires by itself
  location.reload();
}

/**
 * Ends this login and the one at the provider. The provider may ask for confirmation, and its last
 * page has no link back. So a dock opens the provider in another window.
 * @param {boolean} inDock
 */
function endAtProvider(inDock) {
  const address = href('api/oidc/logout');
  const opened = inDock && window.open(address, '_blank');
  if (!opened) {
    leaving = true;
    addEventListener('pageshow', () => location.reload()); // if the person comes back
    return location.assign(address);
  }
  opened.opener = null;
  return endHere();
}

/** The code of the link that opened this page. */
let taken = '';

/**
 * Removes the code from the address, so that neither the history nor a screenshot contains it.
 * Links have the code in the fragment, which browsers do not send, so that no proxy logs it. A code
 * in the query is accepted, too.
 * @returns {string}
 */
export function takeCode() {
  addEventListener('hashchange', () => location.reload()); // another link, opened in the same tab
  const url = new URL(location.href);
  const code =
    new URLSearchParams(url.hash.slice(1)).get('code') ?? url.searchParams.get('code') ?? '';
  taken = code;
  if (code) {
    url.searchParams.delete('code');
    url.hash = '';
    history.replaceState(null, '', url);
  }
  return code;
}

/**
 * A read-only field with a button that copies it. If that worked, the button shows it; if not, a
 * hint below the field says what to do.
 * @param {{key: string, label: string, text: string, masked?: boolean, onmask?: () => void}} about
 */
export function copyField({ key, label, text, masked, onmask }) {
  const id = `c-${key}`;
  return h(
    'div',
    { className: 'field', key: id },
    h('label', { for: id }, label),
    h(
      'div',
      { className: 'row' },
      h('input', {
        id,
        readOnly: true,
        value: text,
        type: masked ? 'password' : 'text',
        autocomplete: 'off',
        spellcheck: false,
        onfocus: (/** @type {Event} */ e) => /** @type {HTMLInputElement} */ (e.target).select(),
      }),
      onmask && button(masked ? t('app.show') : t('app.hide'), onmask, { 'aria-controls': id }),
      button(t('app.copy'), () => {}, {
        onclick: (/** @type {Event} */ e) =>
          void copied(/** @type {HTMLElement} */ (e.currentTarget), id, text),
        'aria-label': `${t('app.copy')}: ${label}`,
      }),
    ),
  );
}

/** @param {HTMLElement} pressed @param {string} id @param {string} text */
async function copied(pressed, id, text) {
  const how = await copy(/** @type {HTMLInputElement} */ (byId(id)), text);
  const words = how === 'copied' ? t('app.copied') : t('app.select');
  say(words);
  if (how === 'selected') {
    const field = byId(id).closest('.field');
    if (field && !field.querySelector('.hint')) field.append(h('p', { className: 'hint' }, words));
    return;
  }
  const name = pressed.getAttribute('aria-label') ?? '';
  pressed.textContent = words;
  pressed.removeAttribute('aria-label'); // the label would replace the text with the result
  pressed.focus();
  setTimeout(() => {
    pressed.textContent = t('app.copy');
    pressed.setAttribute('aria-label', name);
    say('');
  }, 2000);
}

/**
 * Compares the two fields of a new password. Returns the password or the error.
 * @param {Record<string, string>} data
 * @returns {{password: string, error?: string}}
 */
export function chosenPassword({ password, repeat }) {
  if (password.length < 10) return { password, error: t('password.short') };
  if (password !== repeat) return { password, error: t('password.differ') };
  return { password };
}

export const passwordFields = () => [
  field(
    t('password.new'),
    { name: 'password', type: 'password', autocomplete: 'new-password', required: true },
    t('password.rule'),
  ),
  field(t('password.repeat'), {
    name: 'repeat',
    type: 'password',
    autocomplete: 'new-password',
    required: true,
  }),
];

/**
 * The ways to sign in here. If the server does not answer, the page's next request shows the error.
 * @returns {Promise<import('../types').SignInWays>}
 */
export async function signInWays() {
  try {
    return await api('GET', 'api/sign-in');
  } catch {
    return { passwords: true, codes: false };
  }
}
