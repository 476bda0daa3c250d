/** The console's API keys and webhooks. */
import { api } from '../lib/api.js';
import { checkboxes } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, copyField, field, form } from '../lib/page.js';
import { number, t, time } from '../lib/strings.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../types').V1Webhook} Webhook */
/** @typedef {import('../types').V1Delivery} Delivery */

const SCOPES = ['users', 'stages', 'moderate', 'audit', 'webhooks', 'system'];

class Programs {
  /** @type {import('../types').V1APIKey[]} */
  keys = [];
  /** @type {import('../types').V1Webhooks} */
  hooks = { webhooks: [], types: [] };
  /** The failed deliveries of each webhook whose list is open. @type {Map<string, Delivery[]>} */
  dead = new Map();
  secret = '';

  /** @param {Console} console */
  constructor(console) {
    this.console = console;
  }

  async load() {
    try {
      const [{ keys }, hooks] = await Promise.all([
        api('GET', 'api/v1/api-keys'),
        api('GET', 'api/v1/webhooks'),
      ]);
      Object.assign(this, { keys, hooks });
      for (const id of this.dead.keys()) await this.loadDead(id);
      this.console.draw();
    } catch (err) {
      this.console.failed(err, 'programs');
    }
  }

  leave() {
    this.secret = '';
    this.dead.clear();
  }

  /** @param {string} id */
  async loadDead(id) {
    this.dead.set(id, (await api('GET', `api/v1/webhooks/${id}/dead`)).deliveries);
    this.console.draw();
  }

  /** @param {string} path @param {unknown} body @param {string} member @param {string} done */
  async make(path, body, member, done) {
    const made = await this.console.act('POST', path, body, { where: 'programs', done });
    if (made) this.secret = made[member];
    this.console.draw();
  }

  /** @param {string} id */
  test(id) {
    const about = { where: id, done: t('op.testSent') };
    return this.console.act('POST', `api/v1/webhooks/${id}/test`, undefined, about);
  }

  /** @param {string} id @param {string} [delivery] */
  replay(id, delivery = '') {
    return this.console.act(
      'POST',
      `api/v1/webhooks/${id}/replay${delivery && `?delivery=${encodeURIComponent(delivery)}`}`,
      undefined,
      { where: id, done: (answer) => t('op.replayed', { n: number(answer.replayed) }) },
    );
  }

  view() {
    const { errorAt, draw } = this.console;
    return h(
      'div',
      { className: 'columns', key: 'programs' },
      h('h1', null, t('op.tab.programs')),
      errorAt('programs'),
      this.secret &&
        h(
          'div',
          { className: 'notice good columns', role: 'status', key: 'secret' },
          h('p', null, t('op.secretOnce')),
          copyField({ key: 'secret', label: t('op.secret'), text: this.secret }),
          button(
            t('app.done'),
            () => {
              this.secret = '';
              draw();
            },
            { className: 'small' },
          ),
        ),
      this.keysCard(),
      this.hooksCard(),
    );
  }

  keysCard() {
    return h(
      'section',
      { className: 'card', key: 'keys' },
      h('h2', null, t('op.apiKeys')),
      h('p', { className: 'hint' }, t('op.apiKeysLead')),
      this.keys.length > 0 &&
        h('ul', { className: 'lines', key: 'list' }, ...this.keys.map((k) => this.key(k))),
      this.keyForm(),
    );
  }

  /** @param {import('../types').V1APIKey} k */
  key(k) {
    const { act, asking, link } = this.console;
    const { name, createdBy, createdAt, expiresAt, lastUsedAt } = k;
    return h(
      'li',
      { key: k.id },
      h('b', { dir: 'auto', className: 'main' }, name),
      h(
        'span',
        { className: 'hint' },
        lastUsedAt ? t('op.used', { time: time(lastUsedAt) }) : t('op.neverUsed'),
      ),
      expiresAt &&
        h('span', { className: 'hint', key: 'until' }, t('op.until', { time: time(expiresAt) })),
      link('records', { credential: k.id }, t('op.showRecords'), {
        key: 'records',
        'aria-label': `${t('op.showRecords')}: ${name}`,
      }),
      asking(
        `key ${k.id}`,
        t('op.revoke'),
        t('op.sureKey', { name }),
        name,
        () =>
          void act('DELETE', `api/v1/api-keys/${k.id}`, undefined, {
            where: 'programs',
            done: t('op.done.apiKeyRevoked', { name }),
          }),
      ),
      h(
        'span',
        { className: 'hint rest' },
        t('op.madeBy', { name: createdBy, time: time(createdAt), scopes: k.scopes.join(', ') }),
      ),
    );
  }

  keyForm() {
    const { state } = this.console;
    return form(
      {
        key: `key-${state.sent}`,
        submit: t('op.addKey'),
        busy: state.busy,
        onsubmit: (d) =>
          void this.make(
            'api/v1/api-keys',
            {
              name: d.keyName,
              scopes: SCOPES.filter((s) => d[`scope-${s}`] === 'on'),
              ...(d.days ? { days: Number(d.days) } : {}),
            },
            'key',
            t('op.done.apiKeyCreated', { name: d.keyName }),
          ),
      },
      h(
        'div',
        { className: 'fields' },
        field(t('op.keyName'), { name: 'keyName', required: true }),
        field(
          t('op.keyDays'),
          { name: 'days', type: 'number', min: 1, max: 3650 },
          t('op.keyDaysHint'),
        ),
      ),
      checkboxes(
        t('op.keyScopes'),
        'scopes',
        SCOPES.map((s) => [`scope-${s}`, s, true]),
      ),
    );
  }

  hooksCard() {
    const { state } = this.console;
    return h(
      'section',
      { className: 'card', key: 'hooks' },
      h('h2', null, t('op.webhooks')),
      h('p', { className: 'hint' }, t('op.webhooksLead')),
      this.hooks.webhooks.length > 0 &&
        h(
          'ul',
          { className: 'lines', key: 'list' },
          ...this.hooks.webhooks.map((w) => this.hook(w)),
        ),
      form(
        {
          key: `hook-${state.sent}`,
          submit: t('op.addHook'),
          busy: state.busy,
          onsubmit: (d) =>
            void this.make(
              'api/v1/webhooks',
              { url: d.hookUrl.trim(), types: this.hooks.types.filter((type) => d[type] === 'on') },
              'secret',
              t('op.done.hookAdded', { url: d.hookUrl.trim() }),
            ),
        },
        field(t('op.hookUrl'), {
          name: 'hookUrl',
          type: 'url',
          required: true,
          placeholder: 'https://',
        }),
        checkboxes(
          t('op.hookTypes'),
          'types',
          this.hooks.types.map((type) => [type, type, true]),
        ),
      ),
    );
  }

  /** @param {Webhook} w */
  hook(w) {
    const { act, asking, errorAt } = this.console;
    const dead = this.dead.get(w.id);
    return h(
      'li',
      { key: w.id },
      h('b', { className: 'main' }, w.url),
      button(t('op.test'), () => void this.test(w.id), {
        className: 'small',
        key: 'test',
        'aria-label': `${t('op.test')}: ${w.url}`,
      }),
      asking(
        `hook ${w.id}`,
        t('op.remove'),
        t('op.sureHook'),
        w.url,
        () =>
          void act('DELETE', `api/v1/webhooks/${w.id}`, undefined, {
            where: 'programs',
            done: t('op.done.hookRemoved', { url: w.url }),
          }),
      ),
      h('span', { className: 'hint rest' }, w.types.join(', ')),
      w.failedAt &&
        h(
          'p',
          { className: 'error rest', key: 'failed' },
          t('op.hookFailed', { time: time(w.failedAt), failure: w.failure ?? '' }),
        ),
      errorAt(w.id),
      h(
        'details',
        {
          key: 'dead',
          className: 'rest',
          ontoggle: (/** @type {Event} */ e) => this.toggled(e, w.id),
        },
        h('summary', { 'aria-label': `${t('op.dead')}: ${w.url}` }, t('op.dead')),
        !dead
          ? h('p', { className: 'hint', key: 'loading' }, t('app.loading'))
          : dead.length === 0
            ? h('p', { className: 'hint', key: 'none' }, t('op.noDead'))
            : h(
                'div',
                { className: 'columns', key: 'some' },
                h('ul', { className: 'lines' }, ...dead.map((d) => this.delivery(w.id, d))),
                button(t('op.replay'), () => void this.replay(w.id), { key: 'all' }),
              ),
      ),
    );
  }

  /** @param {Event} e @param {string} id */
  toggled(e, id) {
    if (/** @type {HTMLDetailsElement} */ (e.target).open)
      this.loadDead(id).catch((err) => this.console.failed(err, id));
    else this.dead.delete(id);
  }

  /** @param {string} hook @param {Delivery} d */
  delivery(hook, d) {
    return h(
      'li',
      { key: d.id },
      h('b', { className: 'main' }, d.type),
      h('span', { className: 'hint' }, time(d.createdAt)),
      h('span', { className: 'tag' }, d.status ? String(d.status) : t('op.noAnswer')),
      h('span', { className: 'hint rest' }, `${t('op.attempts', { n: d.attempts })} ${d.reason}`),
      button(t('op.replayOne'), () => void this.replay(hook, d.id), {
        className: 'small',
        key: 'again',
        'aria-label': `${t('op.replayOne')}: ${d.type}, ${time(d.createdAt)}`,
      }),
    );
  }
}

/** @param {Console} console @returns {import('./operator.js').Page} */
export const createPrograms = (console) => new Programs(console);
