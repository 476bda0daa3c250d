/**
 * The form for a new or a stored rule. It shows the effect of the rule before the rule is applied.
 */
import { api } from '../lib/api.js';
import { checkboxes } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, field, form } from '../lib/page.js';
import { number, t } from '../lib/strings.js';
import { StageChoice } from './stagechoice.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../types').V1Rule} Rule */
/** @typedef {import('../types').V1RuleEffect} Effect */
/** @typedef {Record<string, string>} Data */

const CAPABILITIES = ['publish', 'subscribe'];
/**
 * The time limit is long, because the server answers only after the rule was applied to all users.
 */
export const PATIENCE = { timeout: 300_000 };

/** In the choice of stages, a value with this prefix means all stages of another rule. */
const ALL_OF = 'all of ';

/**
 * The stages that a rule gives: one stage, a stage of each user's own, or all stages of another
 * rule.
 * @param {Data} d
 */
function whatOf(d) {
  if (d.ruleStage?.startsWith(ALL_OF)) return { ownStagesOf: d.ruleStage.slice(ALL_OF.length) };
  if (d.ruleStage) return { stage: d.ruleStage };
  return { ownStage: d.own, ...(d.ownRegion && { region: d.ownRegion.trim() }) };
}

/** The value of the choice for the stages that a rule gives. @param {Rule} [rule] */
const chosenOf = (rule) => (rule?.ownStagesOf ? ALL_OF + rule.ownStagesOf : (rule?.stage ?? ''));

/** The rule that a form describes. @param {Data} d @param {string} [id] @returns {Rule} */
const ruleOf = (d, id) => ({
  ...(id ? { id } : {}),
  // A value without a claim is sent, too, so that the server refuses the rule. If the value were
  // omitted, the rule would be for every user.
  ...(d.claim || d.value ? { claim: d.claim.trim(), value: d.value.trim() } : {}),
  ...whatOf(d),
  capabilities: CAPABILITIES.filter((c) => d[c] === 'on'),
  maxTTL: Math.round(Number(d.ruleHours) * 3600),
});

/** The effect of a rule, in sentences. @param {Effect} e */
function effectText({ gain, lose, change, losing }) {
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

export class RuleForm {
  /** The stored rule; undefined for a new one. @type {Rule | undefined} */
  rule = undefined;
  /**
   * The rule whose effect was requested, and the effect.
   * @type {{rule: Rule, effect: Effect} | null}
   */
  asked = null;
  /** A new number empties the form. */
  #turn = 0;

  /**
   * @param {Console} console
   * @param {object} about
   * @param {string} about.id the beginning of the IDs of the fields
   * @param {(rule?: Rule) => [string, string][]} about.sets the choices "all stages of …"
   * @param {(rule: Rule, where: string) => Promise<boolean>} about.save returns whether the rule
   *   was stored
   */
  constructor(console, about) {
    this.console = console;
    this.about = about;
    this.stage = new StageChoice(console, { changed: () => this.changed() });
  }

  /** The place where the form's errors are shown. */
  get where() {
    return `rule ${this.rule?.id ?? ''}`;
  }

  /** Opens the form with a stored rule, or empty. @param {Rule} [rule] */
  async open(rule) {
    this.rule = rule;
    this.asked = null;
    this.#turn++;
    const ready = this.stage.enter();
    this.stage.chosen = chosenOf(rule);
    await ready;
  }

  /** Hides the effect, because the fields have changed. */
  changed() {
    if (!this.asked) return;
    this.asked = null;
    this.console.draw();
  }

  /** Requests the effect of the rule. @param {Rule} rule */
  async ask(rule) {
    const turn = this.#turn;
    try {
      const effect = await api('POST', 'api/v1/rules/effect', rule, PATIENCE);
      if (turn === this.#turn) this.asked = { rule, effect };
      if (this.console.state.where === this.where) this.console.state.error = '';
      this.console.draw();
    } catch (err) {
      this.console.failed(err, this.where);
    }
  }

  /** @param {Rule} rule */
  async save(rule) {
    if (await this.about.save(rule, this.where)) await this.open();
  }

  view() {
    const { state, errorAt } = this.console;
    return h(
      'div',
      { className: 'columns rest', key: `form ${this.#turn}`, oninput: () => this.changed() },
      form(
        {
          key: 'form',
          submit: t('op.ruleCheck'),
          busy: state.busy,
          onsubmit: (d) => void this.ask(ruleOf(d, this.rule?.id)),
        },
        this.fields(),
      ),
      errorAt(this.where),
      this.asked && this.effect(this.asked),
    );
  }

  /**
   * The effect, and the button that applies the rule.
   * @param {NonNullable<RuleForm['asked']>} asked
   */
  effect({ rule, effect }) {
    return h(
      'div',
      {
        className: `notice row wrap${effect.lose > 0 ? ' warning' : ''}`,
        role: 'status',
        key: 'effect',
      },
      h('span', { dir: 'auto' }, effectText(effect)),
      button(t(rule.id ? 'op.ruleSave' : 'op.addRule'), () => void this.save(rule), {
        className: effect.lose > 0 ? 'danger small' : 'primary small',
        'aria-disabled': this.console.state.busy && 'true',
      }),
    );
  }

  fields() {
    const { rule } = this;
    const { id, sets } = this.about;
    return h(
      'div',
      { className: 'fields' },
      this.field(
        t('op.claim'),
        { name: 'claim', maxLength: 100, placeholder: 'groups', defaultValue: rule?.claim ?? '' },
        t('op.claimHint'),
      ),
      this.field(t('op.claimValue'), {
        name: 'value',
        maxLength: 100,
        defaultValue: rule?.value ?? '',
      }),
      ...this.stage.view({
        id: `${id}-stage`,
        name: 'ruleStage',
        first: [
          ['', t('op.ownStage')],
          ...sets(rule).map(
            ([value, text]) => /** @type {[string, string]} */ ([ALL_OF + value, text]),
          ),
        ],
      }),
      ...(this.stage.chosen === '' ? this.ownFields() : []),
      this.field(t('op.longestHours'), {
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

  /** The fields of a rule that creates stages. */
  ownFields() {
    const { rule } = this;
    return [
      this.field(t('op.ownName'), { name: 'own', defaultValue: rule?.ownStage ?? '{name}' }),
      this.field(
        t('op.ownRegion'),
        {
          name: 'ownRegion',
          maxLength: 32,
          placeholder: 'us-west-2',
          defaultValue: rule?.region ?? '',
        },
        t('op.ownRegionHint'),
      ),
    ];
  }

  /** @param {string} label @param {Record<string, any>} props @param {string} [hint] */
  field(label, props, hint) {
    return field(label, { ...props, id: `${this.about.id}-${props.name}` }, hint);
  }
}
