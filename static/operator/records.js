/** The console's records: the audit trail, which can be filtered and saved as a file. */
import { agentName } from '../lib/agent.js';
import { api, base, problem } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { button, field, say } from '../lib/page.js';
import { has, number, recognized, t, time } from '../lib/strings.js';
import { chip, filterChoice, List, stageChip } from './list.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../types').V1Entry} Entry */

const ACTIONS = [
  'system.set_up',
  'login.created',
  'login.failed',
  'login.ended',
  'password.changed',
  'enrolment.created',
  'device_code.approved',
  'device_code.denied',
  'passkey.created',
  'passkey.changed',
  'passkey.removed',
  'user.created',
  'user.invited',
  'user.changed',
  'user.suspended',
  'user.restored',
  'user.removed',
  'access.given',
  'access.removed',
  'rule.created',
  'rule.changed',
  'rule.removed',
  'stage.created',
  'stage.changed',
  'stage.removed',
  'participant.kicked',
  'participant.barred',
  'participant.unbarred',
  'participant.promoted',
  'participant.demoted',
  'chat.muted',
  'chat.unmuted',
  'chat.message_removed',
  'token.issued',
  'token.revoked',
  'rehearsal.started',
  'key.created',
  'key.revoked',
  'guest_link.created',
  'guest_link.revoked',
  'guest.admitted',
  'own_key.created',
  'own_key.rotated',
  'own_key.retired',
  'webhook.created',
  'webhook.deleted',
  'webhook.tested',
  'webhook.replayed',
  'setting.changed',
];

const MOST = 100_000; // entries in one file, which a spreadsheet can still open

/** The actions whose detail is a reason, which a person may have written. */
const WITH_REASON = /^(participant|guest_link|guest|setting)\.|^(user\.suspended|token\.revoked)$/;

/**
 * The target of an entry. A rule has no name, so the entry has its description.
 * @param {Entry} e
 */
const targetOf = (e) =>
  e.action.startsWith('rule.') ? recognized('record', e.targetName ?? '') : e.targetName;

/** @param {string} kind */
const credentialName = (kind) => (has(`op.credential.${kind}`) ? t(`op.credential.${kind}`) : kind);

/**
 * The detail of an entry in the language of the page. For a person's key, it is the kind of key.
 * @param {Entry} e
 */
function detailOf({ action, detail = '' }) {
  if (action.startsWith('key.') && has(`op.credential.${detail}`)) return credentialName(detail);
  return recognized(WITH_REASON.test(action) ? 'reason' : 'record', detail);
}

/** The actions whose target is a person, and those whose target is a person's token. */
const OF_PERSON =
  /^(system|user|access|login|password|enrolment|device_code|chat|participant\.(un)?barred)/;
const OF_TOKEN = /^(participant\.kicked|token\.revoked)/;

/** The ID of the person whose name the entry has as its target, or ''. @param {Entry} e */
function personOf({ action, target = '', targetUser = '' }) {
  if (OF_PERSON.test(action)) return target;
  return OF_TOKEN.test(action) ? targetUser : '';
}

/** @param {Console} console @param {Entry} e */
export function entryRow({ link, stageName, state }, e) {
  const operator = state.me?.role === 'operator';
  const actor = e.actor.id
    ? e.actor.name
    : recognized('record', e.actor.name) || t('op.unknownActor');
  const target = targetOf(e);
  const person = operator && personOf(e);
  return h(
    'li',
    { key: e.id },
    h('span', { className: 'hint' }, time(e.time)),
    h('b', { className: 'action' }, e.action),
    h(
      'span',
      { dir: 'auto', className: 'main' },
      operator && e.actor.id ? link('person', { id: e.actor.id }, actor) : actor,
      target &&
        h(
          'span',
          { dir: 'auto', key: 'target' },
          ' → ',
          person ? link('person', { id: person }, target, { key: 'to' }) : target,
        ),
    ),
    e.stage &&
      e.targetName !== stageName(e.stage) &&
      h('span', { dir: 'auto', className: 'side', key: 'stage' }, stageName(e.stage)),
    h(
      'span',
      { className: 'hint rest clamp', title: e.agent ?? '' },
      [detailOf(e), credentialName(e.credential), e.address, e.agent && agentName(e.agent)]
        .filter(Boolean)
        .join(' · '),
    ),
  );
}

/**
 * Writes the matching entries of the trail into a file, the newest first.
 * @param {Record<string, string>} filters
 * @param {string} type
 * @param {string} name
 * @returns {Promise<{lines: number, more: boolean}>} the entries in the file, and whether there are
 *   older ones
 */
async function save(filters, type, name) {
  /** @type {string[]} */
  const parts = [];
  let after = '';
  let lines = 0;
  do {
    const query = new URLSearchParams({ ...filters, limit: '500', ...(after ? { after } : {}) });
    const answer = await fetch(new URL(`api/v1/audit?${query}`, base), {
      headers: { Accept: type },
    });
    if (!answer.ok) throw await problem(answer);
    const text = await answer.text();
    const csv = type === 'text/csv';
    // Every page of a CSV begins with the header line.
    parts.push(after && csv ? text.slice(text.indexOf('\n') + 1) : text);
    after = answer.headers.get('Stagedoor-Next') ?? '';
    lines += text.split('\n').length - (csv ? 2 : 1); // each line ends with a newline
    say(t('op.saving', { n: number(lines) }));
  } while (after && lines < MOST);
  const url = URL.createObjectURL(new Blob(parts, { type }));
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return { lines, more: after !== '' };
}

/**
 * The start of a chosen day, in the format of the API.
 * @param {string} day
 * @param {number} plus days
 */
function instant(day, plus) {
  const at = new Date(`${day}T00:00`);
  if (Number.isNaN(at.getTime())) return '';
  at.setDate(at.getDate() + plus);
  return at.toISOString();
}

/** @param {string} iso @param {number} plus days @returns {string} */
function dayOf(iso, plus) {
  const at = new Date(iso);
  if (!iso || Number.isNaN(at.getTime())) return '';
  at.setDate(at.getDate() + plus);
  return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, '0')}-${String(at.getDate()).padStart(2, '0')}`;
}

class Records {
  /** @param {Console} console */
  constructor(console) {
    this.console = console;
    this.list = new List({
      path: 'api/v1/audit',
      member: 'audit',
      draw: console.draw,
      onfilter: console.filterBy,
    });
  }

  /** @param {URLSearchParams} query */
  load(query) {
    return this.list.enter(query);
  }

  view() {
    const { list, console } = this;
    return h(
      'section',
      { className: 'card', key: 'records' },
      h('h1', null, t('op.tab.records')),
      ...this.personChips(),
      stageChip(console, list),
      console.errorAt('records'),
      ...list.view({
        search: t('op.searchRecords'),
        empty: t('op.noRecords'),
        row: (e) => entryRow(console, e),
        more: [...this.filters(), ...this.downloads()],
      }),
    );
  }

  personChips() {
    const { list } = this;
    return ['actor', 'target', 'credential']
      .filter((name) => list.filters[name])
      .map((name) =>
        chip(t(`op.record.${name}`, { name: this.nameOf(name) }), () => void list.filter(name, '')),
      );
  }

  /**
   * The name of the account or the key in a filter, if an entry in the list contains it.
   * @param {string} name
   */
  nameOf(name) {
    const id = this.list.filters[name];
    const { items } = this.list;
    switch (name) {
      case 'actor':
        return items.find((e) => e.actor.id === id)?.actor.name || id;
      case 'credential':
        return items.find((e) => e.credentialId === id)?.actor.name || id;
    }
    return items.find((e) => personOf(e) === id)?.targetName || id;
  }

  filters() {
    return [
      filterChoice(this.list, 'action', t('op.action'), [
        ['', t('op.anyAction')],
        ...ACTIONS.map((a) => /** @type {[string, string]} */ ([a, a])),
      ]),
      this.day(t('op.since'), 'since', 0),
      this.day(t('op.untilDay'), 'until', 1),
    ];
  }

  /** @param {string} label @param {string} name of the filter @param {number} plus days */
  day(label, name, plus) {
    const { list } = this;
    return field(label, {
      name,
      type: 'date',
      value: dayOf(list.filters[name] ?? '', -plus),
      onchange: (/** @type {Event} */ e) =>
        void list.filter(name, instant(/** @type {HTMLInputElement} */ (e.target).value, plus)),
    });
  }

  downloads() {
    const save = (/** @type {string} */ type, /** @type {string} */ name) => () =>
      void this.save(type, name);
    return [
      button(t('op.csv'), save('text/csv', 'audit.csv'), { key: 'csv' }),
      button(t('op.jsonl'), save('application/x-ndjson', 'audit.jsonl'), { key: 'jsonl' }),
    ];
  }

  /** @param {string} type @param {string} name of the file */
  async save(type, name) {
    try {
      const { lines, more } = await save(this.list.filters, type, name);
      this.console.did(
        t(more ? 'op.done.fileFull' : 'op.done.file', { n: number(lines), file: name }),
      );
      this.console.draw();
    } catch (err) {
      this.console.failed(err, 'records');
    }
  }
}

/** @param {Console} console @returns {import('./operator.js').Page} */
export const createRecords = (console) => new Records(console);

/**
 * @param {string} id
 * @returns {Promise<{audit: Entry[], next?: string}>} the newest entries about a user
 */
export const historyOf = (id) =>
  api('GET', `api/v1/audit?limit=20&target=${encodeURIComponent(id)}`);
