/** The values that a script in OBS hands to this page: see docs/decisions/0125. */
import { h } from './dom.js';
import { KEYS } from './memory.js';
import { originOf } from './moving.js';
import { copyField, href } from './page.js';
import { takeFragment } from './signin.js';
import { t } from './strings.js';

/**
 * How the script has opened this page. '': it did not · first: at the first pairing of this page
 * with this OBS · again: at a later start of OBS
 * @typedef {'' | 'first' | 'again'} Pairing
 */

/**
 * If OBS opened this page, moves the script's values from the address into the storage. A link that
 * is opened anywhere else must not change the storage.
 * @param {{userAgent: string}} browser
 * @param {Pick<Storage, 'getItem' | 'setItem'>} storage
 * @param {(name: string) => string} take
 * @param {string} [here]
 * @returns {Pairing}
 */
export function takePairing(
  browser = navigator,
  storage = localStorage,
  take = takeFragment,
  here = location.origin,
) {
  const [port, password, secret, encoders, server, moving] = [
    'obs-port',
    'obs-password',
    'obs-secret',
    'obs-encoders',
    'obs-server',
    'obs-moving',
  ].map(take);
  if (!/ OBS\//.test(browser.userAgent) || !/^\d{1,5}$/.test(port ?? '')) return '';
  // A dock that moved here from another address of the server was already paired at that address.
  const moved = moving || (server && server !== here);
  const known = !secret || secret === storage.getItem(KEYS.secret);
  storage.setItem(KEYS.address, `127.0.0.1:${port}`);
  storage.setItem(KEYS.password, password ?? '');
  storage.setItem(KEYS.secret, secret ?? '');
  storage.setItem(KEYS.encoders, encoders ?? '');
  storage.setItem(KEYS.scriptServer, server ?? '');
  storage.setItem(KEYS.moving, moving ?? '');
  return known || moved ? 'again' : 'first';
}

/**
 * The operating system whose windows the pictures show: that of this browser, because the script is
 * downloaded on the computer on which OBS runs.
 * @param {string} userAgent
 */
export const systemOf = (userAgent) =>
  /Windows/.test(userAgent) ? 'windows' : /Mac OS X|Macintosh/.test(userAgent) ? 'macos' : 'linux';

/** @param {string} name @param {string} text a description for people who do not see it */
const picture = (name, text) =>
  h('img', {
    src: `static/pictures/${name}.svg`,
    alt: text,
    width: 240,
    height: 132,
    loading: 'lazy',
  });

/** @param {string} [system] */
export const restartPicture = (system = systemOf(navigator.userAgent)) =>
  h('div', { className: 'pictures' }, picture(`restart-${system}`, t('pair.restartPicture')));

/**
 * The link to the script. OBS's docks save no files, so a dock shows where to download it.
 * @param {boolean} inObs
 * @param {string} server the address of the server
 */
const download = (inObs, server) =>
  inObs
    ? [
        h('p', null, t('pair.inObs')),
        copyField({ key: 'download', label: t('pair.page'), text: server }),
      ]
    : [
        h(
          'p',
          null,
          h(
            'a',
            {
              className: 'button primary',
              href: `api/obs/script?lang=${document.documentElement.lang}`,
              download: 'stagedoor.lua',
            },
            t('pair.get'),
          ),
        ),
      ];

/** @param {string} system */
const steps = (system) =>
  h(
    'ol',
    { className: 'steps' },
    h(
      'li',
      null,
      t(system === 'macos' ? 'pair.addMac' : 'pair.add'),
      h(
        'div',
        { className: 'pictures' },
        picture(`menu-${system}`, t('pair.menuPicture')),
        picture('plus', t('pair.plusPicture')),
      ),
    ),
    h('li', null, t('pair.restart'), restartPicture(system)),
  );

/**
 * The first way to connect OBS: a script, in two steps. A server that has no https and is not on
 * this computer has no script.
 * @param {{inObs?: boolean, userAgent?: string, publicUrl?: string}} [about] publicUrl is the
 *   server's public URL, if its operator has set one
 */
export function pairingView({
  publicUrl = href('').replace(/\/$/, ''),
  userAgent = navigator.userAgent,
  inObs = / OBS\//.test(userAgent),
} = {}) {
  if (!originOf(publicUrl))
    return h('p', { key: 'pairing' }, t('pair.needsHttps', { address: publicUrl }));
  return h(
    'div',
    { className: 'pairing', key: 'pairing' },
    h('p', null, t('pair.first')),
    ...download(inObs, publicUrl),
    h('p', { className: 'hint' }, t('pair.once')),
    steps(systemOf(userAgent)),
    h('p', { className: 'hint' }, t('pair.again')),
  );
}

/**
 * The view with which a page outside of OBS explains how to add a dock to OBS: by the script, or by
 * hand.
 * @param {{publicUrl?: string}} me
 */
export const connectView = ({ publicUrl }) => [
  pairingView({ publicUrl }),
  h(
    'details',
    { className: 'section', key: 'by-hand' },
    h('summary', null, t('pair.byHandTitle')),
    h('p', { className: 'hint' }, t('start.dockHow')),
    copyField({ key: 'dock', label: t('menu.dock'), text: href('dock') }),
  ),
];
