/**
 * The console's people: search, and invite one or many. The access of one person is on another
 * page.
 */
import { api } from '../lib/api.js';
import { choice } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, errorText, form, signInWays } from '../lib/page.js';
import { number, t, time } from '../lib/strings.js';
import { copy } from '../lib/copy.js';
import { keepFocus } from './focus.js';
import { linkView, watchLinks } from './links.js';
import { counted, filterChoice, List, stageChip } from './list.js';

/** @typedef {import('../types').V1User} User */
/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('./links.js').Link} Link */

export const ROLES = ['broadcaster', 'moderator', 'operator'];
const FEW = 3; // links that are shown one by one

/** @returns {[string, string][]} */
export const roleOptions = () => ROLES.map((r) => [r, t(`account.role.${r}`)]);

/** The state of an account in a few words, such as "invited". @param {User} user */
export const standing = (user) =>
  user.invited
    ? t('op.invited')
    : user.lastSeenAt
      ? t('op.seen', { time: time(user.lastSeenAt) })
      : t('op.never');

class Invitations {
  /** @type {Link[]} */
  links = [];
  /** @type {{name: string, why: string}[]} */
  refused = [];
  total = 0;
  done = 0;
  copied = false;

  /** @param {Console} console @param {() => Promise<void>} reload */
  constructor(console, reload) {
    this.console = console;
    this.reload = reload;
    this.watch = watchLinks(
      () => this.links,
      (link) => void this.forget(link),
    );
  }

  /** Forgets a link that was used or has expired. @param {Link} link */
  async forget(link) {
    this.links = this.links.filter((l) => l !== link);
    if (this.links.length + this.refused.length === 0 && this.done === this.total) this.total = 0;
    await this.reload();
    this.console.draw();
  }

  /**
   * Invites every name of a pasted list, separated by line breaks or semicolons. A name that is
   * refused does not stop the others.
   * @param {Record<string, string>} d
   */
  async send({ newNames, newRole }) {
    const { state, draw } = this.console;
    const names = [
      ...new Set(
        newNames
          .split(/[\n;]/)
          .map((name) => name.trim())
          .filter(Boolean),
      ),
    ];
    const focus = keepFocus(state.asked);
    Object.assign(this, { links: [], refused: [], total: names.length, done: 0, copied: false });
    state.busy = true;
    for (const name of names) {
      try {
        this.links.push(
          await api('POST', 'api/v1/users', { name, role: newRole || 'broadcaster' }),
        );
      } catch (err) {
        this.refused.push({ name, why: errorText(err) });
      }
      this.done++;
      if (this.done % 10 === 0) draw();
    }
    Object.assign(state, { busy: false, sent: state.sent + 1 });
    await this.reload();
    this.watch();
    draw();
    focus();
  }

  text() {
    return this.links.map((l) => `${l.name}\t${l.invite}`).join('\n');
  }

  async copy() {
    const all = /** @type {HTMLTextAreaElement} */ (document.getElementById('all-links'));
    this.copied = (await copy(all, this.text())) === 'copied';
    this.console.draw();
  }

  view() {
    if (this.total === 0) return null;
    const { draw } = this.console;
    return h(
      'div',
      { className: 'notice good columns', role: 'status', key: 'links' },
      this.done < this.total &&
        h(
          'p',
          { key: 'going' },
          t('op.inviting', { n: number(this.done), total: number(this.total) }),
        ),
      ...(this.links.length === 0
        ? []
        : this.links.length <= FEW
          ? this.links.map(linkView)
          : [this.many()]),
      this.refused.length > 0 &&
        h(
          'ul',
          { className: 'list', key: 'refused' },
          ...this.refused.map((r) =>
            h('li', { key: r.name }, h('b', { dir: 'auto' }, r.name), `: ${r.why}`),
          ),
        ),
      this.done === this.total &&
        button(
          t('app.done'),
          () => {
            Object.assign(this, { total: 0, links: [] });
            draw();
          },
          { className: 'small', key: 'done' },
        ),
    );
  }

  many() {
    return h(
      'div',
      { className: 'field', key: 'many' },
      h(
        'label',
        { for: 'all-links' },
        t('op.inviteLinks', {
          n: number(this.links.length),
          time: time(this.links[0].inviteExpiresAt),
        }),
      ),
      h('textarea', {
        id: 'all-links',
        rows: 6,
        readOnly: true,
        spellcheck: false,
        value: this.text(),
      }),
      button(this.copied ? t('app.copied') : t('app.copy'), () => void this.copy(), {
        className: 'small',
        'aria-label': `${t('app.copy')}: ${t('op.invite')}`,
      }),
    );
  }
}

/** @param {Console} console @param {User} user */
const row = ({ link }, user) =>
  h(
    'li',
    { key: user.id },
    h('b', { dir: 'auto', className: 'main' }, link('person', { id: user.id }, user.name)),
    user.role !== 'broadcaster' &&
      h('span', { className: 'tag', key: 'role' }, t(`account.role.${user.role}`)),
    user.suspendedAt && h('span', { className: 'tag bad', key: 'suspended' }, t('op.suspended')),
    h('span', { className: 'hint side' }, standing(user)),
    h(
      'span',
      { className: 'hint count' },
      user.role === 'operator'
        ? t('op.allStages')
        : user.stages > 0
          ? t('op.onStages', { n: counted(user.stages) })
          : t('op.onNoStage'),
    ),
  );

class People {
  /** @param {Console} console */
  constructor(console) {
    this.console = console;
    this.list = new List({
      path: 'api/v1/users',
      member: 'users',
      draw: console.draw,
      onfilter: console.filterBy,
    });
    this.invitations = new Invitations(console, () => this.list.load());
    /** @type {import('../types').SignInWays} */
    this.ways = { passwords: true, codes: false };
  }

  /** @param {URLSearchParams} query */
  async load(query) {
    const [ways] = await Promise.all([signInWays(), this.list.enter(query)]);
    this.ways = ways;
    if (!ways.passwords) this.console.draw();
  }

  view() {
    const { list, console } = this;
    return h(
      'section',
      { className: 'card', key: 'people' },
      h('h1', null, t('op.people')),
      this.withoutPasswords(),
      this.inviteForm(),
      this.invitations.view(),
      stageChip(console, list),
      ...list.view({
        search: t('op.searchPeople'),
        empty: t('op.noPeople'),
        row: (user) => row(console, user),
        more: [filterChoice(list, 'role', t('op.role'), [['', t('op.anyRole')], ...roleOptions()])],
      }),
    );
  }

  /** A hint where passwords are switched off: how people sign in, and what an invite is for. */
  withoutPasswords() {
    const { passwords, passkeys, provider: name = '' } = this.ways;
    if (passwords) return null;
    return h(
      'p',
      { className: 'hint', key: 'without' },
      [name && t('op.inviteByProvider', { name }), passkeys && t('op.inviteOnce')]
        .filter(Boolean)
        .join(' '),
    );
  }

  /** The form that invites people. It is open while the operator is the only person. */
  inviteForm() {
    const { list } = this;
    const { state } = this.console;
    const filtered = Object.values(list.filters).some(Boolean);
    return h(
      'details',
      { key: 'invite', open: list.loaded && !filtered && list.items.length < 2 },
      h('summary', null, t('op.invite')),
      form(
        {
          key: `invite-${state.sent}`,
          submit: t('op.invite'),
          busy: state.busy,
          onsubmit: (d) => void this.invitations.send(d),
        },
        h(
          'div',
          { className: 'field' },
          h('label', { for: 'new-names' }, t('op.inviteNames')),
          h('textarea', {
            id: 'new-names',
            name: 'newNames',
            rows: 3,
            required: true,
            spellcheck: false,
          }),
        ),
        choice(t('op.role'), { id: 'new-role', name: 'newRole' }, roleOptions()),
      ),
    );
  }
}

/** @param {Console} console @returns {import('./operator.js').Page} */
export const createPeople = (console) => new People(console);
