/**
 * The broadcaster's dock: holds the state of the page, draws it, and performs the actions of its
 * buttons. The views are in views.js.
 */
import { api, ApiError } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { listen, patiently } from '../lib/events.js';
import { createBroadcast } from '../lib/golive.js';
import { late } from '../lib/late.js';
import { KEYS } from '../lib/memory.js';
import { isMoving, moveOf } from '../lib/moving.js';
import { takePairing } from '../lib/pairing.js';
import { createMeter } from '../lib/numbers.js';
import { check, isReady, PROFILE } from '../lib/obs-check.js';
import { readCounters, readObs } from '../lib/obs-read.js';
import { createScript, isPaired } from '../lib/obs-script.js';
import { backToMyProfile, blankToken, previousProfile, setUpObs } from '../lib/obs-setup.js';
import { Obs, obsAddress, whyUnreachable } from '../lib/obs.js';
import { errorLine, errorText, header, page, prepare, say, whoAmI } from '../lib/page.js';
import { createWays, enrol } from '../lib/signin.js';
import { signInView } from '../lib/signin-views.js';
import { t } from '../lib/strings.js';
import { Tally } from '../lib/tally.js';
import { Tokens } from '../lib/tokens.js';
import { createFirstPart } from './first.js';
import { createMovePart } from './moving.js';
import { createPeopleTab } from './people.js';
import { PicturePart } from './picture.js';
import { createRehearsalPart, NONE } from './rehearsal.js';
import { createReport } from './report.js';
import { focusTab, intoAddress, panel, tabOfAddress, tabsView } from './tabs.js';
import { airView, dockView, headline, stateOf, worry } from './views.js';

const TELL_EVERY = 45_000; // the server removes a dock that has sent no report for 2.5 minutes
const LOOK_EVERY = 30_000; // OBS has no event for a change of its settings
const MEASURE_EVERY = 2_000;
const FRESH_EVERY = 60_000;
const ASK_AGAIN_AFTER = 3_000;

const inObs = navigator.userAgent.includes('OBS/');
const chromium = Number(/Chrome\/(\d+)/.exec(navigator.userAgent)?.[1] ?? 0);
const dockId = (() => {
  const known = sessionStorage.getItem('stagedoor.dock');
  if (known) return known;
  const id = [...crypto.getRandomValues(new Uint8Array(12))]
    .map((b) => b.toString(16).padStart(2, '0'))
    .join('');
  sessionStorage.setItem('stagedoor.dock', id);
  return id;
})();

const tokens = new Tokens({
  mint: (stage) => api('POST', 'api/tokens', { stage, for: 'publish' }),
  user: () => model.me?.id ?? '',
});
const obs = new Obs({ Socket: Reflect.get(globalThis, 'OBSWebSocket'), onStatus: obsStatus });
const broadcast = createBroadcast({ obs, tokens, onChange: broadcastChanged });
const meter = createMeter();
const tally = new Tally();

const script = createScript();

const pairing = takePairing();

/** @type {import('./views.js').Model} */
const model = {
  me: null,
  online: true,
  stage: undefined,
  stages: [],
  obs: obs.status,
  why: 'off',
  address: localStorage.getItem(KEYS.address) ?? '',
  remembered: localStorage.getItem(KEYS.password) !== null,
  version: '',
  encoder: '',
  encoders: [],
  profile: '',
  paired: isPaired(),
  scriptGone: '',
  findings: null,
  previous: undefined,
  settingUp: null,
  setupError: null,
  notice: '',
  broadcast: broadcast.state,
  rehearsal: NONE,
  rehearsalViews: null,
  quiet: true,
  dying: false,
  summary: null,
  sent: null,
  present: [],
  others: [],
  hand: { token: null, shown: false, busy: false },
  now: Date.now(),
};

const people = createPeopleTab({
  obs,
  changed: draw,
  again: () => void askAgain(),
  stage: () => model.stage?.arn,
  toBroadcast: backToBroadcast,
});
const picture = new PicturePart({ stage: () => model.stage, changed: draw });
const rehearsal = createRehearsalPart({
  obs,
  limits: () => model.stage?.limits,
  changed: rehearsalChanged,
});
const moving = createMovePart({
  obs,
  script,
  publicUrl: () => model.me?.publicUrl,
  changed: draw,
  note,
});
const first = createFirstPart({
  pairing,
  setUp: async () => (await setUp(false, undefined, true))?.changed ?? false,
  undo: async () => noteBack(await backToMyProfile(obs, { remove: true })),
  changed: draw,
});
const report = createReport({ id: dockId, model, version: () => obs.version });

/** @type {Map<string, import('../lib/types.js').Presence[]>} the participants on each stage */
const presence = new Map();
/** @type {{busy: boolean, error?: string, notice?: string}} */
const signing = { busy: false };
let events = { stop() {} };
let password = '';
let permission = 'unknown';
let looking = false;
/** Settles when an interrupted rehearsal has restored OBS's settings. */
let freed = Promise.resolve();
let scriptAsked = false; // whether the script was asked since it was loaded
let askings = 0; // how often it was asked
/** Whether the server has refused the code with which the script would have signed in this dock. */
let codeRefused = false;
/** @type {ReturnType<typeof import('./gone.js').createGonePart> | null} */
let gone = null;
let noWhip = false; // whether OBS refused WHIP on this connection; the next OBS may have it

/* ---- drawing ---- */

let tab = tabOfAddress();
let drawn = '';
let announced = '';
let worried = '';

function draw() {
  model.now = Date.now();
  model.dying = broadcast.dying();
  if (!model.me)
    return page(header(null, 'dock'), signInView({ ...signing, ways, onsubmit: signIn }));
  document.documentElement.dataset.tab = tab;
  if (tab === 'people') people.open(model.me);
  const shownPicture = picture.view(model.obs.phase === 'ready');
  page(
    header(model.me, 'dock', { leave, tabs: tabsView(tab, showTab) }),
    h(
      'main',
      { className: 'panels', key: 'main' },
      panel(
        'broadcast',
        tab,
        atRest() && moving.view(model.obs.phase === 'ready'),
        atRest() && model.obs.phase === 'ready' && first.view(model.previous),
        gone?.view(atRest() && model.obs.phase === 'ready' ? model.previous : undefined),
        ...(picture.idle ? [] : shownPicture),
        ...dockView(model, actions),
        ...(picture.idle ? shownPicture : []),
      ),
      panel('people', tab, airView(model, actions, backToBroadcast), ...people.view()),
    ),
  );
  people.drawn();
  picture.drawn();
  rehearsal.drawn();
  tell();
}

/**
 * Whether there is no broadcast, rehearsal or set-up, so that another page may replace this one.
 */
const atRest = () => model.broadcast.phase === 'idle' && !rehearsal.running && !model.settingUp;

/** Announces a new state to screen readers, in the title and to the server. */
function tell() {
  const wrong = worry(model);
  // In the tab Broadcast, the element that shows the problem also announces it.
  if (tab === 'people' && wrong && wrong !== worried) say(wrong);
  worried = wrong;
  const state = stateOf(model);
  document.documentElement.dataset.state = state;
  document.title = state === 'live' ? `● ${t('live.live')} – ${t('app')}` : t('app');
  const words = headline(model);
  if (state === drawn && words === announced) return;
  if (words !== announced) say(words);
  if (state !== drawn) performance.mark(`dock ${state}`); // the benchmarks read this mark
  drawn = state;
  announced = words;
  report.soon();
}

/** @param {import('./tabs.js').Tab} next */
function showTab(next) {
  tab = next;
  intoAddress(tab);
  draw();
}

/** Shows the tab Broadcast from its top, even if the tab People was scrolled. */
function backToBroadcast() {
  showTab('broadcast');
  focusTab(tab);
  scrollTo(0, 0);
}

/** @param {Partial<import('./views.js').Model>} change */
function set(change) {
  Object.assign(model, change);
  draw();
}

/** Shows for a while a sentence about what was done. @param {string} notice */
function note(notice) {
  set({ notice });
  setTimeout(() => {
    if (model.notice === notice) set({ notice: '' });
  }, 6_000);
}

/* ---- signing in ---- */

/**
 * Signs in by a dock link or by the script's code. If the server refuses the link or the code, the
 * sign-in form is shown.
 */
async function enrolled() {
  try {
    return await enrol(pairing ? localStorage : undefined);
  } catch (err) {
    if (!(err instanceof ApiError) || err.temporary) throw err;
    if (pairing && err.code === 'bad_code') codeRefused = true;
    else signing.error = errorText(err);
    return null;
  }
}

/** The reason why a dock that the script has opened is not signed in. */
function whySignIn() {
  if (isMoving()) return t('move.signIn');
  // At the first pairing, a dock that is not signed in got no code: a script omits an expired one.
  return codeRefused || pairing === 'first' ? t('pair.codeOver') : undefined;
}

const ways = createWays({ here: 'dock', draw, arrived: arrive });

/** @param {string} name @param {string} word */
async function signIn(name, word) {
  Object.assign(signing, { busy: true, error: undefined });
  draw();
  try {
    arrive(await api('POST', 'api/login', { name, password: word }));
  } catch (err) {
    signing.error = errorText(err);
  }
  signing.busy = false;
  draw();
}

/** @param {import('../lib/types.js').Me} me */
function arrive(me) {
  signing.notice = signing.error = undefined;
  ways.stop();
  know(me);
  events.stop();
  events = listen({ event: serverEvent, signedOut, connected });
  void findObs();
}

/** @param {import('../lib/types.js').Me} me */
function know(me) {
  const stages = me.stages.filter((s) => s.capabilities.includes('publish'));
  const chosen =
    stages.find((s) => s.arn === (model.stage?.arn ?? localStorage.getItem(KEYS.stage))) ??
    stages[0];
  const letIn = (model.me?.bars ?? []).filter(({ arn }) => me.stages.some((s) => s.arn === arn));
  Object.assign(model, { me, stages, stage: chosen });
  for (const bar of letIn) letInAgain(bar);
  if (model.findings) void look();
  people.know(me);
  draw();
}

/**
 * Called when a bar has ended. Removes its message, which would contradict what the person may do
 * now.
 * @param {{arn: string, name: string}} bar
 */
function letInAgain({ arn, name }) {
  const { phase, sending, reason, stage } = broadcast.state;
  const byBar = reason?.code === 'kicked' || reason?.code === 'barred';
  if (phase === 'trouble' && !sending && byBar && stage === arn) broadcast.dismiss();
  picture.forget(arn);
  note(t('bars.over', { stage: name }));
}

/**
 * Reads again who is signed in and what they may do. The page calls it when the server refuses a
 * request, although the page thought that this login was allowed to send it.
 */
async function askAgain() {
  while (model.me) {
    try {
      const me = await whoAmI();
      return me ? know(me) : signedOut();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_AFTER));
    }
  }
}

/**
 * Called when the login has ended, here or elsewhere. Removes all data of the login from the page.
 */
function signedOut() {
  events.stop();
  // A running rehearsal restores OBS's settings first.
  freed = rehearsal.running ? rehearsal.cancel() : Promise.resolve();
  void freed.finally(() => obs.close());
  presence.clear();
  picture.stop();
  signing.notice = t('sign.expired');
  set({
    me: null,
    hand: { token: null, shown: false, busy: false },
    findings: null,
    others: [],
    present: [],
  });
  people.leave();
}

/** Called before the login ends. */
async function leave() {
  if (rehearsal.running) await rehearsal.cancel();
  if (obs.status.phase === 'ready' && broadcast.state.phase === 'idle') await dropToken();
  picture.stop();
  tokens.forget();
  await report.end();
}

/** Removes this user's token from OBS, so that the next user does not go live with it. */
async function dropToken() {
  try {
    await blankToken(obs, (settings) => tokens.inObs(settings));
  } catch {
    // OBS is streaming or was closed. The token expires by itself.
  }
}

/* ---- the server's events ---- */

/** Stages whose presence arrived since the event stream was last opened. @type {Set<string>} */
const known = new Set();

const showOnline = patiently((online) => {
  if (model.me && online !== model.online) set({ online });
});

/** @param {boolean} online */
function connected(online) {
  known.clear();
  broadcast.online(online);
  showOnline(online);
  if (online) report.soon();
}

/** @param {import('../lib/events.js').ServerEvent} e */
function serverEvent({ event, data }) {
  if (event === 'stage') {
    broadcast.stageEvent(data);
    picture.stageEvent(data);
    rehearsal.stageEvent(data);
  } else if (event === 'me') know(data);
  else if (event === 'docks') others(data.docks);
  else if (event === 'dock') others([...model.others.filter((d) => d.id !== data.id), data]);
  else if (event === 'dock_closed') others(model.others.filter((d) => d.id !== data.id));
  else if (event === 'presence') {
    presence.set(data.stage, data.participants);
    // A restart of this server ends broadcasts on local stages, and not those on AWS stages.
    const anew =
      data.stage === broadcast.state.stage &&
      !known.has(data.stage) &&
      data.stage.split(':')[3] === 'local';
    known.add(data.stage);
    broadcast.presence(data.participants, anew);
    set({ present: presence.get(model.stage?.arn ?? '') ?? [] });
  }
}

/**
 * The other docks of this account, the oldest first.
 * @param {import('../lib/types.js').Dock[]} docks
 */
function others(docks) {
  const list = docks.filter((d) => d.id !== dockId);
  if (list.length + model.others.length > 0)
    set({ others: list.sort((a, b) => a.since.localeCompare(b.since)) });
}

/* ---- OBS ---- */

/** @param {import('../lib/obs.js').ObsStatus} status */
function obsStatus(status) {
  const before = model.obs.phase;
  model.obs = status;
  if (status.phase === 'lost' || status.phase === 'off') void whyNot();
  if (status.phase === 'ready') {
    model.version = obs.version?.obsVersion ?? '';
    if (before !== 'ready') void greeted();
  } else if (before === 'ready') {
    broadcast.obsClosed();
    rehearsal.obsClosed();
    set({ findings: null, sent: null });
  }
  draw();
}

async function greeted() {
  noWhip = false;
  scriptAsked = false;
  if (model.remembered) localStorage.setItem(KEYS.password, password);
  await rehearsal.mend();
  await broadcast.resume();
  await moving.connected();
  await look();
}

/**
 * Connects to OBS without a click when the page is opened again, unless the browser would ask for
 * permission.
 */
async function findObs() {
  await freed;
  await whyNot();
  if (model.why === 'ask' || model.why === 'insecure' || model.why === 'blocked') return draw();
  password = localStorage.getItem(KEYS.password) ?? '';
  const address = obsAddress(model.address);
  if (address) void obs.open(address.url, password);
}

async function whyNot() {
  for (const name of ['loopback-network', 'local-network-access']) {
    try {
      permission = (
        await navigator.permissions.query({ name: /** @type {PermissionName} */ (name) })
      ).state;
      break;
    } catch {
      permission = 'unknown'; // this browser has no such permission
    }
  }
  const address = obsAddress(model.address) ?? { local: true };
  set({
    why: whyUnreachable({
      origin: location.origin,
      secure: isSecureContext,
      embedded: window.top !== window,
      chromium,
      permission,
      address,
      inObs,
    }),
  });
}

for (const event of [
  'CurrentProfileChanged',
  'RecordStateChanged',
  'ReplayBufferStateChanged',
  'VirtualcamStateChanged',
]) {
  obs.on(event, () => {
    if (!model.settingUp) void look();
  });
}
// OBS has ended the scripts of the previous collection, and loaded those of this one.
obs.on('CurrentSceneCollectionChanged', () => {
  scriptAsked = false;
  if (!model.settingUp && !rehearsal.running) void missScript();
});
obs.on('StreamStateChanged', ({ outputState }) =>
  (rehearsal.running ? rehearsal : broadcast).obsState(outputState),
);

/** Reads the settings of OBS and checks them. */
async function look() {
  if (looking || model.settingUp || rehearsal.running || obs.status.phase !== 'ready') return;
  looking = true;
  const wasBack = gone?.isBack(); // before the reading, which may be of the time before that
  /** @type {import('../lib/obs-read.js').Reading | null} */
  let read = null;
  try {
    read = await readObs(obs, script);
    judge(read);
    if (wasBack && model.profile === PROFILE) gone?.forget();
    model.previous = await previousProfile(obs);
    model.readError = undefined;
    void missScript();
  } catch (/** @type {any} */ err) {
    if (err.code !== 'closed') model.readError = errorText(err);
  }
  looking = false;
  draw();
  keepFresh();
  if (read)
    void first.tell({
      kind: 'read',
      reading: read,
      findings: model.findings ?? [],
      settled: isSettled(),
    });
}

/**
 * Whether OBS may be set up without a click: there is a stage and no broadcast, and the dock stays
 * at this address.
 */
const isSettled = () =>
  Boolean(model.stage) && model.broadcast.phase === 'idle' && !moveOf(model.me?.publicUrl);

/** @type {() => Promise<typeof import('./gone.js')>} */
const loadGone = late(new URL('./gone.js', import.meta.url));

/**
 * Asks once whether the script that paired this dock is in OBS. The question is stored in a
 * parameter of the profile, so the dock asks only in Stagedoor's own profile.
 */
async function missScript() {
  if (scriptAsked) return;
  const asks = (scriptAsked = model.profile === PROFILE);
  const mine = ++askings;
  const isGone = asks && (await script.isGone(obs).catch(() => null));
  if (mine !== askings) return; // asked again meanwhile, because another collection was chosen
  if (asks && isGone === false) localStorage.removeItem(KEYS.gone);
  if (isGone === Boolean(model.scriptGone)) return;
  const part = isGone !== null && (await loadGone().catch(() => null));
  if (mine !== askings) return;
  if (!part) {
    scriptAsked = false; // OBS or the server does not answer; the next look asks again
    return;
  }
  gone = isGone ? part.createGonePart({ obs, changed: draw }) : null;
  set({ scriptGone: isGone ? part.goneText() : '' });
}

/** @param {import('../lib/obs-read.js').Reading} reading */
function judge(reading) {
  model.profile = reading.profile;
  reading.noWhip = noWhip && reading.service.type !== 'whip_custom';
  model.findings = check(reading, model.stage?.limits);
  model.encoder =
    reading.params['Output/Mode'] === 'Advanced' ? reading.params['AdvOut/Encoder'] : '';
  model.encoders = script.encoders();
  const kept = tokens.inObs(reading.service.settings);
  if (model.broadcast.phase === 'idle')
    model.broadcast = { ...model.broadcast, expiresAt: kept?.expiresAt ?? 0 };
  report.soon();
}

/** @param {Record<string, any>} settings @returns {Promise<import('../lib/tokens.js').Ready>} */
async function endpoint(settings) {
  const arn = model.stage?.arn ?? '';
  return tokens.reusable(settings, arn) ?? tokens.fresh(arn);
}

/**
 * @param {boolean} force @param {string} [encoder] the encoder to set, or '' for x264
 * @param {boolean} [onlyNew] do not change a profile that another Stagedoor client has created
 *   meanwhile
 * @returns {Promise<{changed: boolean} | null>} null if OBS could not be set up
 */
async function setUp(force, encoder, onlyNew) {
  if (model.settingUp || rehearsal.running || !model.stage) return null;
  broadcast.dismiss();
  rehearsal.dismiss();
  set({ settingUp: { step: 'check' }, setupError: null });
  /** @type {import('../lib/tokens.js').Ready | null} */
  let given = null;
  let done = null;
  try {
    done = await setUpObs(obs, {
      limits: model.stage.limits,
      force,
      onlyNew,
      script,
      encoder,
      endpoint: async (settings) => (given = await endpoint(settings)),
      onProgress: (step) => {
        say(t(`setup.step.${step}`));
        set({ settingUp: { step } });
      },
    });
    if (given) tokens.keep(given);
    noWhip = false;
    model.settingUp = null;
    judge(done.reading);
  } catch (/** @type {any} */ err) {
    model.settingUp = null;
    setupFailed(err);
  }
  await look();
  return done;
}

/**
 * Called when the person has clicked "Set up OBS".
 * @type {import('./views.js').Actions['setUp']}
 */
async function setUpByHand(force = false, encoder) {
  void first.tell({ kind: 'acted' });
  const done = await setUp(force, encoder);
  if (done) note(t(done.changed ? 'setup.done' : 'setup.unchanged'));
}

/** @param {string} profile */
const noteBack = (profile) => note(t('check.backDone', { profile }));

/** @param {any} err */
function setupFailed(err) {
  if (err.noWhip) noWhip = true; // only this refusal shows that OBS lacks WHIP
  if (err.noWhip && model.findings) return;
  const ours = err.name === 'SetupError';
  const cause = ours ? err.cause : err;
  const text =
    cause?.name === 'ApiError' ? errorText(cause) : ours ? t(err.text, err.values) : errorText(err);
  set({ setupError: { text, undone: ours ? err.undone : null } });
}

/* ---- the broadcast ---- */

/** @param {import('../lib/golive.js').Broadcast} state */
function broadcastChanged(state) {
  const before = model.broadcast.phase;
  model.broadcast = state;
  if (['starting', 'live'].includes(state.phase) && model.rehearsal.phase !== 'off')
    rehearsal.dismiss(); // the person has read the result, or it is out of date
  const summary = tally.follow(state, Date.now());
  if (summary || state.phase === 'starting') model.summary = summary;
  if (state.phase === 'live' && before !== 'live') meter.reset();
  if (state.phase === 'idle' && before !== 'idle') {
    model.sent = null;
    void look();
  }
  draw();
}

/** @param {import('../lib/rehearsal.js').State} state */
function rehearsalChanged(state) {
  const before = model.rehearsal.phase;
  model.rehearsal = state;
  model.quiet = rehearsal.muted;
  model.rehearsalViews = rehearsal.views;
  draw();
  // During the rehearsal, the state of OBS may have changed.
  if (before !== state.phase && !rehearsal.running) void broadcast.resume().then(look);
}

/** Cleans up in OBS after a rehearsal during which the page was closed. */
async function mendLate() {
  const resting = ['idle', 'trouble', 'reconnecting'].includes(model.broadcast.phase);
  if (!resting || rehearsal.running || model.settingUp || obs.status.phase !== 'ready') return;
  if (await rehearsal.mend()) await look();
}

async function measure() {
  if (model.broadcast.phase !== 'live' || obs.status.phase !== 'ready') return;
  try {
    const { at, status, stats } = await readCounters(obs);
    const sent = meter.add(at, status, stats);
    tally.sample(
      sent,
      model.present.find((p) => p.participantId === model.broadcast.participantId),
    );
    set({ sent });
  } catch {
    // the connection reports its own failures
  }
}

/** While OBS is set up and not streaming, makes sure that its token does not expire soon. */
function keepFresh() {
  const ready =
    obs.status.phase === 'ready' &&
    model.findings &&
    isReady(model.findings) &&
    !model.settingUp &&
    !gone?.isBusy() &&
    !rehearsal.running;
  if (ready && model.stage) void broadcast.keepFresh(model.stage.arn);
}

/** @type {import('./views.js').Actions} */
const actions = {
  connect(text, word, remember) {
    const address = obsAddress(text);
    if (!address) return set({ addressError: t('obs.badAddress') });
    set({ addressError: undefined, address: text.trim(), remembered: remember });
    localStorage.setItem(KEYS.address, text.trim());
    if (!remember) localStorage.removeItem(KEYS.password);
    password = word;
    if (!address.local) {
      obs.close();
      return void whyNot();
    }
    void obs.open(address.url, word);
  },
  retry() {
    if (obs.status.phase === 'lost') return obs.hurry();
    void obs.open(obs.status.url || (obsAddress(model.address)?.url ?? ''), password);
  },
  disconnect: () => obs.close(),
  forget() {
    for (const key of [KEYS.password, KEYS.secret, KEYS.encoders]) localStorage.removeItem(key);
    set({ remembered: false, paired: isPaired() });
  },
  look() {
    set({ readError: undefined });
    noWhip = false;
    void look();
  },
  setUp: setUpByHand,
  async back() {
    try {
      noteBack(await backToMyProfile(obs));
    } catch (/** @type {any} */ err) {
      set({
        setupError: { text: err.text ? t(err.text, err.values) : errorText(err), undone: null },
      });
    }
    void look();
  },
  go() {
    if (!model.stage || rehearsal.running) return;
    void first.tell({ kind: 'dismissed' });
    rehearsal.dismiss();
    void broadcast.go(model.stage.arn);
  },
  rehearse() {
    if (broadcast.state.phase === 'idle') rehearsal.begin();
  },
  rehearsal: {
    cancel: () => void rehearsal.cancel(),
    sound: rehearsal.sound,
    dismiss: () => rehearsal.dismiss(),
  },
  stop: () => void broadcast.stop(),
  async stopAndSetUp() {
    await broadcast.stop();
    if (broadcast.state.phase === 'idle') await setUpByHand(true);
  },
  dismiss() {
    model.setupError = null;
    broadcast.dismiss();
    draw();
  },
  dismissSummary: () => set({ summary: null }),
  choose(arn) {
    localStorage.setItem(KEYS.stage, arn);
    set({
      stage: model.stages.find((s) => s.arn === arn),
      present: presence.get(arn) ?? [],
      hand: { token: null, shown: false, busy: false },
    });
    people.goTo(arn);
    void look();
  },
  async handGet() {
    set({ hand: { ...model.hand, busy: true, error: undefined } });
    try {
      const token = await api('POST', 'api/tokens', { stage: model.stage?.arn, for: 'publish' });
      set({ hand: { token, shown: false, busy: false } });
    } catch (err) {
      set({ hand: { ...model.hand, busy: false, error: errorText(err) } });
    }
  },
  handShow: () => set({ hand: { ...model.hand, shown: !model.hand.shown } }),
  handClear: () => set({ hand: { token: null, shown: false, busy: false } }),
};

/* ---- the clock ---- */

/** @param {number} ms @param {() => void} work */
const every = (ms, work) =>
  setInterval(() => {
    if (model.me) work();
  }, ms);

function second() {
  const { token } = model.hand;
  if (token && Date.parse(token.expiresAt) <= Date.now()) actions.handClear();
  else if (
    model.broadcast.phase === 'live' ||
    model.rehearsal.phase === 'playing' ||
    picture.ticking
  )
    draw();
}

async function start() {
  await prepare();
  addEventListener('hashchange', () => showTab(tabOfAddress()));
  every(1_000, second);
  every(MEASURE_EVERY, measure);
  every(LOOK_EVERY, () => {
    if (!document.hidden && model.broadcast.phase === 'idle') void look();
  });
  every(FRESH_EVERY, keepFresh);
  every(LOOK_EVERY, mendLate);
  every(TELL_EVERY, report.now);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && model.broadcast.phase === 'idle') void look();
  });
  addEventListener('pagehide', () => {
    picture.stop();
    rehearsal.abandon();
    if (model.me) void report.end();
  });
  for (;;) {
    try {
      const me = (await enrolled()) ?? (await whoAmI());
      if (me) return arrive(me);
      signing.notice = whySignIn();
      draw();
      return ways.load();
    } catch (err) {
      page(
        header(null, 'dock'),
        h(
          'main',
          { className: 'card', key: 'error' },
          errorLine(errorText(err)),
          h('p', { className: 'hint' }, t('app.retries')),
        ),
      );
      await new Promise((resolve) => setTimeout(resolve, 3_000));
    }
  }
}

void start();
