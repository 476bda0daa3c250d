/** Browser sources in OBS: makes one for a person or a layout, finds the one that is there, and never makes it twice. */

/** @typedef {import('../lib/obs.js').ObsCaller} Obs */
/** @typedef {'added' | 'updated' | 'there'} Done */

/** obs-websocket's RequestStatus. */
const NOT_FOUND = 600;
const EXISTS = 601;
const NO_KIND = 605;

/** Why a source was not made; text is for the words. */
export class SceneError extends Error {
  /** @param {string} text @param {Record<string, string>} [values] */
  constructor(text, values = {}) {
    super(text);
    this.name = 'SceneError';
    this.text = text;
    this.values = values;
  }
}

/**
 * Puts a source into the current scene. A source of that name that shows a page of ours is taken: with its address when the
 * key in it still works, else with a new one. So two clicks make one source and one key.
 * @param {Obs} obs
 * @param {object} source
 * @param {string} source.name
 * @param {boolean} source.canvas as large as the canvas, instead of one picture
 * @param {(url: string) => Promise<boolean>} source.works whether this address is ours and shows that view
 * @param {(url: string) => boolean} source.ours
 * @param {() => Promise<{url: string, discard: () => Promise<unknown>}>} source.make makes a new address; discard takes it back
 * @returns {Promise<{done: Done, scene: string}>}
 */
export async function addToScene(obs, source) {
  const { currentProgramSceneName: scene } = await obs.call('GetCurrentProgramScene');
  const before = await inputNamed(obs, source.name);
  if (!before) {
    await create(obs, scene, source);
    return { done: 'added', scene };
  }
  if (before.kind !== 'browser_source' || !source.ours(before.url)) throw new SceneError('scene.taken', { name: source.name });
  const works = await source.works(before.url);
  if (!works) {
    await made(source, (url) => obs.call('SetInputSettings', { inputName: source.name, inputSettings: { url, reroute_audio: true }, overlay: true }));
  }
  const { sceneItems } = await obs.call('GetSceneItemList', { sceneName: scene });
  const there = sceneItems.some((/** @type {any} */ item) => item.sourceName === source.name);
  if (!there) await obs.call('CreateSceneItem', { sceneName: scene, sourceName: source.name, sceneItemEnabled: true });
  return { done: there ? (works ? 'there' : 'updated') : 'added', scene };
}

/** @param {Obs} obs @param {string} name @returns {Promise<{kind: string, url: string} | null>} */
async function inputNamed(obs, name) {
  try {
    const { inputKind, inputSettings } = await obs.call('GetInputSettings', { inputName: name });
    return { kind: inputKind, url: inputSettings.url ?? '' };
  } catch (/** @type {any} */ err) {
    if (err.code === NOT_FOUND) return null;
    throw err;
  }
}

/** @param {Obs} obs @param {string} scene @param {Parameters<typeof addToScene>[1]} source */
async function create(obs, scene, source) {
  const { name } = source;
  const size = source.canvas ? await canvasSize(obs) : { width: 1280, height: 720 };
  try {
    await made(source, (url) => obs.call('CreateInput', {
      sceneName: scene, inputName: name, inputKind: 'browser_source', sceneItemEnabled: true,
      // reroute_audio: the person's sound gets a fader in OBS's mixer, and the broadcaster does not hear it twice.
      inputSettings: { url, ...size, reroute_audio: true, shutdown: false, restart_when_active: false, css: '' },
    }));
  } catch (/** @type {any} */ err) {
    if (err.code === NO_KIND) throw new SceneError('scene.noBrowser');
    if (err.code === EXISTS) throw new SceneError('scene.taken', { name });
    throw err;
  }
}

/**
 * A key that OBS did not take is of no use to anybody.
 * @param {Parameters<typeof addToScene>[1]} source @param {(url: string) => Promise<unknown>} use
 */
async function made({ make }, use) {
  const { url, discard } = await make();
  try {
    await use(url);
  } catch (err) {
    await discard();
    throw err;
  }
}

/** @param {Obs} obs */
async function canvasSize(obs) {
  const { baseWidth, baseHeight } = await obs.call('GetVideoSettings');
  return { width: baseWidth, height: baseHeight };
}

/** The key in the address of a source, or ''. @param {string} url @param {string} page the address of our source page */
export const keyIn = (url, page) => (url.startsWith(`${page}#`) ? url.slice(page.length + 1) : '');
