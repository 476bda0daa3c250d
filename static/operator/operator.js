/** The operator's page: people and what they may do, stages and who is on them, tokens. */
import { api, escapeArn } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { button, copyField, errorLine, errorText, field, form, header, page, say, signOut } from '../lib/page.js';
import { signedIn } from '../lib/signin.js';
import { has, number, t, time } from '../lib/strings.js';
import { receives } from '../dock/views.js';
import { awsCard } from './aws.js';
import { tokenItem } from './tokens.js';

/** @typedef {import('../lib/types.js').User} User */
/** @typedef {import('../lib/types.js').StageWithPeople} Stage */

const LOAD_EVERY = 15_000; // docks and what was issued; who is on a stage is told at once

const state = {
  /** @type {import('../lib/types.js').Me | null} */ me: null,
  /** @type {User[]} */ users: [],
  /** @type {Stage[]} */ stages: [],
  /** @type {import('../lib/types.js').Issued[]} */ tokens: [],
  /** A link that was made, until it is used. @type {{id: string, name: string, invite: string, inviteExpiresAt: string} | null} */ invited: null,
  /** When the user of that link was last seen before. */ seen: '',
  /** What waits for "yes, do it". */ asked: '',
  /** What AWS has, once somebody looked. @type {import('../lib/types.js').AwsStages | null} */ aws: null,
  /** Of stages of AWS, by ARN, once somebody looked. @type {Map<string, import('../lib/types.js').StageSession[]>} */ sessions: new Map(),
  error: '', busy: false,
  /** Until then there is nothing to press: what arrives would push it away. */ loaded: false,
  /** Where the error belongs; '' for the top of the page. */ where: '',
  /** Makes a form that was sent empty again. */ sent: 0,
};

function draw() {
  const { me } = state;
  if (!me) return;
  const head = header(me, 'operator', { onSignOut: signOut });
  if (me.role !== 'operator') return page(head, h('main', { className: 'card' }, h('p', null, t('op.denied'))));
  page(head, h('main', { className: 'columns' },
    h('h1', null, t('op.title')),
    errorAt(''),
    ...(state.loaded ? [stagesCard(), peopleCard(), tokensCard()] : [!state.error && h('p', { className: 'hint' }, t('app.loading'))])));
}

/** @param {string} where */
const errorAt = (where) => (state.where === where ? errorLine(state.error) : null);

/** Says why something failed, in the place where it was asked for. @param {unknown} err @param {string} where */
function failed(err, where) {
  state.error = errorText(err);
  state.where = where;
  draw();
  document.querySelector('.error')?.scrollIntoView({ block: 'nearest' });
}

/**
 * Does something on the server, then shows how things are.
 * @param {string} method @param {string} path @param {unknown} [body] @param {string} [where] it is shown if it fails
 * @returns {Promise<any>} undefined when it failed, which is shown
 */
async function act(method, path, body, where = '') {
  state.busy = true;
  state.asked = '';
  draw();
  try {
    const answer = await api(method, path, body);
    state.error = '';
    state.sent++;
    await load();
    say(t('op.saved'));
    return answer ?? true;
  } catch (err) {
    failed(err, where);
    return undefined;
  } finally {
    state.busy = false;
    draw();
  }
}

async function load() {
  const [users, stages, tokens] = await Promise.all([api('GET', 'api/users'), api('GET', 'api/stages'), api('GET', 'api/tokens?all=1')]);
  Object.assign(state, { users: users.users, stages: stages.stages, tokens: tokens.tokens, loaded: true });
  forgetUsedLink();
}

/** A link is used when its user has chosen a password, or was seen after it was made. */
function forgetUsedLink() {
  const user = state.users.find(({ id }) => id === state.invited?.id);
  if (!state.invited) return;
  const seen = user?.lastSeenAt ?? '';
  if (!user || Date.parse(state.invited.inviteExpiresAt) <= Date.now() || seen !== state.seen) state.invited = null;
}

/** @param {typeof state.invited} made */
function showLink(made) {
  state.invited = made;
  state.seen = state.users.find(({ id }) => id === made?.id)?.lastSeenAt ?? '';
  draw();
}

/** Asks what AWS has: when somebody opens the list, and after a change; AWS takes few questions a second. */
async function loadAws() {
  try {
    state.aws = await api('GET', 'api/aws/stages');
    if (state.where === 'aws') state.error = '';
    draw();
  } catch (err) {
    failed(err, 'aws');
  }
}

/** @param {string} arn */
async function loadSessions(arn) {
  try {
    state.sessions.set(arn, (await api('GET', `api/stages/${escapeArn(arn)}/sessions`)).sessions);
    if (state.where === arn) state.error = '';
    draw();
  } catch (err) {
    failed(err, arn);
  }
}

/** @param {Record<string, string>} stage name, name and region, or arn @param {string} where */
async function addStage(stage, where) {
  const made = await act('POST', 'api/stages', stage, where);
  if (made && where === 'aws') await loadAws();
}

/**
 * A button that asks before it does: with a second one in its place, since a dialog box stops the whole of OBS.
 * @param {string} key @param {string} label @param {string} question @param {string} about @param {() => void} yes
 */
function asking(key, label, question, about, yes) {
  if (state.asked !== key) return button(label, () => { state.asked = key; draw(); }, { className: 'small', key, 'aria-label': `${label}: ${about}` });
  return h('div', { className: 'notice warning row wrap', role: 'alertdialog', 'aria-label': question, key },
    h('span', null, question), button(t('op.sure'), yes, { className: 'danger small' }), button(t('app.cancel'), () => { state.asked = ''; draw(); }, { className: 'small' }));
}

/* ---- stages ---- */

function stagesCard() {
  return h('section', { className: 'card', key: 'stages' },
    h('h2', null, t('op.stages')),
    h('ul', { className: 'list' }, ...state.stages.map(stageItem)),
    form({ key: `add-stage-${state.sent}`, submit: t('op.addStage'), busy: state.busy, className: 'inline', onsubmit: ({ stageName }) => void addStage({ name: stageName }, 'stages') },
      field(t('op.stageName'), { name: 'stageName', required: true, maxLength: 64 })),
    errorAt('stages'),
    awsCard({ aws: state.aws, busy: state.busy, sent: state.sent, error: errorAt('aws'), onopen: loadAws, onadd: (stage) => void addStage(stage, 'aws') }));
}

/** @param {Stage} stage */
function stageItem(stage) {
  const path = `api/stages/${escapeArn(stage.arn)}`;
  return h('li', { className: 'item', key: stage.arn },
    h('div', { className: 'head' }, h('b', null, stage.name), h('span', { className: 'tag' }, t(`op.served.${stage.served}`))),
    h('p', { className: 'hint' }, stage.arn),
    stage.issuedBy && h('p', { className: 'hint', key: 'issued' }, t('op.issued', { why: stage.issuedBy })),
    stage.trouble ? h('p', { className: 'warning', key: 'trouble' }, t('op.unknown', { why: stage.trouble })) : stage.participants.length === 0 ? h('p', { className: 'hint' }, t('op.nobody')) : h('ul', { className: 'list' }, ...stage.participants.map((p) => person(stage, p))),
    stage.served === 'aws' && sessionsOf(stage),
    h('details', { key: 'limits' }, h('summary', null, t('op.limits')), limitsForm(stage, path)),
    asking(`stage ${stage.arn}`, t('op.remove'), t(stage.served === 'aws' ? 'op.sureAWS' : 'op.sureStage', { name: stage.name }), stage.name, () => void remove(stage, path)),
    errorAt(stage.arn));
}

/** @param {Stage} stage */
function sessionsOf({ arn }) {
  const kept = state.sessions.get(arn);
  return h('details', { key: 'sessions', ontoggle: (/** @type {Event} */ e) => { if (/** @type {HTMLDetailsElement} */ (e.target).open) void loadSessions(arn); } },
    h('summary', null, t('op.sessions')),
    !kept ? h('p', { className: 'hint', key: 'asking' }, t('op.awsAsking'))
      : kept.length === 0 ? h('p', { className: 'hint', key: 'none' }, t('op.noSessions'))
        : h('ul', { className: 'list', key: 'kept' }, ...kept.map((s) => h('li', { key: s.id, title: s.id }, s.endedAt
          ? t('op.session', { from: time(s.startedAt), to: time(s.endedAt) }) : t('op.sessionNow', { from: time(s.startedAt) })))));
}

/** @param {Stage} stage @param {string} path */
async function remove(stage, path) {
  const gone = await act('DELETE', path, undefined, stage.arn);
  if (gone && state.aws) await loadAws();
}

/** @param {Stage} stage @param {import('../lib/types.js').Presence} p */
function person(stage, p) {
  const path = `api/stages/${escapeArn(stage.arn)}/participants/${encodeURIComponent(p.participantId)}`;
  const key = `kick ${p.participantId}`;
  return h('li', { className: 'item', key: p.participantId },
    h('div', { className: 'head' }, h('b', null, p.name),
      p.publishing && h('span', { className: 'tag live' }, t('live.live')),
      h('span', { className: 'hint' }, t('live.since', { time: time(p.since) })), h('span', { className: 'hint' }, t('watch.viewers', { n: p.viewers }))),
    p.reception && h('p', { className: 'hint' }, t('op.receives', { what: receives(p.reception).join(' · ') })),
    state.asked === key
      ? form({ key, submit: t('op.kick'), busy: state.busy, className: 'inline', onsubmit: ({ reason }) => void act('DELETE', path, reason ? { reason } : undefined) },
        field(t('op.kickReason'), { name: 'reason', maxLength: 200 }))
      : button(t('op.kick'), () => { state.asked = key; draw(); }, { className: 'small', key, 'aria-label': `${t('op.kick')}: ${p.name}` }));
}

/** @param {Stage} stage @param {string} path */
function limitsForm(stage, path) {
  const { maxHeight, advisedBitrate, maxBitrate, maxKeyframeInterval } = stage.limits;
  const numeric = { type: 'number', required: true, min: 0, step: 'any' };
  return form({
    key: 'limits', submit: t('app.save'), busy: state.busy,
    onsubmit: (d) => void act('PATCH', path, {
      name: d.name,
      limits: { maxHeight: Number(d.maxHeight), advisedBitrate: Number(d.advised) * 1000, maxBitrate: Number(d.most) * 1000, maxKeyframeInterval: Number(d.keyframes) },
    }, stage.arn),
  }, h('div', { className: 'fields' },
    limit(stage, t('op.stageName'), { name: 'name', defaultValue: stage.name, required: true, maxLength: 64 }),
    limit(stage, t('op.maxHeight'), { ...numeric, name: 'maxHeight', defaultValue: maxHeight }),
    limit(stage, t('op.advised'), { ...numeric, name: 'advised', defaultValue: advisedBitrate / 1000 }),
    limit(stage, t('op.most'), { ...numeric, name: 'most', defaultValue: maxBitrate / 1000 }),
    limit(stage, t('op.keyframes'), { ...numeric, name: 'keyframes', defaultValue: maxKeyframeInterval })));
}

/** Each stage has the same fields. @param {Stage} stage @param {string} label @param {Record<string, any>} props */
const limit = (stage, label, props) => field(label, { ...props, id: `${props.name}-${stage.arn}` });

/* ---- people ---- */

function peopleCard() {
  return h('section', { className: 'card', key: 'people' },
    h('h2', null, t('op.people')),
    form({ key: `invite-${state.sent}`, submit: t('op.invite'), busy: state.busy, className: 'inline', onsubmit: invite },
      field(t('op.inviteName'), { name: 'newName', required: true, maxLength: 128 }),
      h('label', { className: 'check' }, h('input', { type: 'checkbox', name: 'operator' }), h('span', null, t('op.asOperator')))),
    state.invited && h('div', { className: 'notice good', role: 'status', key: 'link' },
      h('p', null, t('op.inviteLink', { name: state.invited.name, time: time(state.invited.inviteExpiresAt) })),
      copyField({ key: 'invite', label: t('op.invite'), text: state.invited.invite }),
      button(t('app.done'), () => { state.invited = null; draw(); }, { className: 'small' })),
    h('ul', { className: 'list' }, ...state.users.map(userItem)));
}

/** @param {Record<string, string>} d */
async function invite({ newName, operator }) {
  const made = await act('POST', 'api/users', operator === 'on' ? { name: newName, role: 'operator' } : { name: newName });
  if (made) showLink(made);
  draw();
}

/** @param {User} user */
function userItem(user) {
  const path = `api/users/${encodeURIComponent(user.id)}`;
  const me = user.id === state.me?.id;
  const about = (/** @type {string} */ label) => ({ className: 'small', 'aria-label': `${label}: ${user.name}` });
  return h('li', { className: 'item', key: user.id },
    h('div', { className: 'head' }, h('b', null, user.name),
      user.role === 'operator' && h('span', { className: 'tag' }, t('account.role.operator')),
      h('span', { className: 'hint' }, user.invited ? t('op.invited') : user.lastSeenAt ? t('op.seen', { time: time(user.lastSeenAt) }) : t('op.never'))),
    user.docks.map(dock),
    user.role === 'operator' ? h('p', { className: 'hint', key: 'all' }, `${t('op.grants')}: ${t('op.all')}`) : grants(user, path),
    !me && h('div', { className: 'row wrap', key: 'acts' },
      button(t('op.newLink'), async () => { const made = await act('POST', `${path}/invite`); if (made) showLink(made); }, about(t('op.newLink'))),
      button(t('op.signOut'), () => void act('DELETE', `${path}/logins`), about(t('op.signOut'))),
      asking(`user ${user.id}`, t('op.remove'), t('op.sureRemove', { name: user.name }), user.name, () => void act('DELETE', path))));
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

/** @param {User} user @param {string} path */
function grants(user, path) {
  const free = state.stages.filter((s) => !user.grants.some((g) => g.stage === s.arn));
  return h('div', { className: 'columns', key: 'grants' },
    h('div', null, h('span', { className: 'hint' }, `${t('op.grants')}: `), user.grants.length === 0 && h('span', null, t('op.noGrants'))),
    user.grants.length > 0 && h('ul', { className: 'list', key: 'granted' }, ...user.grants.map((g) => h('li', { className: 'row wrap', key: g.stage },
      h('b', null, state.stages.find((s) => s.arn === g.stage)?.name ?? g.stage),
      ...g.capabilities.map((c) => h('span', { className: 'tag' }, t(`op.${c}`))),
      h('span', { className: 'hint' }, `${t('op.longest')} ${lasting(g.maxTTL)}`),
      button(t('op.ungrant'), () => void act('DELETE', `${path}/grants/${escapeArn(g.stage)}`), { className: 'small', 'aria-label': `${t('op.ungrant')}: ${user.name}` })))),
    free.length > 0 && grantForm(user, free, path));
}

/** In days where they are whole. @param {number} seconds */
function lasting(seconds) {
  const days = seconds / 86_400;
  return Number.isInteger(days) && days > 1 ? t('op.days', { n: days }) : t('op.hours', { n: number(seconds / 3600) });
}

/** @param {User} user @param {Stage[]} free @param {string} path */
function grantForm(user, free, path) {
  const box = (/** @type {string} */ name) => h('label', { className: 'check', key: name }, h('input', { type: 'checkbox', name, defaultChecked: true }), h('span', null, t(`op.${name}`)));
  return form({
    key: `grant-${user.id}`, submit: t('op.grant'), busy: state.busy, className: 'inline',
    onsubmit: (d) => void act('PUT', `${path}/grants/${escapeArn(d.stage)}`, {
      capabilities: ['publish', 'subscribe'].filter((c) => d[c] === 'on'),
      maxTTL: Math.round(Number(d.hours) * 3600),
    }),
  },
  h('div', { className: 'field' }, h('label', { for: `stage-${user.id}` }, t('live.stage')),
    h('select', { name: 'stage', id: `stage-${user.id}` }, ...free.map((s) => h('option', { value: s.arn, key: s.arn }, s.name)))),
  box('publish'), box('subscribe'),
  field(`${t('op.longest')} (${t('op.hoursLabel')})`, { name: 'hours', id: `hours-${user.id}`, type: 'number', min: 1, max: 336, step: 'any', required: true, defaultValue: 12 }));
}

/* ---- tokens ---- */

function tokensCard() {
  const names = new Map(state.stages.map((s) => [s.arn, s.name]));
  return h('section', { className: 'card', key: 'tokens' },
    h('h2', null, t('op.tokens')),
    state.tokens.length === 0 && h('p', { className: 'hint' }, t('op.noTokens')),
    h('ul', { className: 'list' }, ...state.tokens.slice(0, 200).map((k) => tokenItem(k, names.get(k.stage) ?? k.stage, k.user.name, (id) => void act('DELETE', `api/tokens/${encodeURIComponent(id)}`)))));
}

/** Asks again, and shows it unless somebody is in the midst of deciding. */
async function refresh() {
  if (document.hidden || state.busy) return;
  try {
    await load();
    if (state.where === '') state.error = '';
    draw();
  } catch (err) {
    state.error = errorText(err);
    state.where = '';
    draw();
  }
}

void signedIn(async (me) => {
  state.me = me;
  draw();
  if (me.role !== 'operator') return;
  await refresh();
  setInterval(refresh, LOAD_EVERY);
  listen({
    signedOut: () => location.reload(),
    event({ event, data }) {
      const stage = event === 'presence' && state.stages.find((s) => s.arn === data.stage);
      if (!stage) return;
      stage.participants = data.participants;
      draw();
    },
  });
}, 'operator');
