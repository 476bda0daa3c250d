/** The console's records: the audit trail, tokens, and what programs use. */
import { api, base } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { button, copyField, field, form } from '../lib/page.js';
import { t, time } from '../lib/strings.js';
import { choice, createList } from './list.js';
import { tokenItem } from './tokens.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../types').V1Entry} Entry */

const ACTIONS = ['login.created', 'login.failed', 'user.created', 'user.suspended', 'user.removed', 'access.given', 'access.removed',
  'rule.changed', 'stage.created', 'stage.removed', 'participant.kicked', 'token.revoked', 'key.created', 'key.revoked'];

/** @param {Console} console */
export function createTokens({ act, asking, draw, state }) {
  const list = createList({ path: 'api/v1/tokens', member: 'tokens', keyOf: (/** @type {import('../types').V1Token} */ k) => k.participantId, draw });
  return {
    load: list.load,
    view: () => h('section', { className: 'card', key: 'tokens' },
      h('h2', null, t('op.tokens')),
      ...list.view({
        search: t('op.searchTokens'), empty: t('op.noTokens'),
        row: (k) => tokenItem(k, k.stage, k.user.name, (id) => void act('DELETE', `api/tokens/${encodeURIComponent(id)}`),
          { live: state.live.get(k.stage)?.has(k.participantId), asking }),
        more: [choice(t('op.tokenState'), 'state', [['', t('op.anyState')], ['active', t('op.active')], ['expired', t('op.expired')], ['revoked', t('op.revoked')]],
          list.state.filters.state ?? '', (state) => list.filter('state', state))],
      })),
  };
}

/** @param {Console} console */
export function createRecords({ draw }) {
  const list = createList({ path: 'api/v1/audit', member: 'audit', keyOf: (/** @type {Entry} */ e) => e.id, draw });

  /** Saves what is in the trail now, for a spreadsheet. */
  async function save() {
    const answer = await fetch(new URL('api/v1/audit?limit=500', base), { headers: { Accept: 'text/csv' } });
    const url = URL.createObjectURL(await answer.blob());
    h('a', { href: url, download: 'stagedoor-audit.csv' }).click();
    URL.revokeObjectURL(url);
  }

  /** @param {Entry} e */
  const row = (e) => h('li', { className: 'item', key: e.id },
    h('div', { className: 'head' }, h('b', null, e.action), h('span', { className: 'hint' }, time(e.time)),
      h('span', { dir: 'auto' }, e.actor.name || t('op.unknownActor')), e.targetName && h('span', { dir: 'auto' }, `→ ${e.targetName}`)),
    h('p', { className: 'hint' }, [e.detail, e.credential, e.address, e.agent].filter(Boolean).join(' · ')));

  return {
    load: list.load,
    view: () => h('section', { className: 'card', key: 'records' },
      h('h2', null, t('op.tab.records')),
      ...list.view({
        empty: t('op.noRecords'), row,
        more: [choice(t('op.action'), 'action', [['', t('op.anyAction')], ...ACTIONS.map((a) => /** @type {[string, string]} */ ([a, a]))],
          list.state.filters.action ?? '', (action) => list.filter('action', action)),
        button(t('op.csv'), () => void save(), { className: 'small', key: 'csv' })],
      })),
  };
}

/** API keys and webhooks. @param {Console} console */
export function createPrograms(console) {
  const { act, asking, draw, errorAt, failed, state } = console;
  /** @type {import('../types').V1APIKey[]} */
  let keys = [];
  /** @type {import('../types').V1Webhooks} */
  let hooks = { webhooks: [], types: [] };
  let secret = '';

  async function load() {
    try {
      [{ keys }, hooks] = await Promise.all([api('GET', 'api/v1/api-keys'), api('GET', 'api/v1/webhooks')]);
      draw();
    } catch (err) {
      failed(err, 'programs');
    }
  }

  /** @param {string} path @param {unknown} body @param {string} member */
  async function make(path, body, member) {
    const made = await act('POST', path, body, 'programs');
    if (made) secret = made[member];
    draw();
  }

  return {
    load,
    view: () => h('div', { className: 'columns', key: 'programs' },
      errorAt('programs'),
      secret && h('div', { className: 'notice good', role: 'status', key: 'secret' }, h('p', null, t('op.secretOnce')), copyField({ key: 'secret', label: t('op.secret'), text: secret }),
        button(t('app.done'), () => { secret = ''; draw(); }, { className: 'small' })),
      h('section', { className: 'card', key: 'keys' }, h('h2', null, t('op.apiKeys')), h('p', { className: 'hint' }, t('op.apiKeysLead')),
        h('ul', { className: 'list' }, ...keys.map((k) => h('li', { className: 'item', key: k.id },
          h('div', { className: 'head' }, h('b', null, k.name), h('span', { className: 'hint' }, k.scopes.join(', ')), h('span', { className: 'hint' }, k.lastUsedAt ? t('op.seen', { time: time(k.lastUsedAt) }) : t('op.never'))),
          asking(`key ${k.id}`, t('op.revoke'), t('op.sureKey', { name: k.name }), k.name, () => void act('DELETE', `api/v1/api-keys/${k.id}`, undefined, 'programs'))))),
        form({ key: `key-${state.sent}`, submit: t('op.addKey'), busy: state.busy, className: 'inline', onsubmit: ({ keyName }) => void make('api/v1/api-keys', { name: keyName }, 'key') },
          field(t('op.keyName'), { name: 'keyName', required: true, maxLength: 64 }))),
      h('section', { className: 'card', key: 'hooks' }, h('h2', null, t('op.webhooks')), h('p', { className: 'hint' }, t('op.webhooksLead')),
        h('ul', { className: 'list' }, ...hooks.webhooks.map((w) => h('li', { className: 'item', key: w.id },
          h('div', { className: 'head' }, h('b', null, w.url), h('span', { className: 'hint' }, w.types.join(', '))),
          h('div', { className: 'row wrap' },
            button(t('op.test'), () => void act('POST', `api/v1/webhooks/${w.id}/test`, undefined, 'programs'), { className: 'small' }),
            button(t('op.replay'), () => void act('POST', `api/v1/webhooks/${w.id}/replay`, undefined, 'programs'), { className: 'small' }),
            asking(`hook ${w.id}`, t('op.remove'), t('op.sureHook'), w.url, () => void act('DELETE', `api/v1/webhooks/${w.id}`, undefined, 'programs')))))),
        form({ key: `hook-${state.sent}`, submit: t('op.addHook'), busy: state.busy, onsubmit: (d) => void make('api/v1/webhooks', { url: d.hookUrl.trim(), types: hooks.types.filter((type) => d[type] === 'on') }, 'secret') },
          field(t('op.hookUrl'), { name: 'hookUrl', type: 'url', required: true, placeholder: 'https://' }),
          ...hooks.types.map((type) => h('label', { className: 'check', key: type }, h('input', { type: 'checkbox', name: type, defaultChecked: true }), h('span', null, type)))))),
  };
}
