/**
 * The card for AWS stages: choose one that exists at AWS, enter the ARN of one, or create one.
 */
import { choice } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, field, form } from '../lib/page.js';
import { serverSaid, t } from '../lib/strings.js';

/** @typedef {import('../lib/types.js').AwsStages} AwsStages */

/**
 * @param {object} about
 * @param {AwsStages | null} about.aws null until the list was opened
 * @param {boolean} about.busy
 * @param {number} about.sent the number of sent forms: a new number empties a form
 * @param {import('../lib/dom.js').Child} about.error
 * @param {() => void} about.onopen
 * @param {(stage: Record<string, string>) => void} about.onadd
 */
export function awsCard({ aws, busy, sent, error, onopen, onadd }) {
  const opened = (/** @type {Event} */ e) => {
    if (/** @type {HTMLDetailsElement} */ (e.currentTarget).open) onopen();
  };
  return h(
    'details',
    { key: 'aws', ontoggle: opened },
    h('summary', null, t('op.aws')),
    h(
      'div',
      { className: 'columns' },
      ...(aws
        ? known(aws, busy, sent, onadd)
        : [!error && h('p', { className: 'hint', key: 'asking' }, t('op.awsAsking'))]),
      error,
    ),
  );
}

/**
 * @param {AwsStages} aws
 * @param {boolean} busy
 * @param {number} sent
 * @param {(stage: Record<string, string>) => void} onadd
 */
function known({ regions, stages, troubles = [] }, busy, sent, onadd) {
  if (regions.length === 0) return [h('p', { className: 'hint', key: 'none' }, t('op.awsNone'))];
  const free = stages.filter((s) => !s.added);
  const listed = regions.filter((r) => !troubles.some(({ region }) => region === r));
  const where = { regions: listed.join(', ') };
  return [
    listed.length > 0 &&
      h(
        'p',
        { className: 'hint', key: 'lead' },
        t(stages.length === 0 ? 'op.awsEmpty' : 'op.awsLead', where),
        stages.length > 0 && free.length === 0 && ` ${t('op.awsAll')}`,
      ),
    ...troubles.map(({ region, code, trouble }) =>
      h(
        'div',
        { className: 'notice warning', key: `trouble-${region}` },
        h('p', null, t('op.awsTrouble', { region })),
        h('p', { className: 'hint' }, serverSaid(code, trouble)),
      ),
    ),
    h('ul', { className: 'list', key: 'free' }, ...free.map((s) => stageRow(s, busy, onadd))),
    form(
      {
        key: `aws-arn-${sent}`,
        submit: t('op.awsByArn'),
        busy,
        className: 'inline',
        onsubmit: ({ arn }) => onadd({ arn: arn.trim() }),
      },
      field(t('op.awsArn'), {
        name: 'arn',
        required: true,
        placeholder: `arn:aws:ivs:${regions[0]}:…:stage/…`,
      }),
    ),
    form(
      {
        key: `aws-make-${sent}`,
        submit: t('op.awsMake'),
        busy,
        className: 'inline',
        onsubmit: ({ awsName, region }) => onadd({ name: awsName, region }),
      },
      field(t('op.awsName'), { name: 'awsName', required: true, maxLength: 128 }),
      choice(
        t('op.awsRegion'),
        { id: 'aws-region', name: 'region' },
        regions.map((r) => [r, r]),
      ),
    ),
  ];
}

/**
 * @param {AwsStages['stages'][number]} stage
 * @param {boolean} busy
 * @param {(stage: Record<string, string>) => void} onadd
 */
const stageRow = ({ arn, name }, busy, onadd) =>
  h(
    'li',
    { className: 'item', key: arn },
    h(
      'div',
      { className: 'row wrap' },
      h('b', null, name || arn.split('/')[1]),
      h('span', { className: 'hint' }, arn),
      button(
        t('op.awsAdd'),
        () => {
          if (!busy) onadd({ arn });
        },
        {
          className: 'small',
          'aria-label': `${t('op.awsAdd')}: ${name || arn}`,
          'aria-disabled': busy && 'true',
        },
      ),
    ),
  );
