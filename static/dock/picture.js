/** The card "No OBS at hand?": this page publishes a test picture with a token of its user. */
import { api } from '../lib/api.js';
import { byId, h } from '../lib/dom.js';
import { late } from '../lib/late.js';
import { button, errorLine, errorText, href } from '../lib/page.js';
import { has, serverSaid, span, t } from '../lib/strings.js';

/**
 * @typedef {ReturnType<typeof import('../lib/test-picture.js').createTestPicture>} TestPicture
 *
 * @typedef {object} About
 * @property {() => import('../lib/types.js').Stage | undefined} stage
 * @property {() => void} changed
 */

export class PicturePart {
  #about;
  /**
   * Loaded, like the picture, when the person first sends a test picture.
   * @type {ReturnType<typeof import('../lib/stage/publishing.js').createPublishing> | null}
   */
  #publishing = null;
  /** @type {TestPicture | null} */
  #picture = null;
  #loading = false;
  /** Why the code could not be loaded. */
  #failed = '';
  #where = { arn: '', name: '' };

  /** @param {About} about */
  constructor(about) {
    this.#about = about;
  }

  get #state() {
    return this.#publishing?.state ?? { phase: 'idle', why: null, since: 0 };
  }

  stop = () => this.#publishing?.stop();

  /** @param {import('../lib/types.js').StageEvent} e */
  stageEvent = (e) => this.#publishing?.stageEvent(e);

  /** @param {boolean} obs whether OBS is connected, so that the person needs no test picture */
  view(obs) {
    const { phase, why, since } = this.#state;
    const active = this.#picture !== null;
    const stage = this.#about.stage();
    // If the card shows the reason why the picture ended, it stays even if the person no longer has
    // a stage.
    if (phase !== 'ended' && !active && (!stage || obs)) return [];
    return [
      pictureView({
        phase,
        since,
        active,
        error: (why && whyText(why)) || this.#failed,
        stage: this.#where.name,
        start: stage && (() => void this.#start()),
        stop: this.stop,
      }),
    ];
  }

  /** Whether no test picture is sent, and the view need not explain why one has ended. */
  get idle() {
    return this.#picture === null && this.#state.phase !== 'ended';
  }

  /** Removes the reason why a test picture on this stage ended. @param {string} arn */
  forget(arn) {
    if (this.#state.phase === 'ended' && this.#where.arn === arn) this.stop();
  }

  /** Attaches the canvas, which later calls do not move. */
  drawn() {
    if (!this.#picture) return;
    const { canvas } = this.#picture;
    const frame = byId('test-picture');
    if (canvas.parentNode !== frame) frame.replaceChildren(canvas);
    canvas.setAttribute('aria-label', t('picture.title'));
  }

  /** Whether the view shows a running clock. */
  get ticking() {
    return this.#state.phase === 'live';
  }

  async #start() {
    const chosen = this.#about.stage();
    if (!chosen || this.#picture || this.#loading) return;
    this.#loading = true;
    this.#failed = '';
    try {
      const loaded = await Promise.all([loadPicture(), loadPublishing()]);
      this.#begin(chosen, ...loaded);
    } catch (err) {
      this.#failed = errorText(err);
      this.#about.changed();
    }
    this.#loading = false;
  }

  /**
   * @param {import('../lib/types.js').Stage} chosen
   * @param {typeof import('../lib/test-picture.js')} picture
   * @param {typeof import('../lib/stage/publishing.js')} publishing
   */
  #begin(chosen, { createTestPicture }, { createPublishing }) {
    this.#where = { arn: chosen.arn, name: chosen.name };
    this.#picture = createTestPicture(t('picture.on', { stage: chosen.name }));
    this.#publishing ??= createPublishing({
      token: () => api('POST', 'api/tokens', { stage: this.#where.arn, for: 'publish' }),
      stream: () => /** @type {TestPicture} */ (this.#picture).stream,
      send: async (what) => (await loadSend()).send(what),
      changed: ({ phase }) => {
        if (phase === 'ended' || phase === 'idle') this.#drop();
        this.#about.changed();
      },
    });
    this.#publishing.start();
    // The person has clicked below the other cards. While the picture is sent, its card is above
    // them.
    byId('test-picture').scrollIntoView({ block: 'nearest' });
  }

  #drop() {
    this.#picture?.stop();
    this.#picture = null;
  }
}

/** @type {() => Promise<typeof import('../lib/test-picture.js')>} */
const loadPicture = late(new URL('../lib/test-picture.js', import.meta.url));
/** @type {() => Promise<typeof import('../lib/stage/publishing.js')>} */
const loadPublishing = late(new URL('../lib/stage/publishing.js', import.meta.url));
/** @type {() => Promise<typeof import('../lib/stage/send.js')>} */
const loadSend = late(new URL('../lib/stage/send.js', import.meta.url));

/** @param {import('../lib/stage/publishing.js').Why} why */
function whyText({ code, detail, byRole }) {
  if (detail) return serverSaid(code, detail, { byRole });
  return has(`api.${code}`)
    ? t(`api.${code}`)
    : code === 'sdk'
      ? t('stage.sdk')
      : t('picture.failed', { code });
}

/**
 * @param {{phase: string, since: number, active: boolean, error: string, stage: string,
 *   start: (() => void) | undefined, stop: () => void}} about
 */
function pictureView({ phase, since, active, error, stage, start, stop }) {
  if (!active) {
    return h(
      'section',
      { className: 'card picture', key: 'picture', 'aria-labelledby': 'picture-title' },
      h('h2', { id: 'picture-title' }, t(start && !error ? 'picture.none' : 'picture.title')),
      start && !error && h('p', { className: 'hint', key: 'lead' }, t('picture.lead')),
      errorLine(error),
      start && button(t('picture.start'), start, { className: 'wide', key: 'start' }),
    );
  }
  const live = phase === 'live';
  return h(
    'section',
    {
      className: 'card picture',
      key: 'picture',
      'aria-labelledby': 'picture-title',
      'data-phase': phase,
    },
    h(
      'h2',
      { id: 'picture-title', className: live ? 'title live' : 'title busy' },
      h('span', { className: 'dot', 'aria-hidden': 'true' }),
      h('span', { className: 'words', role: 'status' }, t(`picture.${phase}`, { stage })),
      live &&
        h('span', { className: 'clock', 'aria-hidden': 'true' }, span((Date.now() - since) / 1000)),
    ),
    h('div', { id: 'test-picture', className: 'screen', keep: true, key: 'screen' }),
    live &&
      h(
        'p',
        { className: 'hint', key: 'watch' },
        h('a', { href: href('watch'), target: '_blank', rel: 'noopener' }, t('menu.watch')),
      ),
    button(t('picture.stop'), stop, { className: 'danger wide', key: 'stop' }),
  );
}
