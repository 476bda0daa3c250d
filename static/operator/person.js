/** One person: access, their OBS as the dock reports it, tokens, and history. */
import { agentName } from '../lib/agent.js';
import { api, escapeArn } from '../lib/api.js';
import { checkbox, choice } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, field, form } from '../lib/page.js';
import { has, number, serverSaid, t, time } from '../lib/strings.js';
import { linkView, watchLinks } from './links.js';
import { rowsOr } from './list.js';
import { readUser, unbarPath } from './live.js';
import { roleOptions, standing } from './people.js';
import { entryRow, historyOf } from './records.js';
import { tokenRow } from './tokens.js';

/** @typedef {import('../types').V1UserDetail} Detail */
/** @typedef {import('./operator.js').Console} Console */

const OFFERED = 50;

class Person {
  id = '';
  /** @type {Detail | null} */
  user = null;
  /** @type {import('../types').V1Token[]} */
  tokens = [];
  /** @type {import('../types').V1Event[]} */
  events = [];
  /** @type {import('../types').V1Entry[]} */
  entries = [];
  /** @type {import('../types').Login[]} */
  logins = [];
  /** The stages to choose from. @type {import('../types').V1Stage[]} */
  stages = [];
  /** @type {import('./links.js').Link | null} */
  invite = null;

  /** @param {Console} console */
  constructor(console) {
    this.console = console;
    this.watch = watchLinks(
      () => (this.invite ? [this.invite] : []),
      () => {
        this.invite = null;
        void this.console.draw();
      },
    );
  }

  path() {
    return `api/v1/users/${encodeURIComponent(this.id)}`;
  }

  /** @param {URLSearchParams} query */
  async load(query) {
    const id = query.get('id') ?? '';
    if (id !== this.id)
      Object.assign(this, {
        id,
        user: null,
        invite: null,
        tokens: [],
        events: [],
        entries: [],
        logins: [],
      });
    try {
      const of = encodeURIComponent(id);
      const [user, tokens, events, entries, { logins }] = await Promise.all([
        readUser(id),
        api('GET', `api/v1/tokens?limit=10&user=${of}`),
        api('GET', `api/v1/events?limit=20&user=${of}`),
        historyOf(id),
        api('GET', `${this.path()}/logins`),
        this.offer(''),
      ]);
      if (id !== this.id) return;
      Object.assign(this, {
        user,
        tokens: tokens.tokens,
        events: events.events,
        entries: entries.audit,
        logins,
      });
      this.console.draw();
    } catch (err) {
      this.user = null;
      this.console.failed(err, '');
    }
  }

  /** @param {string} q */
  async offer(q) {
    this.stages = (
      await api('GET', `api/v1/stages?limit=${OFFERED}&q=${encodeURIComponent(q)}`)
    ).stages;
    this.console.draw();
  }

  async again() {
    const made = await this.console.act('POST', `${this.path()}/invite`, undefined, 'acts');
    if (made) this.invite = { ...made, seen: this.user?.lastSeenAt };
    this.watch();
    this.console.draw();
  }

  view() {
    const { user } = this;
    if (!user) return h('p', { className: 'hint', key: 'loading' }, t('app.loading'));
    return h(
      'div',
      { className: 'columns', key: `person-${user.id}` },
      this.accountCard(user),
      this.accessCard(user),
      h(
        'section',
        { className: 'card', key: 'obs' },
        h('h2', null, t('op.obs')),
        rowsOr(user.docks, dock, t('op.noDocks')),
      ),
      this.tokensCard(user),
      this.loginsCard(),
      this.history(user),
    );
  }

  /** @param {Detail} user */
  accountCard(user) {
    const { link, errorAt, state } = this.console;
    return h(
      'section',
      { className: 'card', key: 'who' },
      h('p', { className: 'hint' }, link('people', {}, `← ${t('op.people')}`)),
      h(
        'div',
        { className: 'row wrap' },
        h('h1', { dir: 'auto' }, user.name),
        h('span', { className: 'tag' }, t(`account.role.${user.role}`)),
        user.suspendedAt &&
          h('span', { className: 'tag bad', key: 'suspended' }, t('op.suspended')),
      ),
      h('p', { className: 'hint' }, standing(user)),
      this.invite &&
        h('div', { className: 'notice good', role: 'status', key: 'link' }, linkView(this.invite)),
      errorAt('acts'),
      user.id !== state.me?.id && this.acts(user),
    );
  }

  /** @param {Detail} user */
  accessCard(user) {
    return h(
      'section',
      { className: 'card', key: 'access' },
      h('h2', null, t('op.grants')),
      this.console.errorAt('access'),
      user.role === 'operator'
        ? h('p', { className: 'hint', key: 'all' }, t('op.all'))
        : this.access(user),
    );
  }

  /** @param {Detail} user */
  tokensCard(user) {
    return h(
      'section',
      { className: 'card', key: 'tokens' },
      h('h2', null, t('op.tokens')),
      rowsOr(this.tokens, (k) => tokenRow(this.console, k, false), t('op.noTokens')),
      this.console.link('tokens', { user: user.id }, t('op.allTokens')),
    );
  }

  loginsCard() {
    return h(
      'section',
      { className: 'card', key: 'logins' },
      h('h2', null, t('op.logins')),
      this.console.errorAt('logins'),
      rowsOr(this.logins, (l) => this.login(l), t('op.noLogins')),
    );
  }

  /** @param {import('../types').Login} login */
  login(login) {
    const name = agentName(login.agent);
    return h(
      'li',
      { key: login.id },
      h('b', { className: 'main', title: login.agent }, name),
      h(
        'span',
        { className: 'hint' },
        t('account.loginUsed', {
          address: login.address,
          made: time(login.createdAt),
          used: time(login.lastUsedAt),
        }),
      ),
      login.current
        ? h('span', { className: 'tag good', key: 'this' }, t('account.thisLogin'))
        : button(
            t('menu.signOut'),
            () =>
              void this.console.act(
                'DELETE',
                `${this.path()}/logins/${encodeURIComponent(login.id)}`,
                undefined,
                'logins',
              ),
            {
              className: 'small',
              key: 'end',
              'aria-label': `${t('menu.signOut')}: ${name}, ${login.address}`,
            },
          ),
    );
  }

  /** @param {Detail} user */
  history(user) {
    const { link, stageName } = this.console;
    return h(
      'section',
      { className: 'card', key: 'history' },
      h('h2', null, t('op.history')),
      h('h3', { key: 'on' }, t('op.historyStages')),
      rowsOr(this.events, (e) => eventRow(e, stageName(e.stage)), t('op.noHistory'), 'events'),
      h('h3', { key: 'account' }, t('op.historyAccount')),
      rowsOr(this.entries, (e) => entryRow(this.console, e), t('op.noRecords'), 'entries'),
      h(
        'div',
        { className: 'row wrap', key: 'more' },
        link('records', { target: user.id }, t('op.recordsAbout')),
        link('records', { actor: user.id }, t('op.recordsBy')),
      ),
    );
  }

  /** @param {Detail} user */
  acts(user) {
    const { act, asking } = this.console;
    const about = (/** @type {string} */ label) => ({
      className: 'small',
      key: label,
      'aria-label': `${label}: ${user.name}`,
    });
    return h(
      'div',
      { className: 'inline', key: 'acts' },
      choice(
        t('op.role'),
        {
          id: 'choice-role',
          chosen: user.role,
          onchoose: (role) => void act('PATCH', this.path(), { role }, 'acts'),
        },
        roleOptions(),
      ),
      h(
        'div',
        { className: 'row wrap', key: 'buttons' },
        button(t('op.newLink'), () => void this.again(), about(t('op.newLink'))),
        button(
          t('op.signOut'),
          () => void act('DELETE', `${this.path()}/logins`, undefined, 'acts'),
          about(t('op.signOut')),
        ),
        user.suspendedAt
          ? button(
              t('op.restore'),
              () => void act('POST', `${this.path()}/restore`, undefined, 'acts'),
              about(t('op.restore')),
            )
          : asking(
              'suspend',
              t('op.suspend'),
              t('op.sureSuspend', { name: user.name }),
              user.name,
              () => void act('POST', `${this.path()}/suspend`, {}, 'acts'),
            ),
        asking(
          'remove',
          t('op.remove'),
          t('op.sureRemove', { name: user.name }),
          user.name,
          () => void this.remove(),
        ),
      ),
    );
  }

  async remove() {
    const { state, failed } = this.console;
    try {
      await api('DELETE', this.path());
      state.asked = '';
      history.back();
    } catch (err) {
      failed(err, 'acts');
    }
  }

  /** @param {Detail} user */
  access(user) {
    const free = this.stages.filter((s) => !user.grants.some((g) => g.stage === s.arn));
    return h(
      'div',
      { className: 'columns', key: 'grants' },
      user.ownStagesOf.length > 0 &&
        h('ul', { className: 'lines', key: 'of-rules' }, ...user.ownStagesOf.map(ruleGrant)),
      (user.grants.length > 0 || user.ownStagesOf.length === 0) &&
        rowsOr(user.grants, (g) => this.grant(user, g), t('op.noGrants')),
      h(
        'details',
        { key: 'give', open: user.grants.length === 0 },
        h('summary', null, t('op.grant')),
        h(
          'div',
          { className: 'columns' },
          this.console.state.me &&
            this.console.state.me.stages.length > OFFERED &&
            field(t('op.searchStages'), {
              name: 'find-grant',
              type: 'search',
              oninput: (/** @type {Event} */ e) =>
                void this.offer(/** @type {HTMLInputElement} */ (e.target).value),
            }),
          free.length > 0
            ? this.grantForm(user, free)
            : h('p', { className: 'hint', key: 'no' }, t('op.noStages')),
        ),
      ),
    );
  }

  /** @param {Detail} user @param {Detail['grants'][number]} g */
  grant(user, g) {
    const { act, link } = this.console;
    return h(
      'li',
      { key: g.stage },
      h('b', { dir: 'auto', className: 'main' }, link('stages', { q: g.name }, g.name || g.stage)),
      ...g.capabilities.map((c) => h('span', { className: 'tag', key: c }, t(`op.${c}`))),
      g.barredAt && h('span', { className: 'tag bad', key: 'barred' }, t('op.barred')),
      h('span', { className: 'hint' }, `${t('op.longest')} ${lasting(g.maxTTL)}`),
      g.byRule && h('span', { className: 'hint', key: 'rule' }, t('op.byRule')),
      g.barredAt &&
        h(
          'span',
          { className: 'hint rest', key: 'why' },
          t('op.barredSince', { time: time(g.barredAt), reason: g.barredReason ?? '' }),
        ),
      g.barredAt &&
        button(
          t('op.unbar'),
          () => void act('DELETE', unbarPath(user.id, g.stage), undefined, 'access'),
          { className: 'small', key: 'unbar', 'aria-label': `${t('op.unbar')}: ${g.name}` },
        ),
      !g.byRule &&
        button(
          t('op.ungrant'),
          () =>
            void act('DELETE', `${this.path()}/grants/${escapeArn(g.stage)}`, undefined, 'access'),
          { className: 'small', key: 'ungrant', 'aria-label': `${t('op.ungrant')}: ${g.name}` },
        ),
    );
  }

  /** @param {Detail} user @param {import('../types').V1Stage[]} free */
  grantForm(user, free) {
    const { act, state } = this.console;
    return form(
      {
        key: `grant-${user.id}`,
        submit: t('op.grant'),
        busy: state.busy,
        className: 'inline',
        onsubmit: (d) =>
          void act(
            'PUT',
            `${this.path()}/grants/${escapeArn(d.stage)}`,
            {
              capabilities: ['publish', 'subscribe'].filter((c) => d[c] === 'on'),
              maxTTL: Math.round(Number(d.hours) * 3600),
            },
            'access',
          ),
      },
      choice(
        t('live.stage'),
        { id: 'grant-stage', name: 'stage' },
        free.map((s) => [s.arn, s.name]),
      ),
      ...['publish', 'subscribe'].map((name) =>
        checkbox(t(`op.${name}`), { name, defaultChecked: true }),
      ),
      field(`${t('op.longest')} (${t('op.hoursLabel')})`, {
        name: 'hours',
        type: 'number',
        min: 1,
        max: 336,
        step: 'any',
        required: true,
        defaultValue: 12,
      }),
    );
  }
}

/** @param {Console} console @returns {import('./operator.js').Page} */
export const createPerson = (console) => new Person(console);

/** The duration in days if it is a whole number of days. @param {number} seconds */
export function lasting(seconds) {
  const days = seconds / 86_400;
  return Number.isInteger(days) && days > 1
    ? t('op.days', { n: days })
    : t('op.hours', { n: number(seconds / 3600) });
}

/** Access to all stages that a rule makes. @param {import('../types').V1RuleGrant} g */
const ruleGrant = (g) =>
  h(
    'li',
    { key: g.rule },
    h('b', { dir: 'auto', className: 'main' }, t('op.ruleOwnAll', { name: g.ownStage })),
    ...g.capabilities.map((c) => h('span', { className: 'tag', key: c }, t(`op.${c}`))),
    h('span', { className: 'hint' }, `${t('op.longest')} ${lasting(g.maxTTL)}`),
    h('span', { className: 'hint', key: 'rule' }, t('op.byRule')),
  );

/** @param {import('../lib/types.js').Dock} dock */
function dock(dock) {
  const where = t(dock.agent.includes('OBS/') ? 'docks.inObs' : 'docks.inBrowser');
  const fixes = dock.obs?.findings?.filter((f) => f.level === 'fix') ?? [];
  const name = dock.obs ? `op.state.${dock.obs.state}` : '';
  const obs = dock.obs
    ? t(dock.obs.version ? 'op.dockObs' : 'op.dockObsUnknown', {
        version: dock.obs.version ?? '',
        platform: dock.obs.platform ?? '',
        state: has(name) ? t(name) : (dock.obs.state ?? ''),
      })
    : t('op.dockNoObs');
  return h(
    'li',
    { key: dock.id },
    h('span', { className: 'main' }, t('op.dock', { where, state: obs })),
    dock.live &&
      dock.obs?.state !== 'live' &&
      h('span', { className: 'tag live', key: 'live' }, t('op.dockLive')),
    h('span', { className: 'hint' }, dock.address),
    fixes.length > 0 &&
      h(
        'span',
        { className: 'hint rest', key: 'fixes' },
        `${t('op.findings', { n: fixes.length })}: ${fixes.map((f) => f.text).join(' · ')}`,
      ),
  );
}

/** @param {import('../types').V1Event} e @param {string} stage the name of the stage */
const eventRow = (e, stage) =>
  h(
    'li',
    { key: String(e.id) },
    h('span', { className: 'hint' }, time(e.time)),
    h('b', { className: 'action' }, has(`op.kind.${e.kind}`) ? t(`op.kind.${e.kind}`) : e.kind),
    h('span', { dir: 'auto', className: 'main' }, stage),
    (e.detail || e.code) &&
      h(
        'span',
        { className: 'hint rest', key: 'why' },
        serverSaid(e.code ?? '', e.detail || e.code || ''),
      ),
  );
