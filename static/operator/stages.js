/** The console's page of stages: the people with access, limits, stage sessions, and AWS stages. */
import { api, escapeArn } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { field, form } from '../lib/page.js';
import { recognized, t, time } from '../lib/strings.js';
import { awsCard } from './aws.js';
import { counted, List } from './list.js';

/** @typedef {import('../types').V1Stage} Stage */
/** @typedef {import('./operator.js').Console} Console */

class Stages {
  /**
   * The stage sessions of the AWS stages whose list was opened.
   * @type {Map<string, import('../lib/types.js').StageSession[]>}
   */
  sessions = new Map();
  /**
   * The stages at AWS, after the operator has opened the list.
   * @type {import('../lib/types.js').AwsStages | null}
   */
  aws = null;
  /** The numbers of participants that the rows show, by stage. @type {Map<string, string>} */
  counts = new Map();

  /** The rows that are open. @type {Set<string>} */
  open = new Set();

  /** @param {Console} console */
  constructor(console) {
    this.console = console;
    this.list = new List({
      path: 'api/v1/stages',
      member: 'stages',
      draw: console.draw,
      onfilter: console.filterBy,
    });
  }

  /** @param {URLSearchParams} query */
  load(query) {
    return this.list.enter(query);
  }

  /** @param {string} arn */
  presence(arn) {
    const before = this.counts.get(arn) ?? '';
    this.counts.set(arn, this.count(arn).join());
    return this.counts.get(arn) !== before && this.list.items.some((s) => s.arn === arn);
  }

  /** The numbers of publishers and of participants. @param {string} arn */
  count(arn) {
    const there = this.console.state.present.get(arn) ?? [];
    return [there.filter((p) => p.publishing).length, there.length];
  }

  async loadAws() {
    const { state, draw, failed } = this.console;
    try {
      this.aws = await api('GET', 'api/v1/aws/stages');
      if (state.where === 'aws') state.error = '';
      draw();
    } catch (err) {
      failed(err, 'aws');
    }
  }

  /** @param {string} arn */
  async loadSessions(arn) {
    const { state, draw, failed } = this.console;
    try {
      this.sessions.set(
        arn,
        (await api('GET', `api/v1/stages/${escapeArn(arn)}/sessions`)).sessions,
      );
      if (state.where === arn) state.error = '';
      draw();
    } catch (err) {
      failed(err, arn);
    }
  }

  /** @param {Record<string, string>} stage name, name and region, or arn @param {string} where */
  async add(stage, where) {
    const made = await this.console.act('POST', 'api/v1/stages', stage, {
      where,
      done: (added) => t('op.done.stageAdded', { name: added.name }),
    });
    if (made && where === 'aws') await this.loadAws();
  }

  /** @param {Stage} stage @param {string} path */
  async remove(stage, path) {
    const gone = await this.console.act('DELETE', path, undefined, {
      where: stage.arn,
      done: t('op.done.stageRemoved', { name: stage.name }),
    });
    if (gone && this.aws) await this.loadAws();
  }

  view() {
    const { state, errorAt } = this.console;
    return h(
      'section',
      { className: 'card', key: 'stages' },
      h('h1', null, t('op.stages')),
      form(
        {
          key: `add-stage-${state.sent}`,
          submit: t('op.addStage'),
          busy: state.busy,
          className: 'inline',
          onsubmit: ({ stageName }) => void this.add({ name: stageName }, 'stages'),
        },
        field(t('op.stageName'), { name: 'stageName', required: true }),
      ),
      errorAt('stages'),
      awsCard({
        aws: this.aws,
        busy: state.busy,
        sent: state.sent,
        error: errorAt('aws'),
        onopen: () => this.loadAws(),
        onadd: (stage) => void this.add(stage, 'aws'),
      }),
      ...this.list.view({
        search: t('op.searchStages'),
        empty: t('op.stagesNone'),
        row: (stage) => this.row(stage),
      }),
    );
  }

  /** @param {Stage} stage */
  row(stage) {
    const { state, link, errorAt } = this.console;
    const [live, there] = this.count(stage.arn);
    return h(
      'li',
      { key: stage.arn },
      h('b', { dir: 'auto', className: 'main' }, stage.name),
      h('span', { className: 'tag' }, t(`op.served.${stage.served}`)),
      link('people', { stage: stage.arn }, t('op.users', { n: counted(stage.users) }), {
        className: 'side',
      }),
      live > 0 && h('span', { className: 'tag live', key: 'live' }, t('op.liveCount', { n: live })),
      h(
        'span',
        { className: 'hint count', key: 'there' },
        !state.connected ? '' : there === 0 ? t('op.nobody') : t('op.there', { n: there }),
      ),
      stage.issuedBy &&
        h(
          'span',
          { className: 'hint rest', key: 'issued' },
          t('op.issued', { why: recognized('issuer', stage.issuedBy) }),
        ),
      h(
        'details',
        {
          key: 'more',
          className: 'rest',
          open: this.open.has(stage.arn),
          ontoggle: (/** @type {Event} */ e) => this.toggled(e, stage.arn),
        },
        h('summary', { 'aria-label': `${t('op.manage')}: ${stage.name}` }, t('op.manage')),
        this.open.has(stage.arn) && this.more(stage),
      ),
      errorAt(stage.arn),
    );
  }

  /** @param {Event} e @param {string} arn */
  toggled(e, arn) {
    const details = /** @type {HTMLDetailsElement} */ (e.target);
    if (details !== e.currentTarget || details.open === this.open.has(arn)) return;
    if (details.open) this.open.add(arn);
    else this.open.delete(arn);
    this.console.draw();
  }

  /** @param {Stage} stage */
  more(stage) {
    const { link, asking } = this.console;
    const path = `api/v1/stages/${escapeArn(stage.arn)}`;
    return h(
      'div',
      { className: 'columns', key: 'of' },
      h('p', { className: 'hint' }, stage.arn),
      h(
        'div',
        { className: 'row wrap', key: 'links' },
        link('tokens', { stage: stage.arn }, t('op.tokens')),
        link('records', { stage: stage.arn }, t('op.tab.records')),
      ),
      stage.served === 'aws' && this.sessionsOf(stage),
      this.limits(stage, path),
      h(
        'div',
        { className: 'row wrap', key: 'remove' },
        asking(
          `stage ${stage.arn}`,
          t('op.remove'),
          t(stage.served === 'aws' ? 'op.sureAWS' : 'op.sureStage', { name: stage.name }),
          stage.name,
          () => void this.remove(stage, path),
        ),
      ),
    );
  }

  /** @param {Stage} stage */
  sessionsOf({ arn }) {
    const kept = this.sessions.get(arn);
    return h(
      'details',
      {
        key: 'sessions',
        ontoggle: (/** @type {Event} */ e) => {
          if (/** @type {HTMLDetailsElement} */ (e.target).open) void this.loadSessions(arn);
        },
      },
      h('summary', null, t('op.sessions')),
      !kept
        ? h('p', { className: 'hint', key: 'asking' }, t('op.awsAsking'))
        : kept.length === 0
          ? h('p', { className: 'hint', key: 'none' }, t('op.noSessions'))
          : h(
              'ul',
              { className: 'list', key: 'kept' },
              ...kept.map((s) =>
                h(
                  'li',
                  { key: s.id, title: s.id },
                  s.endedAt
                    ? t('op.session', { from: time(s.startedAt), to: time(s.endedAt) })
                    : t('op.sessionNow', { from: time(s.startedAt) }),
                ),
              ),
            ),
    );
  }

  /** @param {Stage} stage @param {string} path */
  limits(stage, path) {
    const { act, state } = this.console;
    const { maxHeight, advisedBitrate, maxBitrate, maxKeyframeInterval } = stage.limits;
    const numeric = { type: 'number', required: true, min: 0, step: 'any' };
    /** @param {string} label @param {Record<string, any>} props */
    const limit = (label, props) => field(label, { ...props, id: `${props.name}-${stage.arn}` });
    return form(
      {
        key: 'limits',
        submit: t('app.save'),
        busy: state.busy,
        onsubmit: (d) =>
          void act(
            'PATCH',
            path,
            {
              name: d.name,
              limits: {
                maxHeight: Number(d.maxHeight),
                advisedBitrate: Number(d.advised) * 1000,
                maxBitrate: Number(d.most) * 1000,
                maxKeyframeInterval: Number(d.keyframes),
              },
            },
            { where: stage.arn, done: t('op.done.stageChanged', { name: d.name }) },
          ),
      },
      h(
        'div',
        { className: 'fields' },
        limit(t('op.stageName'), {
          name: 'name',
          defaultValue: stage.name,
          required: true,
        }),
        limit(t('op.maxHeight'), { ...numeric, name: 'maxHeight', defaultValue: maxHeight }),
        limit(t('op.advised'), {
          ...numeric,
          name: 'advised',
          defaultValue: advisedBitrate / 1000,
        }),
        limit(t('op.most'), { ...numeric, name: 'most', defaultValue: maxBitrate / 1000 }),
        limit(t('op.keyframes'), {
          ...numeric,
          name: 'keyframes',
          defaultValue: maxKeyframeInterval,
        }),
      ),
    );
  }
}

/** @param {Console} console @returns {import('./operator.js').Page} */
export const createStages = (console) => new Stages(console);
