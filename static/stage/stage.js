/**
 * The tab People as a separate page, in a dock or a browser tab, with its own connection to OBS.
 */
import { h } from '../lib/dom.js';
import { KEYS } from '../lib/memory.js';
import { Obs, obsAddress } from '../lib/obs.js';
import { header, page } from '../lib/page.js';
import { signedIn } from '../lib/signin.js';
import { t } from '../lib/strings.js';
import { People } from './onstage.js';

const inObs = navigator.userAgent.includes('OBS/');

/** @type {People | undefined} */
let people;
/** @type {import('../lib/types.js').Me | null} */
let me = null;
const obs = new Obs({ Socket: Reflect.get(globalThis, 'OBSWebSocket'), onStatus: draw });

function draw() {
  if (!people) return;
  page(
    header(me, 'dock/stage', { leave: () => people?.leave() }),
    h('main', { className: 'panels', key: 'main' }, ...people.view()),
  );
  people.drawn();
}

/**
 * Connects to OBS without a click, but only where the browser does not ask the person for
 * permission: in OBS, and where a stored password shows that the page was connected before.
 */
function findObs() {
  const password = localStorage.getItem(KEYS.password);
  if (!inObs && password === null) return;
  const address = obsAddress(localStorage.getItem(KEYS.address) ?? '');
  if (address) void obs.open(address.url, password ?? '');
}

void signedIn((who) => {
  me = who;
  people = new People({
    me: who,
    obs,
    changed: draw,
    stage: () => localStorage.getItem(KEYS.stage),
    connect: (url, password) => void obs.open(url, password),
    again() {
      people?.leave();
      location.reload();
    },
  });
  document.title = `${t('stage.title')} – ${t('app')}`;
  people.enter();
  findObs();
}, 'dock/stage');
