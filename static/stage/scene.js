/**
 * Browser sources in OBS: creates one for a person or a layout, or finds the existing one, so that
 * there are never two.
 */

/** @typedef {import('../lib/obs.js').ObsCaller} Obs */
/** @typedef {'added' | 'updated' | 'there' | 'looks'} Done */

/** obs-websocket's RequestStatus. */
const NOT_FOUND = 600;
const EXISTS = 601;
const NO_KIND = 605;

/** The reason why a source was not created. `text` is a key of static/strings. */
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
 * @typedef {{stage: string, view: string}} Shown - the view of the key in an address
 * @typedef {{name: string, url: string, shown: Shown | null}} Ours - a source that shows a page of
 *   Stagedoor; `shown` is null if the key of the source is no longer valid
 *
 * @typedef {object} Source
 * @property {string} name the name of the source, unless another source already has this name
 * @property {{arn: string, name: string}} stage
 * @property {string} view
 * @property {boolean} canvas whether the source has the size of OBS's canvas; if not, it has
 *   1280 × 720
 * @property {(url: string) => boolean} ours
 * @property {(url: string) => Promise<Shown | null>} shows
 * @property {(url: string) => string} [dress] the address with the look that was chosen
 * @property {() => Promise<{url: string, discard: () => Promise<unknown>}>} make creates an address
 *   with a new key; discard deletes the key
 */

/**
 * Puts a source into the current scene. If a source already shows the same, it is used, no matter
 * what its name is. Otherwise, if the source with that name has a revoked key, it gets a new key.
 * So two clicks create only one source and one key. A source that shows another person or stage is
 * not changed, and the new source gets another name.
 * @param {Obs} obs
 * @param {Source} source
 * @returns {Promise<{done: Done, scene: string}>}
 */
export async function addToScene(obs, source) {
  const { currentProgramSceneName: scene } = await obs.call('GetCurrentProgramScene');
  const { inputs } = await obs.call('GetInputList');
  const ours = await lookAt(obs, source, inputs);
  const same = ours.find(
    ({ shown }) => shown?.view === source.view && shown.stage === source.stage.arn,
  );
  const name = same?.name ?? nameFor(source, ours, inputs);
  const before = same ?? ours.find((o) => o.name === name);
  if (!before) {
    await create(obs, scene, source, name);
    return { done: 'added', scene };
  }
  if (!same) {
    await made(source, (url) =>
      obs.call('SetInputSettings', {
        inputName: name,
        inputSettings: { url, reroute_audio: true },
        overlay: true,
      }),
    );
  }
  const looks = same && source.dress ? source.dress(same.url) : '';
  if (same && looks && looks !== same.url)
    await obs.call('SetInputSettings', {
      inputName: name,
      inputSettings: { url: looks },
      overlay: true,
    });
  const { sceneItems } = await obs.call('GetSceneItemList', { sceneName: scene });
  const there = sceneItems.some((/** @type {any} */ item) => item.sourceName === name);
  if (!there)
    await obs.call('CreateSceneItem', {
      sceneName: scene,
      sourceName: name,
      sceneItemEnabled: true,
    });
  return {
    done: !there ? 'added' : !same ? 'updated' : looks && looks !== same.url ? 'looks' : 'there',
    scene,
  };
}

/**
 * The views that Stagedoor's sources in OBS show.
 * @param {Obs} obs @param {Source} source @param {{inputName: string, inputKind: string}[]} inputs
 */
async function lookAt(obs, source, inputs) {
  /** @type {Ours[]} */
  const found = [];
  for (const { inputName: name, inputKind } of inputs) {
    if (inputKind !== 'browser_source') continue;
    const url = await addressOf(obs, name);
    if (source.ours(url)) found.push({ name, url, shown: await source.shows(url) });
  }
  return found;
}

/** @param {Obs} obs @param {string} name */
async function addressOf(obs, name) {
  try {
    return (await obs.call('GetInputSettings', { inputName: name })).inputSettings.url ?? '';
  } catch (/** @type {any} */ err) {
    if (err.code === NOT_FOUND) return ''; // the source was just removed
    throw err;
  }
}

/**
 * The first name that is free, or whose source has a revoked key. The stage's name distinguishes
 * sources of two stages, and a number distinguishes two people of one name. If a source that is not
 * Stagedoor's has the name, this is an error.
 * @param {Source} source
 * @param {Ours[]} ours
 * @param {{inputName: string}[]} inputs
 */
function nameFor({ name, stage }, ours, inputs) {
  const shown = (/** @type {string} */ called) => ours.find((o) => o.name === called)?.shown;
  const taken = (/** @type {string} */ called) =>
    inputs.some((i) => i.inputName === called) && shown(called) !== null;
  if (!taken(name)) return name;
  const other = shown(name);
  if (!other) throw new SceneError('scene.taken', { name });
  const ofStage = `${name} (${stage.name})`;
  if (other.stage !== stage.arn && !taken(ofStage)) return ofStage;
  for (let n = 2; ; n++) if (!taken(`${name} ${n}`)) return `${name} ${n}`;
}

/**
 * Shortens a name to the name of a source, which OBS shows in one line.
 * @param {string} name
 */
export const sourceName = (name) =>
  `Stagedoor: ${[...name.replace(/[\s\p{Cc}]+/gu, ' ').trim()].slice(0, 64).join('')}`;

/** @param {Obs} obs @param {string} scene @param {Source} source @param {string} name */
async function create(obs, scene, source, name) {
  const size = source.canvas ? await canvasSize(obs) : { width: 1280, height: 720 };
  try {
    await made(source, (url) =>
      obs.call('CreateInput', {
        sceneName: scene,
        inputName: name,
        inputKind: 'browser_source',
        sceneItemEnabled: true,
        // With reroute_audio, the person's sound gets a fader in OBS's mixer, and the broadcaster
        // does not hear it twice.
        inputSettings: {
          url,
          ...size,
          reroute_audio: true,
          shutdown: false,
          restart_when_active: false,
          css: '',
        },
      }),
    );
  } catch (/** @type {any} */ err) {
    if (err.code === NO_KIND) throw new SceneError('scene.noBrowser');
    if (err.code === EXISTS) throw new SceneError('scene.taken', { name });
    throw err;
  }
}

/**
 * Creates a key for the source. If OBS refuses the source, deletes the key again.
 * @param {Source} source @param {(url: string) => Promise<unknown>} use
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

/**
 * The key in the address of a source, or ''.
 * @param {string} url
 * @param {string} page the address of Stagedoor's source page
 */
export function keyIn(url, page) {
  const [address, key = ''] = url.split('#');
  return address.split('?')[0] === page ? key : '';
}
