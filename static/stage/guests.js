/** The guest links of a stage, for the user who creates them, and the guests on the stage. */
import { api, escapeArn } from '../lib/api.js';
import { choice } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, copyField, errorText, field, form, say } from '../lib/page.js';
import { t, time } from '../lib/strings.js';

/** @typedef {import('../types.js').GuestLink} Link */

const LIVES = Object.freeze(['3600', '86400', '604800']);

/**
 * @typedef {import('../lib/types.js').Stage} Stage
 * @typedef {import('./people.js').Participant} Participant
 *
 * @typedef {object} About
 * @property {() => Stage | undefined} stage
 * @property {() => boolean} moderates
 * @property {() => void} changed
 *
 * @typedef {object} Model
 * @property {Link[]} links
 * @property {string} of the ARN of the stage to which the links belong
 * @property {string} made the address of the newest link
 * @property {string} error
 * @property {boolean} busy
 *
 * @typedef {object} Actions
 * @property {(method: string, path: string, body: object) => void} act
 * @property {() => Promise<void>} load
 * @property {(role: string, uses: number, life: number) => void} make
 * @property {(id: string) => void} revoke
 */

export class Guests {
  #about;
  /** @type {Model} */
  #model = { links: [], of: '', made: '', error: '', busy: false };
  /** The number of guests on the stage when the view was drawn last. */
  #present = 0;
  /** @type {Actions} */
  #actions = {
    act: (method, path, body) =>
      void this.#work((arn) => api(method, participants(arn, path), body)),
    load: () => this.#load(),
    make: (role, uses, life) =>
      void this.#work(async (stage) => {
        const { url } = await api('POST', 'api/guest-links', { stage, role, uses, life });
        this.#model.made = url;
      }),
    revoke: (id) =>
      void this.#work(async () => {
        await api('DELETE', `api/guest-links/${id}`);
        this.#model.made = '';
        say(t('guests.revoked'));
      }),
  };

  /** @param {About} about */
  constructor(about) {
    this.#about = about;
  }

  /**
   * @param {Participant[]} guests the guests on the stage; when their number changes, the links are
   *   read again
   */
  view(guests) {
    const stage = this.#about.stage();
    if (!stage) return null;
    const model = this.#model;
    if (guests.length !== this.#present && model.of === stage.arn) void this.#load();
    this.#present = guests.length;
    if (model.of !== stage.arn) Object.assign(model, { links: [], made: '', error: '' });
    const removable = this.#about.moderates() ? guests : [];
    return guestsView(model, stage, removable, this.#actions);
  }

  async #load() {
    const { stage, changed } = this.#about;
    const arn = stage()?.arn;
    if (!arn) return;
    try {
      const { links } = await api('GET', `api/guest-links?stage=${encodeURIComponent(arn)}`);
      if (arn === stage()?.arn) Object.assign(this.#model, { links, of: arn });
    } catch {
      // the list is read again after the next change
    }
    changed();
  }

  /**
   * Carries out actions for the stage that is shown, one at a time.
   * @param {(arn: string) => Promise<void>} work
   */
  async #work(work) {
    const { stage, changed } = this.#about;
    const arn = stage()?.arn;
    if (!arn || this.#model.busy) return;
    Object.assign(this.#model, { busy: true, error: '' });
    changed();
    try {
      await work(arn);
    } catch (err) {
      this.#model.error = errorText(err);
    }
    this.#model.busy = false;
    await this.#load();
  }
}

/** @param {string} arn @param {string} path */
const participants = (arn, path) => `api/stages/${escapeArn(arn)}/participants/${path}`;

/** @param {Model} m @param {Stage} stage @param {Participant[]} removable @param {Actions} act */
function guestsView(m, stage, removable, act) {
  return h(
    'details',
    {
      className: 'section',
      key: 'guests',
      id: 'guests',
      ontoggle: (/** @type {Event} */ e) => {
        if (/** @type {HTMLDetailsElement} */ (e.target).open) void act.load();
      },
    },
    h('summary', null, t('guests.title')),
    h('p', { className: 'hint' }, t('guests.lead')),
    linkForm(m, stage, act),
    m.made && copyField({ key: 'guest-link', label: t('guests.link'), text: m.made }),
    m.made && h('p', { className: 'hint', key: 'once' }, t('guests.once')),
    removable.length > 0 &&
      h(
        'ul',
        { className: 'list keys', key: 'here', 'aria-label': t('guests.here') },
        ...removable.map((p) => guestRow(p, stage, act)),
      ),
    m.links.length > 0 &&
      h(
        'ul',
        { className: 'list keys', key: 'links' },
        ...m.links.map((link) => linkRow(link, act)),
      ),
  );
}

/** @param {Model} m @param {Stage} stage @param {Actions} act */
function linkForm({ busy, error }, { capabilities }, act) {
  const all = ['publish', 'subscribe'].every((c) => capabilities.includes(c));
  return form(
    {
      key: 'make',
      submit: t('guests.make'),
      busy,
      error,
      onsubmit: (d) => act.make(d.role, Number(d.uses), Number(d.life)),
    },
    choice(
      t('guests.role'),
      { id: 'guest-role', name: 'role' },
      (all ? ['publish', 'view'] : ['view']).map((role) => [role, t(`guests.role.${role}`)]),
    ),
    field(t('guests.uses'), {
      name: 'uses',
      type: 'number',
      min: '1',
      max: '1000',
      defaultValue: '1',
      required: true,
    }),
    choice(
      t('guests.life'),
      { id: 'guest-life', name: 'life', chosen: '86400' },
      LIVES.map((life) => [life, t(`guests.life.${life}`)]),
    ),
  );
}

/** @param {Participant} p @param {Stage} stage @param {Actions} act */
function guestRow(p, stage, { act }) {
  const role = p.publishing ? 'view' : 'publish';
  return h(
    'li',
    { className: 'source', key: p.id },
    h(
      'span',
      null,
      h('b', { dir: 'auto' }, p.name),
      ' ',
      h('span', { className: 'hint' }, t(p.publishing ? 'guests.sends' : 'guests.watches')),
    ),
    h(
      'span',
      { className: 'row wrap' },
      stage.arn.split(':')[3] === 'local' &&
        button(t(`guests.to.${role}`), () => act('PUT', `${p.id}/role`, { role }), {
          className: 'small',
          'aria-label': `${t(`guests.to.${role}`)}: ${p.name}`,
        }),
      button(t('guests.kick'), () => act('DELETE', p.id, { reason: '', bar: true }), {
        className: 'small',
        title: t('guests.kickTitle'),
        'aria-label': `${t('guests.kick')}: ${p.name}`,
      }),
    ),
  );
}

/** @param {Link} link @param {Actions} act */
const linkRow = (link, { revoke }) =>
  h(
    'li',
    { className: 'source', key: link.id },
    h(
      'span',
      null,
      h('b', { dir: 'auto' }, link.name || t(`guests.role.${link.role}`)),
      ' ',
      h(
        'span',
        { className: 'hint' },
        t('guests.used', { uses: link.uses, max: link.maxUses, time: time(link.expiresAt) }),
      ),
    ),
    button(t('guests.revoke'), () => revoke(link.id), {
      className: 'small',
      'aria-label': t('guests.revokeOf'),
    }),
  );
