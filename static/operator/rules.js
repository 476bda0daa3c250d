/** The console's rules: who gets access to what, by a claim of the sign-in service. */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { field, form } from '../lib/page.js';
import { t } from '../lib/strings.js';
import { lasting } from './person.js';

/** @typedef {import('./operator.js').Console} Console */

/** @param {Console} console @returns {import('./operator.js').Page} */
export function createRules(console) {
  const { act, asking, draw, errorAt, failed, state } = console;
  /** @type {import('../types').V1Rule[] | null} */
  let rules = null;
  /** @type {import('../types').V1Stage[]} */
  let stages = [];

  async function load() {
    try {
      const [all, some] = await Promise.all([api('GET', 'api/v1/rules'), api('GET', 'api/v1/stages?limit=100')]);
      rules = all.rules;
      stages = some.stages;
      draw();
    } catch (err) {
      failed(err, 'rules');
    }
  }

  /** @param {Record<string, string>} d */
  const add = (d) => act('POST', 'api/v1/rules', {
    ...(d.claim ? { claim: d.claim.trim(), value: d.value.trim() } : {}),
    ...(d.ruleStage ? { stage: d.ruleStage } : { ownStage: d.own, ...(d.ownRegion && { region: d.ownRegion.trim() }) }),
    capabilities: ['publish', 'subscribe'], maxTTL: Math.round(Number(d.ruleHours) * 3600),
  }, 'rules');

  /** @param {import('../types').V1Rule} rule */
  function row(rule) {
    const who = rule.claim ? t('op.ruleClaim', { claim: rule.claim, value: rule.value ?? '' }) : t('op.ruleAll');
    const what = rule.stage ? stages.find((s) => s.arn === rule.stage)?.name ?? rule.stage : t('op.ruleOwn', { name: rule.ownStage ?? '' }) + (rule.region ? ` (${rule.region})` : '');
    return h('li', { key: rule.id },
      h('b', { dir: 'auto', className: 'main' }, who), h('span', null, '→'), h('span', { dir: 'auto', className: 'side' }, what),
      ...rule.capabilities.map((c) => h('span', { className: 'tag', key: c }, t(`op.${c}`))),
      h('span', { className: 'hint' }, `${t('op.longest')} ${lasting(rule.maxTTL ?? 0)}`),
      asking(`rule ${rule.id}`, t('op.remove'), t('op.sureRule'), who, () => void act('DELETE', `api/v1/rules/${rule.id}`, undefined, 'rules')));
  }

  return {
    load,
    view: () => h('section', { className: 'card', key: 'rules' },
      h('h1', null, t('op.tab.rules')),
      h('p', { className: 'hint' }, t('op.rulesLead')),
      errorAt('rules'),
      rules?.length === 0 && h('p', { className: 'hint', key: 'none' }, t('op.noRules')),
      h('ul', { className: 'lines', key: 'list' }, ...(rules ?? []).map(row)),
      form({ key: `rule-${state.sent}`, submit: t('op.addRule'), busy: state.busy, onsubmit: (d) => void add(d) },
        h('div', { className: 'fields' },
          field(t('op.claim'), { name: 'claim', maxLength: 100, placeholder: 'groups' }, t('op.claimHint')),
          field(t('op.claimValue'), { name: 'value', maxLength: 100 }),
          h('div', { className: 'field', key: 'stage' }, h('label', { for: 'rule-stage' }, t('live.stage')),
            h('select', { id: 'rule-stage', name: 'ruleStage' }, h('option', { value: '', key: '' }, t('op.ownStage')), ...stages.map((s) => h('option', { value: s.arn, key: s.arn }, s.name)))),
          field(t('op.ownName'), { name: 'own', defaultValue: '{name}', maxLength: 64 }),
          field(t('op.ownRegion'), { name: 'ownRegion', maxLength: 32, placeholder: 'us-west-2' }, t('op.ownRegionHint')),
          field(`${t('op.longest')} (${t('op.hoursLabel')})`, { name: 'ruleHours', type: 'number', min: 1, max: 336, step: 'any', required: true, defaultValue: 12 })))),
  };
}
