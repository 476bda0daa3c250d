/** The console's stages: who is on them, limits, sessions, and stages of Amazon IVS. */
import { api, escapeArn } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { button, field, form } from '../lib/page.js';
import { t, time } from '../lib/strings.js';
import { receives } from '../dock/views.js';
import { awsCard } from './aws.js';
import { createList } from './list.js';

/** @typedef {import('../types').V1Stage} Stage */
/** @typedef {import('../lib/types.js').Presence} Presence */
/** @typedef {import('./operator.js').Console} Console */

/** @param {Console} console */
export function createStages(console) {
  const { act, asking, draw, errorAt, failed, state } = console;
  const list = createList({ path: 'api/v1/stages', member: 'stages', keyOf: (/** @type {Stage} */ s) => s.arn, draw });
  /** Who is on a stage, as the event stream says. @type {Map<string, Presence[]>} */
  const present = new Map();
  /** Of AWS stages, once the operator looked. @type {Map<string, import('../lib/types.js').StageSession[]>} */
  const sessions = new Map();
  /** What AWS has, once the operator looked. @type {import('../lib/types.js').AwsStages | null} */
  let aws = null;

  async function loadAws() {
    try {
      aws = await api('GET', 'api/aws/stages');
      if (state.where === 'aws') state.error = '';
      draw();
    } catch (err) {
      failed(err, 'aws');
    }
  }

  /** @param {string} arn */
  async function loadSessions(arn) {
    try {
      sessions.set(arn, (await api('GET', `api/stages/${escapeArn(arn)}/sessions`)).sessions);
      if (state.where === arn) state.error = '';
      draw();
    } catch (err) {
      failed(err, arn);
    }
  }

  /** @param {Record<string, string>} stage name, name and region, or arn @param {string} where */
  async function add(stage, where) {
    const made = await act('POST', 'api/stages', stage, where);
    if (made && where === 'aws') await loadAws();
  }

  /** @param {Stage} stage @param {string} path */
  async function remove(stage, path) {
    const gone = await act('DELETE', path, undefined, stage.arn);
    if (gone && aws) await loadAws();
  }

  /** @param {Stage} stage */
  function row(stage) {
    const path = `api/stages/${escapeArn(stage.arn)}`;
    return h('li', { className: 'item', key: stage.arn },
      h('div', { className: 'head' }, h('b', { dir: 'auto' }, stage.name), h('span', { className: 'tag' }, t(`op.served.${stage.served}`)),
        h('span', { className: 'hint' }, t('op.users', { n: stage.users }))),
      h('p', { className: 'hint' }, stage.arn),
      stage.issuedBy && h('p', { className: 'hint', key: 'issued' }, t('op.issued', { why: stage.issuedBy })),
      people(stage),
      stage.served === 'aws' && sessionsOf(stage),
      h('details', { key: 'limits' }, h('summary', null, t('op.limits')), limitsForm(stage, path)),
      asking(`stage ${stage.arn}`, t('op.remove'), t(stage.served === 'aws' ? 'op.sureAWS' : 'op.sureStage', { name: stage.name }), stage.name, () => void remove(stage, path)),
      errorAt(stage.arn));
  }

  /** @param {Stage} stage */
  function people(stage) {
    const there = present.get(stage.arn);
    if (!there && !state.connected) return null;
    if (!there?.length) return h('p', { className: 'hint' }, t('op.nobody'));
    return h('ul', { className: 'list' }, ...there.map((p) => person(stage.arn, p)));
  }

  /** @param {string} arn @param {Presence} p */
  function person(arn, p) {
    const path = `api/stages/${escapeArn(arn)}/participants/${encodeURIComponent(p.participantId)}`;
    const key = `kick ${p.participantId}`;
    return h('li', { className: 'item', key: p.participantId },
      h('div', { className: 'head' }, h('b', { dir: 'auto' }, p.name),
        p.publishing && h('span', { className: 'tag live' }, t('live.live')),
        h('span', { className: 'hint' }, t('live.since', { time: time(p.since) })), h('span', { className: 'hint' }, t('watch.viewers', { n: p.viewers }))),
      p.reception && h('p', { className: 'hint' }, t('op.receives', { what: receives(p.reception).join(' · ') })),
      state.asked === key
        ? form({ key, submit: t('op.kick'), busy: state.busy, className: 'inline', onsubmit: ({ reason }) => void act('DELETE', path, reason ? { reason } : undefined) },
          field(t('op.kickReason'), { name: 'reason', maxLength: 200 }))
        : button(t('op.kick'), () => { state.asked = key; draw(); }, { className: 'small', key, 'aria-label': `${t('op.kick')}: ${p.name}` }));
  }

  /** @param {Stage} stage */
  function sessionsOf({ arn }) {
    const kept = sessions.get(arn);
    return h('details', { key: 'sessions', ontoggle: (/** @type {Event} */ e) => { if (/** @type {HTMLDetailsElement} */ (e.target).open) void loadSessions(arn); } },
      h('summary', null, t('op.sessions')),
      !kept ? h('p', { className: 'hint', key: 'asking' }, t('op.awsAsking'))
        : kept.length === 0 ? h('p', { className: 'hint', key: 'none' }, t('op.noSessions'))
          : h('ul', { className: 'list', key: 'kept' }, ...kept.map((s) => h('li', { key: s.id, title: s.id }, s.endedAt
            ? t('op.session', { from: time(s.startedAt), to: time(s.endedAt) }) : t('op.sessionNow', { from: time(s.startedAt) })))));
  }

  /** @param {Stage} stage @param {string} path */
  function limitsForm(stage, path) {
    const { maxHeight, advisedBitrate, maxBitrate, maxKeyframeInterval } = stage.limits;
    const numeric = { type: 'number', required: true, min: 0, step: 'any' };
    /** @param {string} label @param {Record<string, any>} props */
    const limit = (label, props) => field(label, { ...props, id: `${props.name}-${stage.arn}` });
    return form({
      key: 'limits', submit: t('app.save'), busy: state.busy,
      onsubmit: (d) => void act('PATCH', path, {
        name: d.name,
        limits: { maxHeight: Number(d.maxHeight), advisedBitrate: Number(d.advised) * 1000, maxBitrate: Number(d.most) * 1000, maxKeyframeInterval: Number(d.keyframes) },
      }, stage.arn),
    }, h('div', { className: 'fields' },
      limit(t('op.stageName'), { name: 'name', defaultValue: stage.name, required: true, maxLength: 64 }),
      limit(t('op.maxHeight'), { ...numeric, name: 'maxHeight', defaultValue: maxHeight }),
      limit(t('op.advised'), { ...numeric, name: 'advised', defaultValue: advisedBitrate / 1000 }),
      limit(t('op.most'), { ...numeric, name: 'most', defaultValue: maxBitrate / 1000 }),
      limit(t('op.keyframes'), { ...numeric, name: 'keyframes', defaultValue: maxKeyframeInterval })));
  }

  return {
    load: list.load,
    /** The event stream says who is on a stage. @param {string} arn @param {Presence[]} participants @returns {boolean} whether the page shows it */
    presence(arn, participants) {
      present.set(arn, participants);
      return list.state.items.some((s) => s.arn === arn);
    },
    view: () => h('section', { className: 'card', key: 'stages' },
      h('h2', null, t('op.stages')),
      ...list.view({ search: t('op.searchStages'), empty: t('op.noStages'), row }),
      form({ key: `add-stage-${state.sent}`, submit: t('op.addStage'), busy: state.busy, className: 'inline', onsubmit: ({ stageName }) => void add({ name: stageName }, 'stages') },
        field(t('op.stageName'), { name: 'stageName', required: true, maxLength: 64 })),
      errorAt('stages'),
      awsCard({ aws, busy: state.busy, sent: state.sent, error: errorAt('aws'), onopen: loadAws, onadd: (stage) => void add(stage, 'aws') })),
  };
}
