/**
 * "No OBS at hand?": a test picture that this page publishes by itself, with a token of the
 * person's.
 */
import { api } from '../lib/api.js';
import { byId, h } from '../lib/dom.js';
import { button, errorLine, href } from '../lib/page.js';
import { createPublishing } from '../lib/stage/publishing.js';
import { has, serverSaid, span, t } from '../lib/strings.js';

/**
 * @param {object} about
 * @param {() => import('../lib/types.js').Stage | undefined} about.stage
 * @param {() => void} about.changed
 */
export function createPicturePart({ stage, changed }) {
  /** @type {ReturnType<typeof import('../lib/test-picture.js').createTestPicture> | null} */
  let picture = null;
  let loading = false;
  let where = { arn: '', name: '' };
  const publishing = createPublishing({
    token: () => api('POST', 'api/tokens', { stage: where.arn, for: 'publish' }),
    stream: () => /** @type {NonNullable<typeof picture>} */ (picture).stream,
    // With the dock only when it is needed.
    send: async (about) => (await import('../lib/stage/send.js')).send(about),
    changed({ phase }) {
      if (phase === 'ended' || phase === 'idle') drop();
      changed();
    },
  });

  function drop() {
    picture?.stop();
    picture = null;
  }

  async function start() {
    const chosen = stage();
    if (!chosen || picture || loading) return;
    loading = true;
    const { createTestPicture } = await import('../lib/test-picture.js').finally(() => {
      loading = false;
    });
    where = { arn: chosen.arn, name: chosen.name };
    picture = createTestPicture(t('picture.on', { stage: chosen.name }));
    publishing.start();
  }

  return {
    stop: publishing.stop,
    stageEvent: publishing.stageEvent,
    /** @param {boolean} obs it is connected: the test picture is not what the person came for */
    view(obs) {
      const { phase, why, since } = publishing.state;
      const active = picture !== null;
      if (!stage() || (obs && !active && phase !== 'ended')) return [];
      return [
        pictureView({
          phase,
          since,
          active,
          error: why && whyText(why),
          stage: where.name,
          start: () => void start(),
          stop: publishing.stop,
        }),
      ];
    },
    /** The canvas is never moved. */
    drawn() {
      if (!picture) return;
      const frame = byId('test-picture');
      if (picture.canvas.parentNode !== frame) frame.replaceChildren(picture.canvas);
      picture.canvas.setAttribute('aria-label', t('picture.title'));
    },
    /** The clock goes on. */
    get ticking() {
      return publishing.state.phase === 'live';
    },
  };
}

/** @param {import('../lib/stage/publishing.js').Why} why */
function whyText({ code, detail }) {
  if (detail) return serverSaid(code, detail);
  return has(`api.${code}`)
    ? t(`api.${code}`)
    : code === 'sdk'
      ? t('stage.sdk')
      : t('picture.failed', { code });
}

/**
 * @param {{phase: string, since: number, active: boolean, error: string | null, stage: string,
 *   start: () => void, stop: () => void}} about
 */
function pictureView({ phase, since, active, error, stage, start, stop }) {
  if (!active) {
    return h(
      'section',
      { className: 'card picture', key: 'picture', 'aria-labelledby': 'picture-title' },
      h('h2', { id: 'picture-title' }, t('picture.none')),
      h('p', { className: 'hint' }, t('picture.lead')),
      errorLine(error ?? ''),
      button(t('picture.start'), start, { className: 'wide', key: 'start' }),
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
