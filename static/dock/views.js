/**
 * The views of the dock: functions that turn the state of the page into elements and texts. Nothing
 * here sends requests or changes the state.
 */
import { barText, barsView } from '../lib/bars.js';
import { checkbox, choice } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { SETTINGS } from '../lib/golive.js';
import { disagreements, mbits, percent } from '../lib/numbers.js';
import { STEPS } from '../lib/obs-setup.js';
import { bestHardware, encoderOf } from '../lib/encoders.js';
import { isReady, toFix } from '../lib/obs-check.js';
import { button, copyField, errorLine, field, form, withFlags } from '../lib/page.js';
import { pairingView, restartPicture } from '../lib/pairing.js';
import { has, number, said, serverSaid, span, t, time } from '../lib/strings.js';
import { afterView } from './after.js';

/**
 * @typedef {import('../lib/types.js').Me} Me
 * @typedef {import('../lib/types.js').Presence} Presence
 * @typedef {import('../lib/obs-check.js').Finding} Finding
 * @typedef {object} Model - the state of the page
 * @property {Me | null} me
 * @property {boolean} online whether the event stream is connected
 * @property {import('../lib/types.js').Stage | undefined} stage the chosen stage
 * @property {import('../lib/types.js').Stage[]} stages the stages on which the user may publish
 * @property {import('../lib/obs.js').ObsStatus} obs
 * @property {ReturnType<typeof import('../lib/obs.js').whyUnreachable>} why
 * @property {string} [addressError]
 * @property {string} address as typed
 * @property {boolean} remembered whether this browser stores the password of OBS
 * @property {string} version the version of OBS
 * @property {string} encoder the encoder of Advanced mode; '' in Simple mode
 * @property {string[]} encoders the IDs of the encoders that the script in OBS can set up
 * @property {string} profile the current profile of OBS
 * @property {boolean} paired a script has paired this dock with OBS
 * @property {string} scriptGone what to do if the script that paired this dock does not answer
 * @property {Finding[] | null} findings
 * @property {string} [readError]
 * @property {string | undefined} previous the profile that "Back to my profile" selects
 * @property {{step: string} | null} settingUp
 * @property {{text: string, undone: boolean | null} | null} setupError
 * @property {string} notice a sentence about what was just done
 * @property {import('../lib/golive.js').Broadcast} broadcast
 * @property {import('../lib/rehearsal.js').State} rehearsal
 * @property {typeof import('./rehearsal-views.js') | null} rehearsalViews null before the first
 *   rehearsal
 * @property {boolean} quiet whether the playback of a rehearsal is muted
 * @property {boolean} dying
 * @property {import('../lib/numbers.js').Sent | null} sent
 * @property {Presence[]} present the participants on the chosen stage
 * @property {import('../lib/types.js').Dock[]} others other docks of this account
 * @property {{token: import('../lib/types.js').Token | null, shown: boolean, busy: boolean, error?:
 *   string}} hand
 * @property {import('../lib/tally.js').Summary | null} summary of the broadcast that ended
 * @property {number} now
 *
 * @typedef {object} Actions - what the person can do
 * @property {(address: string, password: string, remember: boolean) => void} connect
 * @property {() => void} retry
 * @property {() => void} disconnect
 * @property {() => void} forget
 * @property {() => void} look
 * @property {(force?: boolean, encoder?: string) => void} setUp
 * @property {() => void} back
 * @property {() => void} go
 * @property {() => void} rehearse
 * @property {{cancel: () => void, sound: () => void, dismiss: () => void}} rehearsal
 * @property {() => void} stop
 * @property {() => void} stopAndSetUp
 * @property {() => void} dismiss
 * @property {() => void} dismissSummary
 * @property {(arn: string) => void} choose
 * @property {() => void} handGet
 * @property {() => void} handShow
 * @property {() => void} handClear
 */

/** The state of the dock. For each state, the dock offers one next step. @param {Model} m */
export function stateOf(m) {
  if (m.settingUp) return 'setting-up';
  if (m.obs.phase !== 'ready') return 'no-obs';
  if (['starting', 'playing', 'stopping'].includes(m.rehearsal.phase)) return 'rehearsing';
  // OBS is connected again, but its stream status was not read yet.
  if (m.broadcast.phase === 'away') return 'checking';
  if (m.broadcast.phase !== 'idle') return m.broadcast.phase;
  if (m.rehearsal.phase !== 'off') return 'rehearsed';
  if (m.setupError) return 'setup-failed';
  if (!m.findings) return 'checking';
  if (!isReady(m.findings)) return 'not-set-up';
  return m.stage ? 'ready' : 'no-stage';
}

/** @param {Model} m @param {Actions} act @returns {import('../lib/dom.js').Child[]} */
export function dockView(m, act) {
  const state = stateOf(m);
  const views = {
    'setting-up': settingUp,
    'no-obs': noObs,
    'setup-failed': setupFailed,
    checking,
    'not-set-up': notSetUp,
    ready,
    'no-stage': noStage,
    starting,
    live,
    reconnecting,
    stopping,
    trouble,
    rehearsing: rehearsingView,
    rehearsed: rehearsedView,
  };
  return [
    !m.online && h('p', { className: 'notice', key: 'offline' }, t('app.offline')),
    barsView(m.me?.bars),
    ...notices(m),
    !m.stage &&
      state !== 'no-stage' &&
      h('p', { className: 'notice warning', role: 'status', key: 'no-stage' }, noStageText(m)),
    h(
      'section',
      { className: `card state-${state}`, key: 'state' },
      ...views[/** @type {keyof typeof views} */ (state)](m, act),
    ),
    afterView(m.summary, act.dismissSummary),
    m.obs.phase === 'ready' && obsSection(m, act),
    byHand(m, act),
  ];
}

/** The announcement for screen readers when the state changes. @param {Model} m */
export function headline(m) {
  const state = stateOf(m);
  /** @type {Record<string, string>} */
  const words = {
    'setting-up': t('setup.running.title'),
    'no-obs': obsProblem(m),
    'setup-failed': t('setup.failedTitle'),
    checking: t('check.reading'),
    'not-set-up': t('check.title'),
    ready: t('live.ready'),
    'no-stage': [...(m.me?.bars ?? []).map(barText), noStageText(m)].join(' '),
    starting: t('live.starting'),
    live: t('live.live'),
    reconnecting: t('live.reconnecting'),
    stopping: t('live.stopping'),
    trouble: m.broadcast.reason ? reasonText(m.broadcast.reason) : '',
    rehearsing: notYet(m.rehearsal) || t(`rehearsal.${m.rehearsal.phase}`),
    rehearsed: rehearsalOver(m),
  };
  return words[state];
}

/** The problems of a live broadcast, the worst first. @param {Model} m */
function wrongs(m) {
  if (!m.stage) return [];
  return disagreements({
    sent: m.sent,
    presence: ownPresence(m),
    seconds: (m.now - m.broadcast.since) / 1000,
    limits: m.stage.limits,
  });
}

/** @param {Model} m */
const ownPresence = (m) => m.present.find((p) => p.participantId === m.broadcast.participantId);

/** The sentence about a live broadcast that has a problem, or ''. @param {Model} m */
export function worry(m) {
  if (m.broadcast.phase !== 'live') return '';
  const [first] = wrongs(m);
  return first
    ? t(first.text, first.values)
    : m.dying
      ? t('live.dying', { time: time(m.broadcast.expiresAt) })
      : '';
}

const KINDS = Object.freeze({
  'setting-up': 'busy',
  'no-obs': 'off',
  'setup-failed': 'bad',
  checking: 'off',
  'not-set-up': 'warning',
  ready: 'good',
  'no-stage': 'off',
  starting: 'busy',
  live: 'live',
  reconnecting: 'busy',
  stopping: 'busy',
  trouble: 'bad',
  rehearsing: 'busy',
  rehearsed: 'off',
});

/**
 * The broadcast in one line, for the tab People.
 * @param {Model} m
 * @param {Actions} act
 * @param {() => void} more
 */
export function airView(m, act, more) {
  const state = stateOf(m);
  const wrong = worry(m);
  const words = headline(m) || t('live.trouble');
  return h(
    'section',
    { className: `air state-${state}`, key: 'air', 'aria-label': t('tab.broadcast') },
    h(
      'button',
      {
        type: 'button',
        className: `to title ${KINDS[/** @type {keyof typeof KINDS} */ (state)]}`,
        onclick: more,
        title: wrong || words,
      },
      h('span', { className: 'dot', 'aria-hidden': 'true' }),
      state === 'live'
        ? h(
            'span',
            { className: 'on', key: 'on' },
            h(
              'span',
              { className: 'now' },
              h('span', null, words),
              h(
                'span',
                { className: 'clock', 'aria-hidden': 'true' },
                span((m.now - m.broadcast.since) / 1000),
              ),
            ),
            wrong && h('span', { className: 'clamped worry', key: 'worry' }, wrong),
          )
        : h('span', { className: 'clamped', key: 'words' }, words),
    ),
    state === 'rehearsing' &&
      button(t('app.cancel'), act.rehearsal.cancel, {
        className: 'cancel',
        key: 'cancel-rehearsal',
      }),
    state === 'starting' &&
      button(t('app.cancel'), act.stop, { className: 'cancel', key: 'cancel' }),
    (state === 'live' ||
      state === 'reconnecting' ||
      (state === 'trouble' && m.broadcast.sending)) &&
      button(t('live.stop'), act.stop, { className: 'danger', key: 'stop' }),
  );
}

/** @param {Model} m */
function notices(m) {
  const first = m.others.find((d) => d.live) ?? m.others[0];
  if (!first)
    return [m.notice && h('p', { className: 'notice good toast', key: 'notice' }, m.notice)];
  const where = first.agent.includes('OBS/') ? t('docks.inObs') : t('docks.inBrowser');
  const same = Boolean(first.participantId) && first.participantId === m.broadcast.participantId;
  const text = same
    ? t('docks.same')
    : first.live && m.stage && m.broadcast.phase !== 'live'
      ? t('docks.live', { where })
      : t('docks.other', { where, since: time(first.since), time: time(first.since) });
  return [
    m.notice && h('p', { className: 'notice good toast', key: 'notice' }, m.notice),
    h('p', { className: first.live && !same ? 'notice warning' : 'notice', key: 'docks' }, text),
  ];
}

/** @param {string} kind @param {string} text @param {import('../lib/dom.js').Child} [detail] */
const title = (kind, text, detail) =>
  h(
    'h1',
    { className: `title ${kind}` },
    h('span', { className: 'dot', 'aria-hidden': 'true' }),
    h('span', { className: 'words' }, text),
    detail,
  );

/* ---- finding OBS ---- */

/** @param {Model} m */
function obsProblem(m) {
  // The sentence does not change during further attempts, so that the layout stays the same.
  if (m.obs.phase === 'connecting' && m.obs.attempts === 0) return t('obs.connecting');
  if (m.obs.phase === 'starting') return t('obs.starting');
  if (m.obs.phase === 'password' && m.obs.triedPassword)
    return t(m.paired ? 'pair.refused' : 'obs.wrongPassword');
  if (m.obs.phase === 'password') return t('obs.needsPassword');
  if (m.obs.phase === 'kicked') return t('obs.kicked');
  if (m.obs.phase === 'unsupported') return t('obs.unsupported');
  if (m.obs.phase === 'off' && m.obs.everReady && m.why !== 'other_computer') return t('obs.left');
  if (m.obs.everReady && m.why !== 'other_computer') return t('obs.lost');
  if (isLost(m)) return t('pair.unreachable', { address: m.address });
  return t(`obs.${m.why}`);
}

/** Whether the page has not found an OBS on this computer so far. @param {Model} m */
const isOff = ({ obs: { phase, everReady }, why }) =>
  ['off', 'lost', 'connecting'].includes(phase) && why !== 'other_computer' && !everReady;

/** Whether a dock that a script has paired does not find OBS. @param {Model} m */
const isLost = (m) => m.paired && isOff(m) && m.obs.attempts > 0;

/**
 * The view of a paired dock that OBS refuses, or that does not find OBS. The advice is to restart
 * OBS, because at each start the script passes the current port and password to the dock.
 * @param {Model} m
 * @param {Actions} act
 */
function pairedNoObs(m, act) {
  const refused = m.obs.phase === 'password';
  return [
    title('warning', t(refused ? 'pair.refusedTitle' : 'obs.title')),
    h('p', { className: 'lead', key: 'problem' }, obsProblem(m)),
    h('p', { key: 'cure' }, h('b', null, t(refused ? 'pair.cure' : 'pair.cureOff'))),
    restartPicture(),
    h('h2', { key: 'by-hand' }, t('pair.byHandTitle')),
    howToFind(refused ? [1, 3] : [1, 2, 3]),
    connectForm(m, act),
    button(t('obs.retry'), act.retry, { className: 'wide', key: 'retry' }),
    m.remembered && button(t('obs.forget'), act.forget, { className: 'link', key: 'forget' }),
    h(
      'details',
      { className: 'section', key: 'again' },
      h('summary', null, t('pair.noScript')),
      pairingView({ publicUrl: m.me?.publicUrl }),
    ),
  ];
}

/** How to find the WebSocket server's settings in OBS. @param {number[]} steps */
const howToFind = (steps) =>
  h(
    'ol',
    { className: 'steps', key: 'how' },
    ...steps.map((n) => h('li', null, t(`obs.how.${n}`))),
  );

/** @param {Model} m @param {Actions} act */
function noObs(m, act) {
  const { phase } = m.obs;
  const off = phase === 'off' || phase === 'lost' || phase === 'connecting';
  if (isLost(m) || (m.paired && phase === 'password')) return pairedNoObs(m, act);
  const unpaired = isOff(m) && !m.paired;
  return [
    title(phase === 'password' || phase === 'kicked' ? 'warning' : 'off', t('obs.title')),
    h('p', { className: 'lead', key: 'problem' }, obsProblem(m)),
    unpaired && pairingView({ publicUrl: m.me?.publicUrl }),
    unpaired && h('h2', { key: 'by-hand' }, t('pair.byHandTitle')),
    unpaired && m.why === 'off' && howToFind([0, 1, 2, 3]),
    phase === 'kicked'
      ? button(t('obs.reconnect'), act.retry, { className: 'primary wide' })
      : phase !== 'starting' && phase !== 'unsupported' && connectForm(m, act),
    // The button is shown from the start. Otherwise everything below it would move when the first
    // attempt fails.
    ((off && (m.why === 'off' || m.obs.attempts > 0)) || phase === 'unsupported') &&
      button(t('obs.retry'), act.retry, { className: 'wide', key: 'retry' }),
    m.remembered && button(t('obs.forget'), act.forget, { className: 'link', key: 'forget' }),
    phase === 'password' &&
      h(
        'details',
        { className: 'section', key: 'again' },
        h('summary', null, t('pair.title')),
        pairingView({ publicUrl: m.me?.publicUrl }),
      ),
  ];
}

/** @param {Model} m @param {Actions} act */
function connectForm(m, act) {
  return form(
    {
      key: 'connect',
      submit: t('obs.connect'),
      error: m.addressError,
      onsubmit: (d) => act.connect(d.address, d.obsPassword, d.remember === 'on'),
    },
    field(t('obs.password'), { name: 'obsPassword', type: 'password', autocomplete: 'off' }),
    field(t('obs.address'), {
      name: 'address',
      value: m.address,
      inputMode: 'url',
      placeholder: '127.0.0.1:4455',
    }),
    checkbox(t('obs.remember'), { name: 'remember', defaultChecked: m.remembered }),
  );
}

/* ---- what OBS has set ---- */

/** @param {Model} m @param {Actions} act */
function checking(m, act) {
  return [
    title('off', t('check.reading')),
    errorLine(m.readError && t('obs.readFailed', { message: m.readError })),
    m.readError && button(t('check.again'), act.look, { className: 'primary wide' }),
  ];
}

/** @param {Finding} f */
const finding = (f) =>
  h(
    'li',
    { className: f.level, key: f.id, id: f.blocks && `finding-${f.id}` },
    h('span', { className: 'mark', role: 'img', 'aria-label': t(`level.${f.level}`) }),
    h('span', null, t(f.text, f.values)),
  );

/** @param {Model} m @param {Actions} act */
function notSetUp(m, act) {
  const findings = m.findings ?? [];
  const blocking = findings.filter((f) => f.blocks);
  const list = findings.filter((f) => f.level !== 'ok' && !f.blocks);
  const fine = findings.filter((f) => f.level === 'ok').length;
  const hopeless = blocking.some((f) => f.id === 'whip');
  return [
    title('warning', t(toFix(findings).length > 0 ? 'check.title' : 'check.blockedTitle')),
    toFix(findings).length > 0 && h('p', { className: 'lead' }, t('check.lead')),
    blocking.length > 0 &&
      h('ul', { className: 'findings', key: 'blocking' }, ...blocking.map(finding)),
    !hopeless &&
      button(t('check.go'), () => act.setUp(), {
        className: 'primary wide',
        disabled: blocking.length > 0 || !m.stage,
        key: 'setup',
        'aria-describedby': blocking.length > 0 ? `finding-${blocking[0].id}` : undefined,
      }),
    !hopeless && blocking.length === 0 && encoderButton(m, act),
    list.length > 0 && h('ul', { className: 'findings', key: 'findings' }, ...list.map(finding)),
    fine > 1 && h('p', { className: 'hint', key: 'fine' }, t('check.fine', { n: fine })),
    m.stage &&
      !hopeless &&
      mayGoAnyway(findings) &&
      button(t('check.anyway'), act.go, { className: 'link', key: 'anyway' }),
    hopeless && button(t('check.again'), act.look, { className: 'wide', key: 'look' }),
  ];
}

/**
 * Whether the person may go live without setting OBS up, because WHIP works in spite of the
 * findings.
 * @param {Finding[]} findings
 */
const mayGoAnyway = (findings) =>
  findings.every(
    (f) =>
      f.level === 'ok' ||
      !['whip', 'service', 'audio', 'account', 'encoder', 'busy.stream'].includes(f.id),
  );

/**
 * A button that switches to the encoder of the graphics card, if the script in OBS can set it up,
 * or back to x264.
 * @param {Model} m
 * @param {Actions} act
 */
function encoderButton(m, act) {
  if (!m.stage) return null;
  const hardware = bestHardware(m.encoders);
  const inUse = encoderOf(m.encoder)?.hardware ?? false;
  if (inUse && m.findings?.some((f) => f.id === 'encoderFile'))
    return button(t('encoder.processor'), () => act.setUp(false, ''), {
      className: 'wide',
      key: 'encoder',
    });
  return (
    hardware &&
    !inUse &&
    button(t('encoder.graphics', { encoder: hardware.name }), () => act.setUp(false, hardware.id), {
      className: 'wide',
      key: 'encoder',
    })
  );
}

/** @param {Model} m */
function settingUp(m) {
  const at = STEPS.indexOf(/** @type {any} */ (m.settingUp?.step));
  return [
    title('busy', t('setup.running.title')),
    h('progress', { max: STEPS.length, value: at + 1, 'aria-label': t('setup.running.title') }),
    h(
      'ol',
      { className: 'progress' },
      ...STEPS.map((step, i) =>
        h(
          'li',
          {
            className: i < at ? 'past' : i === at ? 'now' : '',
            key: step,
            'aria-current': i === at && 'step',
          },
          t(`setup.step.${step}`),
        ),
      ),
    ),
  ];
}

/** @param {Model} m @param {Actions} act */
function setupFailed(m, act) {
  const e = m.setupError;
  return [
    title('bad', t('setup.failedTitle')),
    h('p', { className: 'error' }, e?.text),
    e?.undone !== null &&
      h('p', { className: 'hint' }, t(e?.undone ? 'setup.undone' : 'setup.notUndone')),
    button(t('app.again'), () => act.setUp(), { className: 'primary wide' }),
    button(t('live.dismiss'), act.dismiss, { className: 'link' }),
  ];
}

/**
 * The findings that only the person can fix, except those that block, which the page shows
 * separately.
 * @param {Model} m
 */
const forThePerson = (m) => (m.findings ?? []).filter((f) => f.level === 'person' && !f.blocks);

/**
 * The collapsed section about OBS: the findings that the view of the state does not show, and the
 * buttons that check OBS again, return to the previous profile and disconnect.
 * @param {Model} m
 * @param {Actions} act
 */
function obsSection(m, act) {
  const idle =
    m.broadcast.phase === 'idle' || (m.broadcast.phase === 'trouble' && !m.broadcast.sending);
  const above = stateOf(m) === 'ready' ? forThePerson(m) : [];
  return h(
    'details',
    { className: 'section', key: 'obs' },
    h('summary', null, t('obs.connected', { version: m.version })),
    m.scriptGone && h('p', { className: 'notice', key: 'script-gone' }, withFlags(m.scriptGone)),
    stateOf(m) !== 'not-set-up' &&
      h(
        'ul',
        { className: 'findings', 'aria-label': t('check.section') },
        ...(m.findings ?? []).filter((f) => !above.includes(f)).map(finding),
      ),
    !idle && h('p', { className: 'hint' }, t('check.stream')),
    idle && stateOf(m) === 'ready' && encoderButton(m, act),
    h(
      'div',
      { className: 'row wrap' },
      button(t('check.again'), act.look, { disabled: !idle }),
      m.previous &&
        button(t('check.backTo', { profile: m.previous }), act.back, {
          disabled: !idle || m.settingUp !== null,
        }),
      button(t('obs.disconnect'), act.disconnect),
      m.remembered && button(t('obs.forget'), act.forget),
    ),
  );
}

/* ---- going live ---- */

/** @param {Model} m @param {Actions} act */
function stageChoice(m, act) {
  if (m.stages.length === 1)
    return h(
      'p',
      { className: 'stage', key: 'stage' },
      h('span', { className: 'label' }, t('live.stage')),
      h('b', { dir: 'auto' }, m.stage?.name),
    );
  return choice(
    t('live.stage'),
    { id: 'stage', chosen: m.stage?.arn, onchoose: act.choose },
    m.stages.map((s) => [s.arn, s.name]),
  );
}

/** @param {Model} m */
const noStageText = (m) => t(m.me?.bars?.length ? 'bars.noOther' : 'live.noStage');

/** @param {Model} m */
function noStage(m) {
  return [title('off', t('live.ready')), h('p', { className: 'lead' }, noStageText(m))];
}

/** The findings that only the person can fix. @param {Finding[]} findings */
const yoursList = (findings) =>
  h(
    'ul',
    { className: 'findings', key: 'yours', 'aria-label': t('check.yours') },
    ...findings.map(finding),
  );

/** @param {Model} m @param {Actions} act */
function ready(m, act) {
  const until = m.broadcast.expiresAt;
  const yours = forThePerson(m);
  return [
    title('good', t('live.ready')),
    stageChoice(m, act),
    h(
      'div',
      { className: 'start', key: 'start' },
      button(t('live.go'), act.go, { className: 'primary large', key: 'go' }),
      m.me?.rehearsal &&
        button(t('rehearsal.go'), act.rehearse, {
          className: 'large',
          key: 'try',
          title: t('rehearsal.lead'),
        }),
    ),
    yours.length > 0 && yoursList(yours),
    h(
      'p',
      { className: 'hint', key: 'token' },
      until > m.now ? t('live.tokenUntil', { time: time(until) }) : t('live.tokenLater'),
    ),
  ];
}

/** @param {string} now */
function startSteps(now) {
  const steps = ['token', 'settings', 'obs', 'stage'];
  const at = Math.max(0, steps.indexOf(now));
  return h(
    'ol',
    { className: 'progress', key: 'steps' },
    ...steps.map((step, i) =>
      h(
        'li',
        {
          className: i < at ? 'past' : i === at ? 'now' : '',
          key: step,
          'aria-current': i === at && 'step',
        },
        t(`live.step.${step}`),
      ),
    ),
  );
}

/** @param {Actions} act */
const rehearsalActs = (act) => ({
  ...act.rehearsal,
  begin: act.rehearse,
  go: act.go,
  setUp: () => act.setUp(true),
});

/** What keeps a rehearsal from starting so far, or ''. @param {Model['rehearsal']} rehearsal */
const notYet = ({ phase, reason }) => (phase === 'starting' && reason ? reasonText(reason) : '');

/** @param {Model} m @param {Actions} act */
function rehearsingView(m, act) {
  if (!m.rehearsalViews) return [title('busy', t('rehearsal.starting'))];
  const { rehearsal: s, now, quiet } = m;
  const clock =
    s.phase === 'playing' &&
    h('span', { className: 'clock', 'aria-hidden': 'true' }, String(m.rehearsalViews.left(s, now)));
  return m.rehearsalViews.rehearsing(
    s,
    { now, muted: quiet, reason: notYet(s) },
    rehearsalActs(act),
    title('busy', t(`rehearsal.${s.phase}`), clock),
    startSteps,
  );
}

const GRAVITY = Object.freeze({ ok: 'good', warning: 'warning', bad: 'bad' });

/**
 * The worst level of picture, sound and network.
 * @param {Model} m
 * @returns {keyof typeof GRAVITY}
 */
function worst({ rehearsal: { score } }) {
  const levels = score ? Object.values(score).map(([first]) => first.level) : ['bad'];
  return levels.includes('bad') ? 'bad' : levels.includes('warning') ? 'warning' : 'ok';
}

/** @param {Model} m */
const rehearsalOver = (m) =>
  t(m.rehearsal.score ? `rehearsal.overall.${worst(m)}` : 'rehearsal.failed');

/** @param {Model} m @param {Actions} act */
function rehearsedView(m, act) {
  const { reason } = m.rehearsal;
  const above = title(GRAVITY[worst(m)], rehearsalOver(m));
  const dismiss = button(t('live.dismiss'), act.rehearsal.dismiss, {
    className: 'link',
    key: 'dismiss',
  });
  const [heading, ...rest] = m.rehearsalViews?.rehearsed(
    m.rehearsal,
    rehearsalActs(act),
    above,
  ) ?? [above, dismiss];
  return [
    heading,
    reason && h('p', { className: 'error', key: 'reason' }, reasonText(reason)),
    ...rest,
  ];
}

/** @param {Model} m @param {Actions} act */
function starting(m, act) {
  return [
    title('busy', t('live.starting')),
    m.broadcast.renewing &&
      h(
        'p',
        { className: 'lead', key: 'renewing' },
        m.broadcast.reason ? reasonText(m.broadcast.reason) : t('live.renewing'),
      ),
    startSteps(m.broadcast.step),
    button(t('app.cancel'), act.stop, { className: 'wide', key: 'cancel' }),
  ];
}

/**
 * Problems that setting up OBS cannot fix in Advanced mode. Below them, the page lists the findings
 * that only the person can fix, because these say what to do.
 */
const THEIRS = Object.freeze([
  'wrong.bitrate',
  'wrong.bFrames',
  'wrong.keyframes',
  'wrong.profile',
]);

/** @param {Model} m @param {Actions} act */
function live(m, act) {
  const seconds = (m.now - m.broadcast.since) / 1000;
  const theirs = forThePerson(m);
  const wrong = wrongs(m);
  return [
    title(
      'live',
      t('live.live'),
      h(
        'span',
        {
          className: 'clock',
          role: 'timer',
          'aria-label': t('live.since', { time: time(m.broadcast.since) }),
        },
        span(seconds),
      ),
    ),
    ...wrong.map((w) =>
      h('p', { className: 'warning', key: w.text, role: 'status' }, t(w.text, w.values)),
    ),
    theirs.length > 0 && wrong.some((w) => THEIRS.includes(w.text)) && yoursList(theirs),
    wrong.some((w) => w.cure === 'setup' && !(theirs.length > 0 && THEIRS.includes(w.text))) &&
      button(t('live.stopAndSetUp'), act.stopAndSetUp, { className: 'primary wide', key: 'cure' }),
    m.dying &&
      h(
        'p',
        { className: 'warning', key: 'dying' },
        t('live.dying', { time: time(m.broadcast.expiresAt) }),
      ),
    button(t('live.stop'), act.stop, { className: 'danger wide large', key: 'stop' }),
    numbers(m, ownPresence(m)),
  ];
}

/** @param {Model} m @param {Presence | undefined} presence */
function numbers(m, presence) {
  const { sent } = m;
  const reception = presence?.reception;
  const waiting = t('numbers.waiting');
  return h(
    'dl',
    { className: 'numbers', key: 'numbers' },
    ...row('numbers.viewers', String(presence?.viewers ?? 0)),
    ...row('numbers.people', String(m.present.filter((p) => p.publishing).length)),
    ...row(
      'numbers.sent',
      sent && sent.bitrate > 0
        ? t('numbers.mbits', { mbits: number(mbits(sent.bitrate)) })
        : waiting,
    ),
    ...row('numbers.receives', ...(reception ? receives(reception) : [waiting])),
    ...row(
      'numbers.encoder',
      t('numbers.percent', { percent: number(percent(sent?.encoderLag ?? 0)) }),
    ),
    ...row(
      'numbers.render',
      t('numbers.percent', { percent: number(percent(sent?.renderLag ?? 0)) }),
    ),
  );
}

/** @param {string} name @param {...string} values */
const row = (name, ...values) => [
  h('dt', { key: name }, t(name)),
  h('dd', { key: `${name}=` }, ...values.map((v) => h('span', null, v))),
];

/** Lines about the media that the stage receives. @param {import('../lib/types.js').Reception} r */
export function receives({ video, audio, loss }) {
  const lines = [];
  if (video) {
    lines.push(
      t('numbers.video', {
        width: video.width,
        height: video.height,
        fps: number(Math.round(video.fps)),
        mbits: number(mbits(video.bitrate)),
      }),
    );
    lines.push(
      video.keyframeInterval > 0
        ? t('numbers.codec', {
            codec: video.codec,
            profile: video.profile,
            seconds: number(video.keyframeInterval),
          })
        : t('numbers.codecOnly', { codec: video.codec, profile: video.profile }),
    );
  }
  if (audio)
    lines.push(
      t('numbers.audio', {
        codec: audio.codec === 'opus' ? 'Opus' : audio.codec,
        kbits: Math.round(audio.bitrate / 1000),
      }),
    );
  lines.push(t('numbers.loss', { percent: number(percent(loss)) }));
  return lines;
}

/** @param {Model} m @param {Actions} act */
function reconnecting(m, act) {
  return [
    title('busy', t('live.reconnecting')),
    m.broadcast.reason &&
      h('p', { className: 'warning', key: 'reason' }, reasonText(m.broadcast.reason)),
    h(
      'p',
      { className: 'lead' },
      t(m.broadcast.renewing && !m.broadcast.reason ? 'live.renewing' : 'live.reconnectingText'),
    ),
    button(t('live.stop'), act.stop, { className: 'danger wide', key: 'stop' }),
  ];
}

function stopping() {
  return [title('busy', t('live.stopping'))];
}

/** @param {Model} m @param {Actions} act */
function trouble(m, act) {
  const { reason, sending } = m.broadcast;
  const foreign = reason?.text === 'live.elsewhere' || reason?.text === 'live.otherToken';
  const setUp = reason && (reason.code === 'setup' || SETTINGS.includes(reason.code ?? ''));
  return [
    title(
      'bad',
      t(foreign ? 'live.sendingTitle' : sending ? 'live.troubleSending' : 'live.trouble'),
    ),
    h('p', { className: 'error', key: 'reason' }, reason ? reasonText(reason) : ''),
    sending
      ? button(t('live.stop'), act.stop, { className: 'danger wide', key: 'stop' })
      : setUp
        ? button(t('live.setUpAgain'), () => act.setUp(true), {
            className: 'primary wide',
            key: 'setup',
          })
        : m.stage && button(t('live.again'), act.go, { className: 'primary wide', key: 'again' }),
    !sending && button(t('live.dismiss'), act.dismiss, { className: 'link', key: 'dismiss' }),
  ];
}

/**
 * The server's sentence, or the page's own if the server sent none.
 * @param {import('../lib/golive.js').Reason} reason
 */
function reasonText({ text, values = {}, detail, code = '', byRole }) {
  if (detail) return serverSaid(code, detail, { byRole });
  const message = said(values.message ?? '').replace(/\.$/, '');
  return has(text) ? t(text, { ...values, message }) : t('api.failed', { code });
}

/* ---- by hand ---- */

/**
 * The manual steps: endpoint and token to copy. Shown with and without OBS.
 * @param {Model} m
 * @param {Actions} act
 */
function byHand(m, act) {
  const { token, shown, busy, error } = m.hand;
  return h(
    'details',
    { className: 'section', key: 'hand' },
    h('summary', null, t('hand.title')),
    m.stage && h('p', { className: 'hint', key: 'lead' }, t('hand.lead')),
    m.stage
      ? m.obs.phase !== 'ready' && stageChoice(m, act)
      : h('p', { className: 'hint', key: 'none' }, noStageText(m)),
    token && copyField({ key: 'endpoint', label: t('hand.server'), text: token.endpoint }),
    token &&
      copyField({
        key: 'token',
        label: t('hand.token'),
        text: token.token,
        masked: !shown,
        onmask: act.handShow,
      }),
    token &&
      h('p', { className: 'hint', key: 'until' }, t('hand.until', { time: time(token.expiresAt) })),
    errorLine(error),
    m.stage &&
      (token
        ? button(t('hand.hide'), act.handClear, { key: 'clear' })
        : button(t('hand.get'), act.handGet, { key: 'get', disabled: busy, className: 'wide' })),
  );
}
