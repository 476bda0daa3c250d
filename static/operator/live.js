/**
 * The console's first page: the broadcasts on all stages, what the stages receive, the bars, and
 * the refusals.
 */
import { escapeArn } from '../lib/api.js';
import { choice } from '../lib/choices.js';
import { h, show } from '../lib/dom.js';
import { button, field, href } from '../lib/page.js';
import { number, t, time } from '../lib/strings.js';
import { receives } from '../dock/views.js';
import { Bars } from './bars.js';
import { List } from './list.js';
import { why } from './why.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../lib/types.js').Presence} Presence */
/** @typedef {import('../types').V1Refusal} Refusal */
/**
 * A participant, and whether the person at the page may watch the stage.
 * @typedef {{arn: string, stage: string, watch: boolean, p: Presence}} Present
 */
/**
 * @typedef {{viewers: string, what: string}} Figures - sentences, by the class of their elements
 * @typedef {{about: Present, asked: boolean, failed: string | false, shape: string, row:
 *   HTMLElement}} Kept
 */

const REFRESH_EVERY = 10_000; // milliseconds, while the page is visible
const ROWS = 100;

class Live {
  q = '';
  /** Whether participants who do not publish are shown, too. */
  all = false;
  rows = ROWS;
  /**
   * The drawn rows, by participant. The element of a row stays the same. While the shape of a row
   * is the same, only its figures are written anew: they change every two seconds.
   * @type {Map<string, Kept>}
   */
  kept = new Map();
  /**
   * The typed reasons for kicks, by participant. They are kept when a row is redrawn.
   * @type {Map<string, string>}
   */
  reasons = new Map();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  timer = undefined;

  /** @param {Console} console */
  constructor(console) {
    this.console = console;
    this.refusals = new List({
      path: 'api/v1/refusals',
      member: 'refusals',
      draw: console.draw,
      fixed: { limit: '20' },
    });
    this.bars = new Bars(console);
  }

  async load() {
    this.timer ??= setInterval(() => {
      if (!document.hidden) void this.refresh();
    }, REFRESH_EVERY);
    await this.refresh();
  }

  refresh() {
    return Promise.all([this.bars.list.refresh(), this.refusals.refresh()]);
  }

  leave() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.kept.clear();
  }

  presence() {
    return true;
  }

  /** @returns {Present[]} */
  found() {
    const { state, stageName } = this.console;
    const wanted = this.q.trim().toLowerCase();
    const all = [...state.present].flatMap(([arn, list]) => {
      const stage = stageName(arn);
      const mine = state.me?.stages.find((s) => s.arn === arn);
      const watch = mine?.capabilities.includes('subscribe') ?? false;
      return list.map((p) => ({ arn, stage, watch, p }));
    });
    return all
      .filter(
        ({ stage, p }) =>
          (p.publishing || this.all) &&
          (!wanted || `${p.name} ${stage}`.toLowerCase().includes(wanted)),
      )
      .sort(
        (a, b) =>
          a.stage.localeCompare(b.stage) ||
          a.p.name.localeCompare(b.p.name) ||
          (a.p.participantId < b.p.participantId ? -1 : 1),
      );
  }

  view() {
    const found = this.found();
    const there = new Set(found.map((f) => f.p.participantId));
    for (const id of this.kept.keys()) if (!there.has(id)) this.kept.delete(id);
    return h(
      'div',
      { className: 'columns', key: 'live' },
      this.presentCard(found),
      this.bars.card(),
      h(
        'section',
        { className: 'card', key: 'refusals' },
        h('h2', null, t('op.refusals')),
        ...this.refusals.view({ empty: t('op.noRefusals'), row: (r) => this.refusal(r) }),
      ),
    );
  }

  /** @param {ReturnType<Live['found']>} found */
  presentCard(found) {
    const rows = found.slice(0, this.rows).map((f) => this.row(f));
    // A row that moves into a new list element would lose the focus. So the list has `keep`, which
    // leaves its rows unchanged, and the rows are updated after the list is in the page.
    queueMicrotask(() => {
      const list = document.getElementById('live-rows');
      if (list) show(list, ...rows);
    });
    return h(
      'section',
      { className: 'card', key: 'now' },
      h('h1', null, t('op.tab.live')),
      this.search(),
      h('p', { className: 'hint', key: 'count' }, this.count(found)),
      found.length > 0 &&
        h('ul', { className: 'lines many', key: 'rows', id: 'live-rows', keep: true }),
      found.length > this.rows &&
        button(
          t('op.more'),
          () => {
            this.rows += ROWS;
            this.console.draw();
          },
          { key: 'more' },
        ),
    );
  }

  search() {
    return h(
      'div',
      { className: 'inline', key: 'find', role: 'search' },
      field(t('op.searchLive'), {
        name: 'find-live',
        type: 'search',
        maxLength: 100,
        oninput: (/** @type {Event} */ e) => {
          this.q = /** @type {HTMLInputElement} */ (e.target).value;
          this.console.draw();
        },
      }),
      choice(
        t('op.live.who'),
        {
          id: 'choice-who',
          chosen: this.all ? 'all' : 'live',
          onchoose: (who) => {
            this.all = who === 'all';
            this.console.draw();
          },
        },
        [
          ['live', t('op.live.publishers')],
          ['all', t('op.live.all')],
        ],
      ),
    );
  }

  /** @param {ReturnType<Live['found']>} found */
  count(found) {
    if (!this.console.state.connected) return t('app.loading');
    if (found.length === 0) return t(this.q.trim() ? 'op.noMatch' : 'op.live.none');
    const stages = new Set(found.map((f) => f.arn)).size;
    return t('op.live.count', { n: number(found.length), stages: number(stages) });
  }

  /** @param {Present} about */
  row(about) {
    const { stage, watch, p } = about;
    const { state } = this.console;
    const asked = state.asked === `kick ${p.participantId}`;
    const failed = state.where === roleKey(p) && state.error;
    const kept = this.kept.get(p.participantId);
    // A presence event has new objects only for the participants of its stage. The rows of other
    // stages, which are most rows, stay as they are.
    if (kept && !asked && !kept.asked && kept.failed === failed && isSame(kept.about, about))
      return kept.row;
    const what = p.reception ? receives(p.reception).join(' · ') : '';
    const figures = {
      viewers: t('watch.viewers', { n: p.viewers }),
      what: what && t('op.receives', { what }),
    };
    const shape = JSON.stringify([
      stage,
      watch,
      p.name,
      p.publishing,
      p.audioMuted,
      p.videoMuted,
      what !== '',
      failed,
      asked,
      asked && state.busy,
      asked && state.error,
    ]);
    if (kept?.shape === shape) {
      write(kept.row, figures);
      kept.about = about;
      return kept.row;
    }
    const row = this.drawn(about, figures, asked);
    // The row on the page stays, with the text that is typed in it.
    if (kept) show(kept.row, ...row.childNodes);
    this.kept.set(p.participantId, { about, asked, failed, shape, row: kept?.row ?? row });
    return kept?.row ?? row;
  }

  /**
   * @param {Present} about
   * @param {Figures} figures
   * @param {boolean} asked
   */
  drawn({ arn, stage, watch, p }, { viewers, what }, asked) {
    const { link, state, draw, errorAt } = this.console;
    const operator = state.me?.role === 'operator';
    const key = `kick ${p.participantId}`;
    return h(
      'li',
      { key: p.participantId },
      h(
        'b',
        { dir: 'auto', className: 'main' },
        operator && p.userId && !p.guest ? link('person', { id: p.userId }, p.name) : p.name,
      ),
      p.guest && h('span', { className: 'tag', key: 'guest' }, t('guests.guest')),
      operator
        ? link('stages', { q: stage }, stage, { dir: 'auto', className: 'side' })
        : h('span', { dir: 'auto', className: 'side' }, stage),
      p.publishing && h('span', { className: 'tag live', key: 'tag' }, t('live.live')),
      p.publishing &&
        (p.audioMuted || p.videoMuted) &&
        h(
          'span',
          { className: 'tag', key: 'muted' },
          t(p.videoMuted ? 'op.live.noPicture' : 'op.live.noSound'),
        ),
      h('span', { className: 'hint' }, t('live.since', { time: time(p.since) })),
      h('span', { className: 'hint viewers', key: 'viewers' }, viewers),
      p.publishing && watch && watchLink(arn, p),
      p.guest && isLocal(arn) && this.roleButton(arn, p),
      !asked &&
        button(
          t('op.kick'),
          () => {
            state.asked = key;
            draw();
            document.getElementById('f-reason')?.focus();
          },
          { className: 'small kick', key: 'kick', 'aria-label': `${t('op.kick')}: ${p.name}` },
        ),
      what && h('span', { className: 'hint rest what', key: 'what' }, what),
      errorAt(roleKey(p)),
      asked && this.kickForm(arn, p),
      asked && errorAt(key),
    );
  }

  /**
   * The button that promotes a guest to publish, or demotes one who publishes.
   * @param {string} arn @param {Presence} p
   */
  roleButton(arn, p) {
    const { act, state } = this.console;
    const role = p.publishing ? 'view' : 'publish';
    const label = t(`guests.to.${role}`);
    return button(
      label,
      () => {
        if (state.busy) return;
        void act(
          'PUT',
          `${participantPath(arn, p)}/role`,
          { role },
          { where: roleKey(p), done: t(`op.done.guest.${role}`, { name: p.name }) },
        );
      },
      { className: 'small', key: 'role', 'aria-label': `${label}: ${p.name}` },
    );
  }

  /** @param {string} arn @param {Presence} p */
  kickForm(arn, p) {
    const { busy } = this.console.state;
    const barHint = t(p.guest ? 'op.barGuestHint' : 'op.barHint');
    return h(
      'form',
      {
        key: 'form',
        className: 'inline rest',
        'aria-label': `${t('op.kick')}: ${p.name}`,
        onsubmit: (/** @type {Event} */ e) => {
          e.preventDefault();
          this.kick(arn, p, false);
        },
        onkeydown: (/** @type {KeyboardEvent} */ e) => {
          if (e.key === 'Escape') this.closeForm(p);
        },
      },
      field(t('op.kickReason'), {
        name: 'reason',
        maxLength: 128,
        value: this.reasons.get(p.participantId) ?? '',
        oninput: (/** @type {Event} */ e) => {
          this.reasons.set(p.participantId, /** @type {HTMLInputElement} */ (e.target).value);
        },
      }),
      danger(t('op.kick'), { type: 'submit', key: 'kick', title: t('op.kickHint') }, busy),
      danger(
        t('op.bar'),
        {
          type: 'button',
          key: 'bar',
          onclick: () => this.kick(arn, p, true),
          title: barHint,
        },
        busy,
      ),
      button(
        t('app.cancel'),
        () => {
          this.reasons.delete(p.participantId);
          this.closeForm(p);
        },
        { key: 'cancel' },
      ),
      h('p', { className: 'hint rest', key: 'hint' }, `${t('op.kickHint')} ${barHint}`),
    );
  }

  /** Closes the form, with the focus on the button that opened it. @param {Presence} p */
  closeForm({ participantId }) {
    this.console.state.asked = '';
    this.console.draw();
    queueMicrotask(() =>
      /** @type {HTMLElement | null | undefined} */ (
        this.kept.get(participantId)?.row.querySelector('.kick')
      )?.focus(),
    );
  }

  /**
   * @param {string} arn @param {Presence} p @param {boolean} bar whether the user is barred, too
   */
  kick(arn, p, bar) {
    const { state, act, stageName } = this.console;
    if (state.busy) return;
    const { participantId, guest, name } = p;
    const done = !bar ? 'op.done.kicked' : guest ? 'op.done.guestBarred' : 'op.done.barred';
    const reason = this.reasons.get(participantId);
    void act(
      'DELETE',
      participantPath(arn, p),
      { ...(reason ? { reason } : {}), ...(bar ? { bar } : {}) },
      {
        where: `kick ${participantId}`,
        done: t(done, { name, stage: stageName(arn) }),
      },
    );
  }

  /** @param {Refusal} r */
  refusal(r) {
    const { link, stageName, state } = this.console;
    const name = r.name || t('op.unknownActor');
    const linked = r.userId && !r.guest && state.me?.role === 'operator';
    return h(
      'li',
      { key: String(r.id) },
      h('span', { className: 'hint' }, time(r.time)),
      h(
        'b',
        { dir: 'auto', className: 'main' },
        linked ? link('person', { id: r.userId ?? '' }, name) : name,
      ),
      r.guest && h('span', { className: 'tag', key: 'guest' }, t('guests.guest')),
      h('span', { dir: 'auto', className: 'side' }, stageName(r.stage)),
      h('span', { className: 'rest' }, why(r)),
    );
  }
}

/** @param {string} arn */
const isLocal = (arn) => arn.split(':')[3] === 'local';

/** @param {string} arn @param {Presence} p */
const participantPath = (arn, { participantId }) =>
  `api/v1/stages/${escapeArn(arn)}/participants/${encodeURIComponent(participantId)}`;

/** The place of an error of the role button. @param {Presence} p */
const roleKey = ({ participantId }) => `role ${participantId}`;

/** @param {Present} a @param {Present} b */
const isSame = (a, b) => a.p === b.p && a.stage === b.stage && a.watch === b.watch;

/** A link to the broadcasts of a participant's stage. @param {string} arn @param {Presence} p */
const watchLink = (arn, p) =>
  h(
    'a',
    {
      key: 'watch',
      href: `${href('watch')}?stage=${encodeURIComponent(arn)}`,
      'aria-label': `${t('op.live.watch')}: ${p.name}`,
    },
    t('op.live.watch'),
  );

/**
 * Writes the figures that have changed into a row on the page.
 * @param {HTMLElement} row @param {Figures} figures
 */
function write(row, figures) {
  for (const [name, text] of Object.entries(figures)) {
    const shown = row.querySelector(`.${name}`)?.firstChild;
    if (shown && shown.nodeValue !== text) shown.nodeValue = text;
  }
}

/** @param {Console} console @returns {import('./operator.js').Page} */
export const createLive = (console) => new Live(console);

/** @param {string} text @param {Record<string, any>} props @param {boolean} busy */
const danger = (text, props, busy) =>
  h('button', { className: 'danger', 'aria-disabled': busy && 'true', ...props }, text);
