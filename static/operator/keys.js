/**
 * The console's page of the keys that sign tokens: of local stages, and of AWS stages in each
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

class KeysPage {
  /** @type {Keys | null} */
  keys = null;

  /** @param {Console} console */
  constructor(console) {
    this.console = console;
  }

  async load() {
    try {
      this.keys = await api('GET', 'api/v1/keys');
      this.console.draw();
    } catch (err) {
      this.console.failed(err, 'keys');
    }
  }

  view() {
    const { keys } = this;
    return h(
      'div',
      { className: 'columns', key: 'keys' },
      this.localCard(),
      ...(keys?.regions ?? []).map((region) =>
        this.regionCard(
          region,
          keys?.keys.filter((k) => k.region === region),
        ),
      ),
    );
  }

  localCard() {
    const { keys } = this;
    const local = keys?.localKey !== ''; // a Lambda function has no local stages
    return h(
      'section',
      { className: 'card', key: 'local' },
      h('h1', null, t('op.tab.keys')),
      this.console.errorAt('keys'),
      local && h('h2', { key: 'name' }, t('op.localKey')),
      local && h('p', { className: 'hint', key: 'lead' }, t('op.localKeyLead')),
      !keys && h('p', { className: 'hint', key: 'loading' }, t('app.loading')),
      keys && local && h('p', { key: 'id' }, h('code', null, keys.localKey)),
      keys?.regions.length === 0 && h('p', { className: 'hint', key: 'none' }, t('op.awsNone')),
    );
  }

  /** @param {string} region @param {OwnKey[]} [keys] the own keys of the region */
  regionCard(region, keys = []) {
    const { act, asking, errorAt } = this.console;
    const setting = this.keys?.setting;
    const signs = keys.some((k) => k.state === 'active' || k.state === 'new');
    return h(
      'section',
      { className: 'card', key: region },
      h('h2', null, region),
      !setting &&
        h('p', { className: 'hint', key: 'who' }, t(signs ? 'op.keySigns' : 'op.keyNone')),
      keys.length > 0 && h('ul', { className: 'lines', key: 'list' }, ...keys.map(row)),
      errorAt(region),
      setting && h('p', { className: 'hint', key: 'setting' }, t('op.keySetting', { setting })),
      !setting && this.newKeyForm(region, signs),
      !setting &&
        signs &&
        h(
          'div',
          { className: 'row wrap', key: 'retire' },
          asking(
            `retire ${region}`,
            t('op.keyRetire'),
            t('op.sureRetire'),
            region,
            () =>
              void act('DELETE', keyPath(region), undefined, {
                where: region,
                done: t('op.done.keyRetired', { region }),
              }),
          ),
        ),
    );
  }

  /**
   * Creates the first key of a region, or rotates it.
   * @param {string} region
   * @param {boolean} signs
   */
  newKeyForm(region, signs) {
    const { act, state } = this.console;
    const path = signs ? `${keyPath(region)}/rotate` : keyPath(region);
    return form(
      {
        key: `key-${region}-${signs}-${state.sent}`,
        submit: t(signs ? 'op.keyRotate' : 'op.keyCreate'),
        busy: state.busy,
        className: 'inline',
        onsubmit: ({ kms }) =>
          void act('POST', path, kms ? { kms: kms.trim() } : {}, {
            where: region,
            done: t('op.done.keyCreated', { region }),
          }),
      },
      field(t('op.keyKms'), {
        name: 'kms',
        id: `kms-${region}`,
        maxLength: 300,
        placeholder: 'alias/…',
      }),
    );
  }
}

/** @param {string} region */
const keyPath = (region) => `api/v1/keys/${encodeURIComponent(region)}`;

/** @param {Console} console @returns {import('./operator.js').Page} */
export const createKeys = (console) => new KeysPage(console);
