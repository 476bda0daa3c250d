/** "Try it": the rehearsal in the dock. Its code is loaded when a rehearsal begins. */
import { h } from '../lib/dom.js';
import { late } from '../lib/late.js';
import { t } from '../lib/strings.js';

/** @typedef {import('../lib/rehearsal.js').State} State */

/** @type {Readonly<State>} */
export const NONE = Object.freeze({
  phase: 'off',
  step: '',
  since: 0,
  reason: null,
  cancelled: false,
  score: null,
});

/** The state if the code could not be loaded from the server. @type {Readonly<State>} */
const AWAY = Object.freeze({ ...NONE, phase: 'failed', reason: { text: 'api.unreachable' } });

/**
 * @param {object} deps
 * @param {import('../lib/obs.js').ObsCaller} deps.obs
 * @param {() => import('../lib/types.js').Limits | undefined} deps.limits
 * @param {(state: State) => void} deps.changed
 */
export function createRehearsalPart({ obs, limits, changed }) {
  /** @type {ReturnType<typeof import('../lib/rehearsal.js').createRehearsal> | null} */
  let made = null;
  let loading = false;
  /** @type {typeof import('./rehearsal-views.js') | null} */
  let views = null;
  const bar = h('span', { className: 'level' });

  async function begin() {
    const now = limits();
    if (loading || made?.running || !now) return;
    loading = true;
    const [{ createRehearsal }, look] = await load().finally(() => (loading = false));
    views = look;
    made = createRehearsal({
      obs,
      onChange: changed,
      limits: () => limits() ?? now,
      level: (share) => fill(bar, share),
      earlier: made?.earlier ?? null,
    });
    made.begin();
  }

  const part = {
    begin: () => void begin().catch(() => changed(AWAY)),
    cancel: async () => void (await made?.cancel()),
    dismiss: () => (made ? made.dismiss() : changed(NONE)),
    /** While a rehearsal runs, other parts of the dock must not read or change OBS's settings. */
    get running() {
      return loading || (made?.running ?? false);
    },
    obsState: (/** @type {string} */ state) => made?.obsState(state),
    obsClosed: () => made?.obsClosed(),
    /** @param {import('../lib/types.js').StageEvent} event */
    stageEvent: (event) => made?.stageEvent(event),
    /** Called when the page closes. The next page cleans up OBS. */
    abandon: () => void (made?.running && obs.call('StopStream').catch(() => {})),
    /** Restores OBS after an interrupted rehearsal. The next connection retries a failure. */
    async mend() {
      if (part.running) return false;
      const done = await mendLate(obs, made?.earlier ?? null).catch(() => false);
      if (done) made?.mended();
      return done;
    },
    get views() {
      return views;
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

/** @type {typeof import('../lib/rehearsing.js').mend} */
const mendLate = async (obs, earlier) => {
  const { mend } = await loadMend();
  return mend(obs, earlier);
};

/** @type {() => Promise<typeof import('../lib/rehearsing.js')>} */
const loadMend = late(new URL('../lib/rehearsing.js', import.meta.url));
/** @type {() => Promise<typeof import('../lib/rehearsal.js')>} */
const loadRehearsal = late(new URL('../lib/rehearsal.js', import.meta.url));
/** @type {() => Promise<typeof import('./rehearsal-views.js')>} */
const loadViews = late(new URL('./rehearsal-views.js', import.meta.url));

const load = () => Promise.all([loadRehearsal(), loadViews()]);

/**
 * Shows the level of the sound. It is called 20 times a second, so it does not draw the page.
 * @param {HTMLElement} bar
 * @param {number} share
 */
function fill(bar, share) {
  bar.style.clipPath = `inset(0 ${Math.round((1 - share) * 100)}% 0 0)`;
}

/**
 * Attaches the picture and the level bar at the first call. Later calls do not move them.
 * @param {HTMLVideoElement} screen
 * @param {HTMLElement} bar
 */
function hang(screen, bar) {
  const frame = document.getElementById('rehearsal-screen');
  const meter = document.getElementById('rehearsal-level');
  if (!frame || !meter) return; // the connection to OBS has ended, and the page says so
  screen.setAttribute('aria-label', t('rehearsal.picture'));
  if (screen.parentNode !== frame) frame.replaceChildren(screen);
  if (bar.parentNode !== meter) meter.replaceChildren(bar);
}
