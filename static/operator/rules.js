/** The console's rules: they give access by a claim of the sign-in service. */
import { api } from '../lib/api.js';
import { checkboxes, choice } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, field, form } from '../lib/page.js';
import { number, t } from '../lib/strings.js';
import { lasting } from './person.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../types').V1Rule} Rule */
/** @typedef {import('../types').V1RuleEffect} Effect */
/** @typedef {Record<string, string>} Data */

const CAPABILITIES = ['publish', 'subscribe'];
/** The server answers only after a rule was applied to everybody. */
const PATIENCE = { timeout: 300_000 };

/** The beginning of the value of a choice that stands for all stages of a rule. */
const ALL_OF = 'all of ';

/** What a rule gives: a stage, a stage of one's own, or all stages of a rule. @param {Data} d */
function whatOf(d) {
  if (d.ruleStage?.startsWith(ALL_OF)) return { ownStagesOf: d.ruleStage.slice(ALL_OF.length) };
  if (d.ruleStage) return { stage: d.ruleStage };
  return { ownStage: d.own, ...(d.ownRegion && { region: d.ownRegion.trim() }) };
}

/** The choice that stands for what a rule gives. @param {Rule} [rule] */
const chosenOf = (rule) => (rule?.ownStagesOf ? ALL_OF + rule.ownStagesOf : (rule?.stage ?? ''));

/** The rule that a form describes. @param {Data} d @param {string} [id] @returns {Rule} */
export const ruleOf = (d, id) => ({
  ...(id ? { id } : {}),
  ...(d.claim ? { claim: d.claim.trim(), value: d.value.trim() } : {}),
  ...whatOf(d),
  capabilities: CAPABILITIES.filter((c) => d[c] === 'on'),
  maxTTL: Math.round(Number(d.ruleHours) * 3600),
});

/** The effect of a rule, in sentences. @param {Effect} e */
export function effectText({ gain, lose, change, losing }) {
  const names = losing.join(', ');
  const sentences = [
    gain > 0 && t('op.ruleGain', { n: number(gain) }),
    lose > 0 &&
      t('op.ruleLose', {
        n: number(lose),
        names: lose > losing.length ? t('op.ruleMore', { names }) : names,
      }),
    change > 0 && t('op.ruleChange', { n: number(change) }),
  ].filter(Boolean);
  return sentences.join(' ') || t('op.ruleNone');
}

class Rules {
  /** @type {Rule[] | null} */
  rules = null;
  /** @type {import('../types').V1Stage[]} */
  stages = [];
  /** The ID of the rule that is edited. */
  editing = '';
  /**
   * The rule whose effect was requested, and the effect.
   * @type {{rule: Rule, effect: Effect} | null}
   */
  asked = null;

  /** @param {Console} console */
  constructor(console) {
    this.console = console;
  }

  load = async () => {
    try {
      const [all, some] = await Promise.all([
        api('GET', 'api/v1/rules'),
        api('GET', 'api/v1/stages?limit=100'),
      ]);
      this.rules = all.rules;
      this.stages = some.stages;
      this.console.draw();
    } catch (err) {
      this.console.failed(err, 'rules');
    }
  };

  leave = () => this.edit('');

  /** @param {string} id */
  edit(id) {
    this.editing = id;
    this.asked = null;
    this.console.state.error = '';
    this.console.draw();
  }

  /** Requests the effect of a change. @param {Rule} rule */
  async ask(rule) {
    try {
      const effect = await api('POST', 'api/v1/rules/effect', rule, PATIENCE);
      if (this.editing === rule.id) this.asked = { rule, effect };
      this.console.state.error = '';
      this.console.draw();
    } catch (err) {
      this.console.failed(err, `rule ${rule.id}`);
    }
  }

  /** @param {Rule} rule */
  async save(rule) {
    if (await this.console.act('PUT', `api/v1/rules/${rule.id}`, rule, `rule ${rule.id}`, PATIENCE))
      this.edit('');
  }

  /** All stages of a rule, by the names that it gives them. @param {string} [id] */
  allOf(id) {
    const maker = this.rules?.find((r) => r.id === id);
    return t('op.ruleOwnAll', { name: maker?.ownStage ?? id ?? '' });
  }

  /** What a rule gives. @param {Rule} rule */
  what(rule) {
    if (rule.ownStagesOf) return this.allOf(rule.ownStagesOf);
    if (rule.stage) return this.stages.find((s) => s.arn === rule.stage)?.name ?? rule.stage;
    const own = t('op.ruleOwn', { name: rule.ownStage ?? '' });
    return rule.region ? `${own} (${rule.region})` : own;
  }

  /** The fields of a rule. @param {string} id makes their IDs different @param {Rule} [rule] */
  fields(id, rule) {
    /** @param {string} label @param {Record<string, any>} props @param {string} [hint] */
    const one = (label, props, hint) => field(label, { ...props, id: `${id}-${props.name}` }, hint);
    return h(
      'div',
      { className: 'fields' },
      one(
        t('op.claim'),
        { name: 'claim', maxLength: 100, placeholder: 'groups', defaultValue: rule?.claim ?? '' },
        t('op.claimHint'),
      ),
      one(t('op.claimValue'), { name: 'value', maxLength: 100, defaultValue: rule?.value ?? '' }),
      choice(
        t('live.stage'),
        { id: `${id}-stage`, name: 'ruleStage', chosen: chosenOf(rule) },
        this.stageOptions(rule),
      ),
      one(t('op.ownName'), {
        name: 'own',
        defaultValue: rule?.ownStage ?? '{name}',
      }),
      one(
        t('op.ownRegion'),
        {
          name: 'ownRegion',
          maxLength: 32,
          placeholder: 'us-west-2',
          defaultValue: rule?.region ?? '',
        },
        t('op.ownRegionHint'),
      ),
      one(`${t('op.longest')} (${t('op.hoursLabel')})`, {
        name: 'ruleHours',
        type: 'number',
        min: 1,
        max: 336,
        step: 'any',
        required: true,
        defaultValue: (rule?.maxTTL ?? 43_200) / 3600,
      }),
      checkboxes(
        t('op.ruleCapabilities'),
        'can',
        CAPABILITIES.map((c) => [c, t(`op.${c}`), rule?.capabilities.includes(c) ?? true]),
      ),
    );
  }

  /**
   * The stages to choose from. They include the stage of the rule, even if it was not read.
   * @param {Rule} [rule]
   * @returns {[string, string][]}
   */
  stageOptions(rule) {
    const makers = this.rules?.filter((r) => r.ownStage && r.id !== rule?.id) ?? [];
    const known = this.stages.some((s) => s.arn === rule?.stage);
    return [
      ['', t('op.ownStage')],
      ...makers.map((r) => /** @type {[string, string]} */ ([ALL_OF + r.id, this.allOf(r.id)])),
      ...this.stages.map(({ arn, name }) => /** @type {[string, string]} */ ([arn, name])),
      ...(rule?.stage && !known
        ? [/** @type {[string, string]} */ ([rule.stage, rule.stage])]
        : []),
    ];
  }

  /** @param {Rule} rule */
  who(rule) {
    return rule.claim
      ? t('op.ruleClaim', { claim: rule.claim, value: rule.value ?? '' })
      : t('op.ruleAll');
  }

  /** @param {Rule} rule */
  row(rule) {
    if (this.editing === rule.id) return this.form(rule);
    const { act, asking } = this.console;
    return h(
      'li',
      { key: rule.id },
      h('b', { dir: 'auto', className: 'main' }, this.who(rule)),
      h('span', null, '→'),
      h('span', { dir: 'auto', className: 'side' }, this.what(rule)),
      ...rule.capabilities.map((c) => h('span', { className: 'tag', key: c }, t(`op.${c}`))),
      h('span', { className: 'hint' }, `${t('op.longest')} ${lasting(rule.maxTTL ?? 0)}`),
      button(t('op.ruleEdit'), () => this.edit(rule.id ?? ''), {
        className: 'small',
        key: 'edit',
        'aria-label': `${t('op.ruleEdit')}: ${this.who(rule)}`,
      }),
      asking(
        `rule ${rule.id}`,
        t('op.remove'),
        t('op.sureRule'),
        this.who(rule),
        () => void act('DELETE', `api/v1/rules/${rule.id}`, undefined, 'rules', PATIENCE),
      ),
    );
  }

  /** The form of a rule that is edited in its place. @param {Rule} rule */
  form(rule) {
    const { errorAt, state } = this.console;
    const { asked } = this;
    const changed = () => {
      if (!this.asked) return; // the answer is about earlier values of the fields
      this.asked = null;
      this.console.draw();
    };
    return h(
      'li',
      { key: `edit ${rule.id}`, oninput: changed },
      h('b', { dir: 'auto', className: 'rest' }, this.who(rule)),
      form(
        {
          key: 'form',
          submit: t('op.ruleCheck'),
          busy: state.busy,
          className: 'rest',
          onsubmit: (d) => void this.ask(ruleOf(d, rule.id)),
        },
        this.fields('edit', rule),
      ),
      errorAt(`rule ${rule.id}`),
      asked &&
        h(
          'div',
          {
            className: `notice rest row wrap${asked.effect.lose > 0 ? ' warning' : ''}`,
            role: 'status',
            key: 'effect',
          },
          h('span', { dir: 'auto' }, effectText(asked.effect)),
          button(t('op.ruleSave'), () => void this.save(asked.rule), {
            className: asked.effect.lose > 0 ? 'danger small' : 'primary small',
            'aria-disabled': state.busy && 'true',
          }),
        ),
      button(t('app.cancel'), () => this.edit(''), { className: 'small', key: 'cancel' }),
    );
  }

  view = () =>
    h(
      'section',
      { className: 'card', key: 'rules' },
      h('h1', null, t('op.tab.rules')),
      h('p', { className: 'hint' }, t('op.rulesLead')),
      this.console.errorAt('rules'),
      this.rules?.length === 0 && h('p', { className: 'hint', key: 'none' }, t('op.noRules')),
      h(
        'ul',
        { className: 'lines', key: 'list' },
        ...(this.rules ?? []).map((rule) => this.row(rule)),
      ),
      form(
        {
          key: `rule-${this.console.state.sent}`,
          submit: t('op.addRule'),
          busy: this.console.state.busy,
          onsubmit: (d) =>
            void this.console.act('POST', 'api/v1/rules', ruleOf(d), 'rules', PATIENCE),
        },
        this.fields('rule'),
      ),
    );
}

/** @param {Console} console @returns {import('./operator.js').Page} */
export const createRules = (console) => new Rules(console);
