/** "Try it": the rehearsal in the dock. What carries it out is loaded when it is needed. */
import { h } from '../lib/dom.js';
import { button } from '../lib/page.js';
import { mend } from '../lib/rehearsing.js';
import { t } from '../lib/strings.js';

/** @typedef {import('../lib/rehearsal.js').State} State */
/** @typedef {import('../lib/rehearsal-score.js').Mark} Mark */

/** Seconds that are played back. */
export const SECONDS = 20;

/** @type {Readonly<State>} */
export const NONE = Object.freeze({
  phase: 'off',
  step: '',
  since: 0,
  reason: null,
  cancelled: false,
  score: null,
});

/** The server does not even give what carries it out. @type {Readonly<State>} */
const AWAY = Object.freeze({ ...NONE, phase: 'failed', reason: { text: 'api.unreachable' } });

/** What "Set up OBS" cures. */
const SETUP = Object.freeze([
  'tooLarge',
  'bFrames',
  'keyframes',
  'noKeyframes',
  'profile',
  'notOpus',
  'bitrateOver',
  'bitrateHigh',
]);

/**
 * @param {object} world
 * @param {import('../lib/obs.js').ObsCaller} world.obs
 * @param {() => import('../lib/types.js').Limits | undefined} world.limits
 * @param {(state: State) => void} world.changed
 */
export function createRehearsalPart({ obs, limits, changed }) {
  /** @type {ReturnType<typeof import('../lib/rehearsal.js').createRehearsal> | null} */
  let made = null;
  let loading = false;
  const bar = h('span', { className: 'level' });

  async function begin() {
    const now = limits();
    if (loading || made?.running || !now) return;
    loading = true;
    const { createRehearsal } = await import('../lib/rehearsal.js').finally(() => {
      loading = false;
    });
    const level = (/** @type {number} */ share) => fill(bar, share);
    // A new one each time: the last one may have been cut off.
    made = createRehearsal({
      obs,
      onChange: changed,
      limits: () => limits() ?? now,
      level,
      earlier: made?.earlier ?? null,
    });
    made.begin();
  }

  const part = {
    begin: () => void begin().catch(() => changed(AWAY)),
    cancel: async () => void (await made?.cancel()),
    dismiss: () => (made ? made.dismiss() : changed(NONE)),
    /** While it runs OBS is its own: nothing else looks at OBS, or changes it. */
    get running() {
      return loading || (made?.running ?? false);
    },
    /** @param {string} state */
    obsState: (state) => made?.obsState(state),
    obsClosed: () => made?.obsClosed(),
    /** @param {import('../lib/types.js').StageEvent} event */
    stageEvent: (event) => made?.stageEvent(event),
    /** The page goes: nothing waits for an answer. The next page puts the rest in order. */
    abandon: () => void (made?.running && obs.call('StopStream').catch(() => {})),
    /** Takes what a rehearsal left in OBS out of it. @returns {Promise<boolean>} if it did */
    async mend() {
      const done = !part.running && (await mend(obs, made?.earlier ?? null).catch(() => false));
      if (done) made?.mended();
      return done;
    },
    sound() {
      if (!made?.screen) return;
      made.screen.muted = !made.screen.muted;
      changed(made.state);
    },
    get muted() {
      return made?.screen?.muted ?? true;
    },
    drawn: () => void (made?.state.phase === 'playing' && made.screen && hang(made.screen, bar)),
  };
  return part;
}

/** 20 times a second: the page is not drawn for it. @param {HTMLElement} bar @param {number} share */
function fill(bar, share) {
  bar.style.clipPath = `inset(0 ${Math.round((1 - share) * 100)}% 0 0)`;
}

/** Picture and bar are never moved. @param {HTMLVideoElement} screen @param {HTMLElement} bar */
function hang(screen, bar) {
  const frame = document.getElementById('rehearsal-screen');
  const meter = document.getElementById('rehearsal-level');
  if (!frame || !meter) return; // OBS is gone: the page shows that
  screen.setAttribute('aria-label', t('rehearsal.picture'));
  if (screen.parentNode !== frame) frame.replaceChildren(screen);
  if (bar.parentNode !== meter) meter.replaceChildren(bar);
}

/**
 * @typedef {object} Deeds
 * @property {() => void} cancel
 * @property {() => void} sound
 * @property {() => void} begin
 * @property {() => void} dismiss
 * @property {() => void} go
 * @property {() => void} setUp
 */

/**
 * While it runs.
 * @param {State} s
 * @param {{now: number, muted: boolean}} about
 * @param {Deeds} act
 * @param {Node} heading
 * @param {(now: string) => Node} steps
 */
export function rehearsing(s, { now, muted }, act, heading, steps) {
  return [
    heading,
    h('p', { className: 'lead', key: 'lead' }, t('rehearsal.lead')),
    s.phase === 'starting' && steps(s.step),
    s.phase === 'playing' &&
      h('div', { id: 'rehearsal-screen', className: 'screen', keep: true, key: 'screen' }),
    s.phase === 'playing' &&
      h('div', {
        id: 'rehearsal-level',
        className: 'meter',
        keep: true,
        key: 'level',
        'aria-hidden': 'true',
      }),
    s.phase === 'playing' &&
      h('progress', {
        max: SECONDS,
        value: Math.min(SECONDS, (now - s.since) / 1000),
        key: 'time',
        'aria-label': t('rehearsal.left', { n: left(s, now) }),
      }),
    s.phase === 'playing' &&
      button(t(muted ? 'watch.sound' : 'watch.mute'), act.sound, {
        className: 'wide',
        key: 'sound',
      }),
    s.phase !== 'stopping' &&
      button(t('app.cancel'), act.cancel, { className: 'wide', key: 'cancel' }),
  ];
}

/** Seconds that are left. @param {State} s @param {number} now */
export const left = (s, now) => Math.max(0, Math.ceil(SECONDS - (now - s.since) / 1000));

/** How it went. @param {State} s @param {Deeds} act @param {Node} heading */
export function rehearsed(s, act, heading) {
  const marks = s.score ? Object.values(s.score).flat() : [];
  const curable = marks.some(({ name, level }) => level !== 'ok' && SETUP.includes(name));
  const bad = marks.some(({ level }) => level === 'bad');
  const best = 'primary wide';
  return [
    heading,
    ...(s.score
      ? [
          topic('picture', s.score.picture),
          topic('sound', s.score.sound),
          topic('network', s.score.network),
        ]
      : []),
    curable && button(t('live.setUpAgain'), act.setUp, { className: best, key: 'setup' }),
    button(t('rehearsal.again'), act.begin, {
      className: !curable && (bad || !s.score) ? best : 'wide',
      key: 'again',
    }),
    s.score &&
      button(t('live.go'), act.go, { className: curable || bad ? 'wide' : best, key: 'go' }),
    button(t('live.dismiss'), act.dismiss, { className: 'link', key: 'dismiss' }),
  ];
}

/** How the marks look in the list of findings. */
const LOOKS = Object.freeze({ ok: 'ok', warning: 'person', bad: 'bad' });

/** @param {'picture' | 'sound' | 'network'} name @param {Mark[]} marks */
function topic(name, marks) {
  return h(
    'section',
    {
      className: 'topic',
      key: name,
      'data-topic': name,
      'data-level': marks[0].level,
      'aria-labelledby': `rehearsal-${name}`,
    },
    h('h2', { id: `rehearsal-${name}` }, t(`rehearsal.topic.${name}`)),
    h(
      'ul',
      { className: 'findings' },
      ...marks.map((m) =>
        h(
          'li',
          { className: LOOKS[m.level], key: m.name, 'data-mark': m.name },
          h('span', {
            className: 'mark',
            role: 'img',
            'aria-label': t(`rehearsal.level.${m.level}`),
          }),
          h(
            'span',
            null,
            t(`rehearsal.${m.name}`, m.values),
            m.level !== 'ok' && ' ',
            m.level !== 'ok' &&
              h('span', { className: 'cure' }, t(`rehearsal.${m.name}.cure`, m.values)),
          ),
        ),
      ),
    ),
  );
}
