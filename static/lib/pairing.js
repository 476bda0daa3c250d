/** What a script in OBS gives to this page: see docs/decisions/0125. */
import { h } from './dom.js';
import { KEYS } from './memory.js';
import { takeFragment } from './signin.js';
import { t } from './strings.js';

/**
 * Takes port and password of OBS's WebSocket server out of the address, where OBS opened the page. A link
 * that is opened anywhere else must not change what this browser remembers.
 * @param {{userAgent: string}} browser @param {Pick<Storage, 'setItem'>} storage @param {(name: string) => string} take
 */
export function takePairing(browser = navigator, storage = localStorage, take = takeFragment) {
  const [port, password, secret, encoders] = ['obs-port', 'obs-password', 'obs-secret', 'obs-encoders'].map(take);
  if (!/ OBS\//.test(browser.userAgent) || !/^\d{1,5}$/.test(port ?? '')) return false;
  storage.setItem(KEYS.address, `127.0.0.1:${port}`);
  storage.setItem(KEYS.password, password ?? '');
  storage.setItem(KEYS.secret, secret ?? '');
  storage.setItem(KEYS.encoders, encoders ?? '');
  return true;
}

/** The first way to connect OBS: a script. OBS's docks save no files, so there it is a word about where. */
export const pairingView = () => h('section', { className: 'pairing', key: 'pairing' },
  h('p', null, t('pair.first')),
  h('ol', { className: 'steps' }, h('li', null, t('pair.download')), h('li', null, t('pair.add')), h('li', null, t('pair.restart'))),
  h('p', null, h('a', { className: 'button', href: `/api/obs/script?lang=${document.documentElement.lang}`, download: 'stagedoor.lua', target: '_blank' }, t('pair.get'))),
  h('p', { className: 'muted' }, t('pair.byHand')));
