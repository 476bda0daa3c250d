/**
 * The console's keys: what signs the tokens of local stages, and of stages of Amazon IVS in each
 * region.
 */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { field, form } from '../lib/page.js';
import { has, t, time } from '../lib/strings.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../types').V1Keys} Keys */
/** @typedef {import('../types').OwnKey} OwnKey */

/** @param {OwnKey} key */
const row = (key) =>
  h(
    'li',
    { key: key.name },
    h('b', { className: 'main' }, key.name),
    h(
      'span',
      { className: key.state === 'active' ? 'tag good' : 'tag' },
      has(`op.keyState.${key.state}`) ? t(`op.keyState.${key.state}`) : key.state,
    ),
    h('span', { className: 'hint' }, time(key.createdAt)),
    h(
      'span',
      { className: 'hint rest' },
      [
        key.kms && `KMS ${key.kms}`,
        key.arn,
        key.state === 'retiring' &&
          key.lastExpiry &&
          t('op.keyDeleted', { time: time(key.lastExpiry) }),
      ]
        .filter(Boolean)
        .join(' · '),
    ),
  );

/** @param {Console} console @returns {import('./operator.js').Page} */
export function createKeys(console) {
  const { act, asking, draw, errorAt, failed, state } = console;
  /** @type {Keys | null} */
  let keys = null;

  async function load() {
    try {
      keys = await api('GET', 'api/v1/keys');
      draw();
    } catch (err) {
      failed(err, 'keys');
    }
  }

  /** @param {string} region @param {Keys} all */
  function card(region, { keys: all }) {
    const path = `api/v1/keys/${encodeURIComponent(region)}`;
    const here = all.filter((k) => k.region === region);
    const signs = here.some((k) => k.state === 'active' || k.state === 'new');
    const from = (/** @type {Record<string, string>} */ d) => (d.kms ? { kms: d.kms.trim() } : {});
    return h(
      'section',
      { className: 'card', key: region },
      h('h2', null, region),
      h('p', { className: 'hint' }, t(signs ? 'op.keySigns' : 'op.keyNone')),
      here.length > 0 && h('ul', { className: 'lines', key: 'list' }, ...here.map(row)),
      errorAt(region),
      form(
        {
          key: `key-${region}-${signs}-${state.sent}`,
          submit: t(signs ? 'op.keyRotate' : 'op.keyCreate'),
          busy: state.busy,
          className: 'inline',
          onsubmit: (d) => void act('POST', signs ? `${path}/rotate` : path, from(d), region),
        },
        field(t('op.keyKms'), {
          name: 'kms',
          id: `kms-${region}`,
          maxLength: 300,
          placeholder: 'alias/…',
        }),
      ),
      signs &&
        asking(
          `retire ${region}`,
          t('op.keyRetire'),
          t('op.sureRetire'),
          region,
          () => void act('DELETE', path, undefined, region),
        ),
    );
  }

  return {
    load,
    view: () =>
      h(
        'div',
        { className: 'columns', key: 'keys' },
        h(
          'section',
          { className: 'card', key: 'local' },
          h('h1', null, t('op.tab.keys')),
          errorAt('keys'),
          h('h2', null, t('op.localKey')),
          h('p', { className: 'hint' }, t('op.localKeyLead')),
          keys
            ? h('p', { key: 'id' }, h('code', null, keys.localKey))
            : h('p', { className: 'hint', key: 'loading' }, t('app.loading')),
          keys?.regions.length === 0 && h('p', { className: 'hint', key: 'none' }, t('op.awsNone')),
        ),
        ...(keys?.regions ?? []).map((region) => card(region, /** @type {Keys} */ (keys))),
      ),
  };
}
