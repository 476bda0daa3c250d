/** The page of one person: access, the state of OBS that the dock reports, tokens, and history. */
import { agentName } from '../lib/agent.js';
import { api, escapeArn } from '../lib/api.js';
import { checkbox, choice } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, field, form } from '../lib/page.js';
import { has, number, recognized, t, time } from '../lib/strings.js';
import { barNote, unbarButton } from './bars.js';
import { linkView, watchLinks } from './links.js';
import { rowsOr } from './list.js';
import { roleOptions, standing } from './people.js';
import { entryRow, historyOf } from './records.js';
import { StageChoice } from './stagechoice.js';
import { tokenRow } from './tokens.js';
import { why } from './why.js';

/** @typedef {import('../types').V1UserDetail} Detail */
/** @typedef {import('./operator.js').Console} Console */

class Person {
  id = '';
  /** @type {Detail | null} */
  user = null;
  /** The role that was chosen and not confirmed yet. */
  role = '';
  /** Whether the person could not be read. */
  missing = false;
  /** @type {import('../types').V1Token[]} */
  tokens = [];
  /** @type {import('../types').V1Event[]} */
  events = [];
  /** @type {import('../types').V1Entry[]} */
  entries = [];
  /** @type {import('../types').Login[]} */
  logins = [];
  /** @type {import('./links.js').Link | null} */
  invite = null;

  /** @param {Console} console */
  constructor(console) {
    this.console = console;
    this.stage = new StageChoice(console, {
      without: (arn) => Boolean(this.user?.grants.some((g) => g.stage === arn)),
    });
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
        missing: false,
        invite: null,
        tokens: [],
        events: [],
        entries: [],
        logins: [],
      });
    try {
      const of = encodeURIComponent(id);
      const [user, tokens, events, entries, { logins }] = await Promise.all([
        api('GET', this.path()),
        api('GET', `api/v1/tokens?limit=10&user=${of}`),
        api('GET', `api/v1/events?limit=20&user=${of}`),
        historyOf(id),
        api('GET', `${this.path()}/logins`),
        this.stage.enter(),
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
      Object.assign(this, { user: null, missing: true });
      this.console.failed(err, '');
    }
  }

  async again() {
    const made = await this.console.act('POST', `${this.path()}/invite`, undefined, {
      where: 'acts',
      done: t('op.done.newLink', { name: this.user?.name ?? '' }),
    });
    if (made) this.invite = { ...made, seen: this.user?.lastSeenAt };
    this.watch();
    this.console.draw();
  }

  view() {
    const { user } = this;
    if (this.missing) return null; // the page shows why
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
                {
                  where: 'logins',
                  done: t('op.done.loginEnded', { name: this.user?.name ?? '', login: name }),
                },
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
    return h(
      'div',
      { className: 'inline', key: 'acts' },
      ...this.roleChoice(user),
      this.buttons(user),
    );
  }

  /**
   * Describes a change of the account, for act().
   * @param {Detail} user @param {string} what @param {Record<string, string>} [more]
   */
  deed(user, what, more) {
    return { where: 'acts', done: t(`op.done.${what}`, { name: user.name, ...more }) };
  }

  /** @param {Detail} user */
  roleChoice(user) {
    const { act, ask, state } = this.console;
    const { name } = user;
    const asked = state.asked === 'role';
    const role = t(`account.role.${asked ? this.role : user.role}`);
    const change = () =>
      void act('PATCH', this.path(), { role: this.role }, this.deed(user, 'role', { role }));
    const onchoose = (/** @type {string} */ wanted) => {
      this.role = wanted;
      ask(wanted === user.role ? '' : 'role');
    };
    return [
      choice(
        t('op.role'),
        {
          id: 'choice-role',
          chosen: asked ? this.role : user.role,
          onchoose,
          'data-asks': !asked && 'role', // the focus returns here after the question
        },
        roleOptions(),
      ),
      asked && this.console.confirmation('role', t('op.sureRole', { name, role }), change),
    ];
  }

  /** @param {Detail} user */
  buttons(user) {
    const { act, asking } = this.console;
    const { name } = user;
    const about = (/** @type {string} */ label) => ({
      className: 'small',
      key: label,
      'aria-label': `${label}: ${name}`,
    });
    return h(
      'div',
      { className: 'row wrap', key: 'buttons' },
      button(t('op.newLink'), () => void this.again(), about(t('op.newLink'))),
      button(
        t('op.signOut'),
        () => void act('DELETE', `${this.path()}/logins`, undefined, this.deed(user, 'signedOut')),
        about(t('op.signOut')),
      ),
      user.suspendedAt
        ? button(
            t('op.restore'),
            () =>
              void act('POST', `${this.path()}/restore`, undefined, this.deed(user, 'restored')),
            about(t('op.restore')),
          )
        : asking(
            'suspend',
            t('op.suspend'),
            t('op.sureSuspend', { name }),
            name,
            () => void act('POST', `${this.path()}/suspend`, {}, this.deed(user, 'suspended')),
          ),
      asking(
        'remove',
        t('op.remove'),
        t('op.sureRemove', { name }),
        name,
        () => void this.remove(),
      ),
    );
  }

  async remove() {
    const { state, did, failed, back } = this.console;
    const name = this.user?.name ?? '';
    try {
      await api('DELETE', this.path());
      state.asked = '';
      back('people');
      did(t('op.done.removed', { name }));
    } catch (err) {
      failed(err, 'acts');
    }
  }

  /** @param {Detail} user */
  access(user) {
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
        this.grantForm(user),
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
          barNote({ since: g.barredAt, by: g.barredBy, reason: g.barredReason }),
        ),
      g.barredAt && unbarButton(this.console, { user, stage: g.stage, where: 'access' }),
      !g.byRule &&
        button(
          t('op.ungrant'),
          () =>
            void act('DELETE', `${this.path()}/grants/${escapeArn(g.stage)}`, undefined, {
              where: 'access',
              done: t('op.done.ungranted', { name: user.name, stage: g.name || g.stage }),
            }),
          { className: 'small', key: 'ungrant', 'aria-label': `${t('op.ungrant')}: ${g.name}` },
        ),
    );
  }

  /** @param {Detail} user */
  grantForm(user) {
    const { act, stageName, state } = this.console;
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
            {
              where: 'access',
              done: t('op.done.granted', { name: user.name, stage: stageName(d.stage) }),
            },
          ),
      },
      ...this.stage.view({ id: 'grant-stage', name: 'stage' }),
      ...['publish', 'subscribe'].map((name) =>
        checkbox(t(`op.${name}`), { name, defaultChecked: true }),
      ),
      field(t('op.longestHours'), {
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

/**
 * The duration in days if it is a whole number of days above 1, otherwise in hours.
 * @param {number} seconds
 */
export function lasting(seconds) {
  const days = seconds / 86_400;
  return Number.isInteger(days) && days > 1
    ? t('op.days', { n: days })
    : t('op.hours', { n: number(seconds / 3600) });
}

/** Access to all stages that a rule creates. @param {import('../types').V1RuleGrant} g */
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
        `${t('op.findings', { n: fixes.length })}: ${fixes
          .map((f) => recognized(`find.${f.id}`, f.text))
          .join(' · ')}`,
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
    (e.detail || e.code) && h('span', { className: 'hint rest', key: 'why' }, why(e)),
  );
