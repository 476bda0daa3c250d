/** The console's people: search, invite, access, suspend, remove. What one person may do is read when their row is opened. */
import { api, escapeArn } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { button, copyField, field, form } from '../lib/page.js';
import { has, number, t, time } from '../lib/strings.js';
import { choice, createList } from './list.js';

/** @typedef {import('../types').V1User} User */
/** @typedef {import('../types').V1UserDetail} Detail */
/** @typedef {import('./operator.js').Console} Console */
/** @typedef {{id: string, name: string, invite: string, inviteExpiresAt: string, seen?: string}} Link */

const STAGES_OFFERED = 100;
const LOOK_EVERY = 5_000; // milliseconds, while links are shown

/** @param {Console} console */
export function createPeople(console) {
  const { act, asking, draw, errorAt, failed, state } = console;
  const list = createList({ path: 'api/v1/users', member: 'users', keyOf: (/** @type {User} */ u) => u.id, draw });
  /** Of the rows that are open. @type {Map<string, Detail>} */
  const details = new Map();
  /** To choose from. @type {import('../types').V1Stage[]} */
  let stages = [];
  /** Links that were made, until they are used; seen is when the user was last seen before. @type {Link[]} */
  let invited = [];
  let timer = 0;

  async function load() {
    await Promise.all([list.load(), ...[...details.keys()].map(open), offer('')]);
  }

  /** @param {string} q */
  async function offer(q) {
    try {
      stages = (await api('GET', `api/v1/stages?limit=${STAGES_OFFERED}&q=${encodeURIComponent(q)}`)).stages;
      draw();
    } catch {
      // the row says so when access is given
    }
  }

  /** @param {string} id */
  async function open(id) {
    try {
      details.set(id, await api('GET', `api/v1/users/${encodeURIComponent(id)}`));
      draw();
    } catch (err) {
      details.delete(id);
      failed(err, id);
    }
  }

  /** A pasted list invites many: one name on each line. @param {Record<string, string>} d */
  async function invite({ newNames, newRole }) {
    const names = newNames.split('\n').map((name) => name.trim()).filter(Boolean);
    invited = [];
    for (const name of names) {
      const made = await act('POST', 'api/v1/users', { name, role: newRole || 'broadcaster' }, 'invite');
      if (!made) break;
      invited.push(made);
    }
    watchLinks();
  }

  /** A link is used when its user was seen after it was made: then it is shown no longer. */
  function watchLinks() {
    draw();
    clearTimeout(timer);
    if (invited.length > 0) timer = setTimeout(() => void forgetUsed(), LOOK_EVERY);
  }

  async function forgetUsed() {
    /** @type {Link[]} */
    const left = [];
    for (const link of document.hidden ? [] : invited) {
      const user = await api('GET', `api/v1/users/${encodeURIComponent(link.id)}`).catch((err) => (err.status === 404 ? null : { lastSeenAt: link.seen }));
      if (user && user.lastSeenAt === link.seen && Date.parse(link.inviteExpiresAt) > Date.now()) left.push(link);
    }
    if (!document.hidden) {
      const used = left.length < invited.length;
      invited = left;
      if (used) await list.load();
    }
    watchLinks();
  }

  const invitations = () => invited.length > 0 && h('div', { className: 'notice good', role: 'status', key: 'link' },
    ...invited.map((i) => h('div', { key: i.name },
      h('p', null, t('op.inviteLink', { name: i.name, time: time(i.inviteExpiresAt) })),
      copyField({ key: `invite-${i.name}`, label: t('op.invite'), text: i.invite }))),
    button(t('app.done'), () => { invited = []; draw(); }, { className: 'small' }));

  /** @param {User} user */
  function row(user) {
    const path = `api/v1/users/${encodeURIComponent(user.id)}`;
    const detail = details.get(user.id);
    return h('li', { className: 'item', key: user.id },
      h('div', { className: 'head' }, h('b', { dir: 'auto' }, user.name),
        user.role !== 'broadcaster' && h('span', { className: 'tag' }, t(`account.role.${user.role}`)),
        user.suspendedAt && h('span', { className: 'tag' }, t('op.suspended')),
        h('span', { className: 'hint' }, user.invited ? t('op.invited') : user.lastSeenAt ? t('op.seen', { time: time(user.lastSeenAt) }) : t('op.never')),
        user.role !== 'operator' && h('span', { className: 'hint' }, t('op.onStages', { n: user.stages }))),
      h('details', { key: 'more', ontoggle: (/** @type {Event} */ e) => toggled(e, user.id) },
        h('summary', { 'aria-label': `${t('op.manage')}: ${user.name}` }, t('op.manage')),
        detail && h('div', { className: 'columns', key: 'detail' },
          ...detail.docks.map(dock),
          user.role === 'operator' ? h('p', { className: 'hint', key: 'all' }, `${t('op.grants')}: ${t('op.all')}`) : grants(detail, path),
          user.id !== state.me?.id && acts(user, path))),
      errorAt(user.id));
  }

  /** @param {Event} e @param {string} id */
  function toggled(e, id) {
    if (/** @type {HTMLDetailsElement} */ (e.target).open) void open(id);
    else details.delete(id);
  }

  /** @param {User} user @param {string} path */
  function acts(user, path) {
    const about = (/** @type {string} */ label) => ({ className: 'small', 'aria-label': `${label}: ${user.name}` });
    const role = choice(t('op.role'), `role-${user.id}`, ['broadcaster', 'moderator', 'operator'].map((r) => /** @type {[string, string]} */ ([r, t(`account.role.${r}`)])),
      user.role, (value) => void act('PATCH', path, { role: value }, user.id));
    return h('div', { className: 'row wrap', key: 'acts' }, role,
      button(t('op.newLink'), () => void again(path, user.id), about(t('op.newLink'))),
      button(t('op.signOut'), () => void act('DELETE', `${path}/logins`, undefined, user.id), about(t('op.signOut'))),
      user.suspendedAt
        ? button(t('op.restore'), () => void act('POST', `${path}/restore`, undefined, user.id), about(t('op.restore')))
        : asking(`suspend ${user.id}`, t('op.suspend'), t('op.sureSuspend', { name: user.name }), user.name, () => void act('POST', `${path}/suspend`, {}, user.id)),
      asking(`user ${user.id}`, t('op.remove'), t('op.sureRemove', { name: user.name }), user.name, () => void act('DELETE', path, undefined, user.id)));
  }

  /** @param {string} path @param {string} id */
  async function again(path, id) {
    const seen = details.get(id)?.lastSeenAt;
    const made = await act('POST', `${path}/invite`, undefined, id);
    if (made) invited = [{ ...made, seen }];
    watchLinks();
  }

  /** @param {Detail} user @param {string} path */
  function grants(user, path) {
    const free = stages.filter((s) => !user.grants.some((g) => g.stage === s.arn));
    return h('div', { className: 'columns', key: 'grants' },
      h('div', null, h('span', { className: 'hint' }, `${t('op.grants')}: `), user.grants.length === 0 && h('span', null, t('op.noGrants'))),
      user.grants.length > 0 && h('ul', { className: 'list', key: 'granted' }, ...user.grants.map((g) => h('li', { className: 'row wrap', key: g.stage },
        h('b', { dir: 'auto' }, g.name || g.stage),
        ...g.capabilities.map((c) => h('span', { className: 'tag' }, t(`op.${c}`))),
        h('span', { className: 'hint' }, `${t('op.longest')} ${lasting(g.maxTTL)}`),
        g.byRule ? h('span', { className: 'hint' }, t('op.byRule'))
          : button(t('op.ungrant'), () => void act('DELETE', `${path}/grants/${escapeArn(g.stage)}`, undefined, user.id), { className: 'small', 'aria-label': `${t('op.ungrant')}: ${user.name}` })))),
      stages.length === STAGES_OFFERED && field(t('op.searchStages'), { id: `find-${user.id}`, type: 'search', onchange: (/** @type {Event} */ e) => void offer(/** @type {HTMLInputElement} */ (e.target).value) }),
      free.length > 0 && grantForm(user, free, path));
  }

  /** @param {Detail} user @param {import('../types').V1Stage[]} free @param {string} path */
  function grantForm(user, free, path) {
    const box = (/** @type {string} */ name) => h('label', { className: 'check', key: name }, h('input', { type: 'checkbox', name, defaultChecked: true }), h('span', null, t(`op.${name}`)));
    return form({
      key: `grant-${user.id}`, submit: t('op.grant'), busy: state.busy, className: 'inline',
      onsubmit: (d) => void act('PUT', `${path}/grants/${escapeArn(d.stage)}`, {
        capabilities: ['publish', 'subscribe'].filter((c) => d[c] === 'on'),
        maxTTL: Math.round(Number(d.hours) * 3600),
      }, user.id),
    },
    h('div', { className: 'field' }, h('label', { for: `stage-${user.id}` }, t('live.stage')),
      h('select', { name: 'stage', id: `stage-${user.id}` }, ...free.map((s) => h('option', { value: s.arn, key: s.arn }, s.name)))),
    box('publish'), box('subscribe'),
    field(`${t('op.longest')} (${t('op.hoursLabel')})`, { name: 'hours', id: `hours-${user.id}`, type: 'number', min: 1, max: 336, step: 'any', required: true, defaultValue: 12 }));
  }

  return {
    load,
    view: () => h('section', { className: 'card', key: 'people' },
      h('h2', null, t('op.people')),
      h('details', { key: 'invite', open: list.state.loaded && !list.state.q && !list.state.filters.role && list.state.items.length < 2 }, h('summary', null, t('op.invite')),
        form({ key: `invite-${state.sent}`, submit: t('op.invite'), busy: state.busy, onsubmit: (d) => void invite(d) },
          h('div', { className: 'field' }, h('label', { for: 'new-names' }, t('op.inviteNames')),
            h('textarea', { id: 'new-names', name: 'newNames', rows: 2, required: true, spellcheck: false })),
          h('div', { className: 'field', key: 'role' }, h('label', { for: 'new-role' }, t('op.role')),
            h('select', { id: 'new-role', name: 'newRole' }, ...['broadcaster', 'moderator', 'operator'].map((r) => h('option', { value: r, key: r }, t(`account.role.${r}`))))))),
      errorAt('invite'), invitations(),
      ...list.view({
        search: t('op.searchPeople'), empty: t('op.noPeople'), row,
        more: [choice(t('op.role'), 'role', [['', t('op.anyRole')], ...['broadcaster', 'moderator', 'operator'].map((r) => /** @type {[string, string]} */ ([r, t(`account.role.${r}`)]))],
          list.state.filters.role ?? '', (role) => list.filter('role', role))],
      })),
  };
}

/** In days where they are whole. @param {number} seconds */
export function lasting(seconds) {
  const days = seconds / 86_400;
  return Number.isInteger(days) && days > 1 ? t('op.days', { n: days }) : t('op.hours', { n: number(seconds / 3600) });
}

/** @param {import('../lib/types.js').Dock} dock */
function dock(dock) {
  const where = t(dock.agent.includes('OBS/') ? 'docks.inObs' : 'docks.inBrowser');
  const fixes = dock.obs?.findings?.filter((f) => f.level === 'fix').length ?? 0;
  const name = dock.obs ? `op.state.${dock.obs.state}` : '';
  const obs = dock.obs ? t('op.dockObs', { version: dock.obs.version ?? '', platform: dock.obs.platform ?? '', state: has(name) ? t(name) : dock.obs.state ?? '' }) : t('op.dockNoObs');
  return h('p', { className: 'row wrap', key: dock.id },
    h('span', { className: 'hint' }, t('op.dock', { where, state: obs }), fixes > 0 && ` · ${t('op.findings', { n: fixes })}`),
    dock.live && dock.obs?.state !== 'live' && h('span', { className: 'tag live' }, t('op.dockLive')));
}
