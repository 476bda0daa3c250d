/** Browser sources in OBS: their viewing keys, and the actions on them. */
import { api, problem } from '../lib/api.js';
import { copy } from '../lib/copy.js';
import { byId } from '../lib/dom.js';
import { errorText, href } from '../lib/page.js';
import { dressed } from '../lib/stage/look.js';
import { LAYOUTS } from '../lib/stage/view.js';
import { t } from '../lib/strings.js';
import { addToScene, keyIn, sourceName } from './scene.js';

/**
 * @param {object} about
 * @param {import('./views.js').Model} about.model
 * @param {import('./onstage.js').About['obs']} about.obs
 * @param {() => void} about.changed
 */
export function createSources({ model, obs, changed }) {
  const { note, load, working } = createWork(model, changed);

  return {
    note,
    load,
    /** @type {import('./views.js').Actions['add']} */
    add(view, name) {
      if (obs.status.phase !== 'ready') return openSources(note);
      void working(async () => {
        const ours = href('source');
        const { done, scene } = await addToScene(obs, {
          name: sourceName(name),
          stage: /** @type {import('../lib/types.js').Stage} */ (model.stage),
          view,
          canvas: LAYOUTS.includes(view),
          ours: (url) => keyIn(url, ours) !== '',
          shows,
          dress: (url) => dressed(url, model.look),
          make: () => makeView(model, view),
        });
        note(t(`scene.done.${done}`, { name, scene }));
      });
    },
    /** @type {import('./views.js').Actions['copy']} */
    copy(view, name) {
      void working(async () => {
        const { url } = await makeView(model, view);
        model.made = { label: t('scene.urlOf', { name }), url };
        changed();
        const how = await copy(/** @type {HTMLInputElement} */ (byId('c-source-url')), url);
        note(how === 'copied' ? t('scene.copied') : t('app.select'));
      });
    },
    /** @type {import('./views.js').Actions['revoke']} */
    revoke(view) {
      void working(async () => {
        await api('DELETE', `api/views/${view.id}`);
        model.made = null;
        note(t('view.revoked'));
      });
    },
  };
}

/**
 * Carries out actions one at a time, and shows the result of each.
 * @param {import('./views.js').Model} model
 * @param {() => void} changed
 */
function createWork(model, changed) {
  /**
   * Shows a message: an error until the person closes it, any other for a while.
   * @param {string} text @param {boolean} [bad] whether it is an error
   */
  function note(text, bad = false) {
    const mine = { text, bad };
    model.note = mine;
    changed();
    if (!bad)
      setTimeout(() => {
        if (model.note === mine) {
          model.note = null;
          changed();
        }
      }, 6_000);
  }

  async function load() {
    try {
      const { views } = await api('GET', 'api/views');
      model.views = views.filter(
        (/** @type {import('../types.js').View} */ v) => v.stage === model.stage?.arn,
      );
      changed();
    } catch {
      // the list is read again after the next change
    }
  }

  /** @param {() => Promise<void>} work */
  async function working(work) {
    if (model.working) return;
    model.working = true;
    model.note = null;
    changed();
    try {
      await work();
    } catch (/** @type {any} */ err) {
      note(err.name === 'SceneError' ? t(err.text, err.values) : errorText(err), true);
    }
    model.working = false;
    await load();
    changed();
  }

  return { note, load, working };
}

/** @param {(text: string) => void} note */
function openSources(note) {
  const section = /** @type {HTMLDetailsElement} */ (byId('sources'));
  section.open = true;
  section.scrollIntoView({ block: 'nearest' });
  note(t('scene.connectFirst'));
}

/**
 * @param {import('./views.js').Model} model
 * @param {string} view
 * @returns {Promise<{url: string, discard: () => Promise<unknown>}>}
 */
async function makeView(model, view) {
  const made = await api('POST', 'api/views', { stage: model.stage?.arn, view });
  return {
    url: dressed(made.url, model.look),
    discard: () => api('DELETE', `api/views/${made.id}`).catch(() => {}),
  };
}

/**
 * The view of the key in an address, or null when the key is no longer valid.
 * @param {string} url
 */
async function shows(url) {
  const key = keyIn(url, href('source'));
  const response = await fetch(href('api/view'), {
    headers: { Authorization: `Bearer ${key}` },
    credentials: 'omit',
  });
  if ([401, 403, 404].includes(response.status)) return null;
  // Other errors, for example of a busy server, do not mean that the key is invalid.
  if (!response.ok) throw await problem(response);
  return response.json();
}
