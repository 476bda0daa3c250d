/** The console's page of rules, which give access by a claim of the sign-in service. */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { button } from '../lib/page.js';
import { t } from '../lib/strings.js';
import { lasting } from './person.js';
import { PATIENCE, RuleForm } from './ruleform.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../types').V1Rule} Rule */

class Rules {
  /** @type {Rule[] | null} */
  rules = null;
  /** The ID of the rule that is edited. */
  editing = '';

  /** @param {Console} console */
  constructor(console) {
    this.console = console;
    const sets = (/** @type {Rule | undefined} */ rule) => this.sets(rule);
    const save = (/** @type {Rule} */ rule, /** @type {string} */ where) => this.store(rule, where);
    this.adding = new RuleForm(console, { id: 'rule', sets, save });
    this.changing = new RuleForm(console, { id: 'edit', sets, save });
  }

  load = async () => {
    try {
      const [{ rules }] = await Promise.all([
        api('GET', 'api/v1/rules'),
        this.rules ? undefined : this.adding.open(),
      ]);
      this.rules = rules;
      this.console.draw();
    } catch (err) {
      this.console.failed(err, 'rules');
    }
  };

  leave = () => {
    this.rules = null;
    this.editing = '';
  };

  /** @param {Rule} [rule] undefined ends the editing */
  edit(rule) {
    this.editing = rule?.id ?? '';
    if (rule) void this.changing.open(rule);
    this.console.state.error = '';
    this.console.draw();
  }

  /** @param {Rule} rule @param {string} where */
  async store(rule, where) {
    const done = t(rule.id ? 'op.done.ruleChanged' : 'op.done.ruleAdded', {
      rule: this.words(rule),
    });
    const about = { where, done, ...PATIENCE };
    const stored = rule.id
      ? await this.console.act('PUT', `api/v1/rules/${rule.id}`, rule, about)
      : await this.console.act('POST', 'api/v1/rules', rule, about);
    if (!stored) await this.reread();
    if (stored && rule.id) this.edit();
    return Boolean(stored);
  }

  /** @param {Rule} rule */
  async remove(rule) {
    const removed = await this.console.act('DELETE', `api/v1/rules/${rule.id}`, undefined, {
      where: 'rules',
      done: t('op.done.ruleRemoved', { rule: this.words(rule) }),
      ...PATIENCE,
    });
    if (!removed) await this.reread();
  }

  /** Reads the rules after a failed change, which the server may have stored. */
  async reread() {
    try {
      this.rules = (await api('GET', 'api/v1/rules')).rules;
      this.console.draw();
    } catch {
      // The page shows the error of the change.
    }
  }

  /**
   * The text "all stages of the rule" with the pattern of the names of these stages.
   * @param {string} [id] of the rule that creates them
   */
  allOf(id) {
    const maker = this.rules?.find((r) => r.id === id);
    return t('op.ruleOwnAll', { name: maker?.ownStage ?? id ?? '' });
  }

  /**
   * The choices "all stages of …": one for each rule that creates stages, except this rule.
   * @param {Rule} [rule]
   */
  sets(rule) {
    const makers = this.rules?.filter((r) => r.ownStage && r.id !== rule?.id) ?? [];
    return makers.map((r) => /** @type {[string, string]} */ ([r.id ?? '', this.allOf(r.id)]));
  }

  /** The text for the stages that a rule gives. @param {Rule} rule */
  what(rule) {
    if (rule.ownStagesOf) return this.allOf(rule.ownStagesOf);
    if (rule.stage) return this.console.stageName(rule.stage);
    const own = t('op.ruleOwn', { name: rule.ownStage ?? '' });
    return rule.region ? `${own} (${rule.region})` : own;
  }

  /** @param {Rule} rule */
  who(rule) {
    return rule.claim
      ? t('op.ruleClaim', { claim: rule.claim, value: rule.value ?? '' })
      : t('op.ruleAll');
  }

  /** @param {Rule} rule */
  words(rule) {
    return `${this.who(rule)} → ${this.what(rule)}`;
  }

  /** @param {Rule} rule */
  row(rule) {
    if (this.editing === rule.id) return this.form(rule);
    const { asking } = this.console;
    return h(
      'li',
      { key: rule.id },
      h('b', { dir: 'auto', className: 'main' }, this.who(rule)),
      h('span', null, '→'),
      h('span', { dir: 'auto', className: 'side' }, this.what(rule)),
      ...rule.capabilities.map((c) => h('span', { className: 'tag', key: c }, t(`op.${c}`))),
      h('span', { className: 'hint' }, `${t('op.longest')} ${lasting(rule.maxTTL ?? 0)}`),
      button(t('op.ruleEdit'), () => this.edit(rule), {
        className: 'small',
        key: 'edit',
        'aria-label': `${t('op.ruleEdit')}: ${this.who(rule)}`,
      }),
      asking(
        `rule ${rule.id}`,
        t('op.remove'),
        t('op.sureRule'),
        this.who(rule),
        () => void this.remove(rule),
      ),
    );
  }

  /** The form of a rule that is edited in its place. @param {Rule} rule */
  form(rule) {
    return h(
      'li',
      { key: `edit ${rule.id}` },
      h('b', { dir: 'auto', className: 'rest' }, this.who(rule)),
      this.changing.view(),
      button(t('app.cancel'), () => this.edit(), { className: 'small', key: 'cancel' }),
    );
  }

  view = () =>
    h(
      'section',
      { className: 'card', key: 'rules' },
      h('h1', null, t('op.tab.rules')),
      h('p', { className: 'hint' }, t('op.rulesLead')),
      this.console.errorAt('rules'),
      !this.rules && h('p', { className: 'hint', key: 'loading' }, t('app.loading')),
      this.rules?.length === 0 && h('p', { className: 'hint', key: 'none' }, t('op.noRules')),
      this.rules &&
        this.rules.length > 0 &&
        h('ul', { className: 'lines', key: 'list' }, ...this.rules.map((rule) => this.row(rule))),
      h('h2', { key: 'new' }, t('op.newRule')),
      this.adding.view(),
    );
}

/** @param {Console} console @returns {import('./operator.js').Page} */
export const createRules = (console) => new Rules(console);
