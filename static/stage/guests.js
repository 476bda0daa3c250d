/**
 * Guests by link, as the person sees them who lets them in: the links of a stage, and what is done
 * with them.
 */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { button, copyField, errorText, field, form, say } from '../lib/page.js';
import { t, time } from '../lib/strings.js';

/** @typedef {import('../types.js').GuestLink} Link */

const LIVES = Object.freeze(['3600', '86400', '604800']);

/**
 * @param {object} about
 * @param {() => import('../lib/types.js').Stage | undefined} about.stage
 * @param {() => boolean} about.moderates
 * @param {() => void} about.changed
 */
export function createGuests({ stage, moderates, changed }) {
  const state = {
    /** @type {Link[]} */ links: [],
    /** @type {string} the stage that they are of */ of: '',
    made: '',
    error: '',
    busy: false,
    present: 0,
  };

  async function load() {
    const arn = stage()?.arn;
    if (!arn) return;
    try {
      const { links } = await api('GET', `api/guest-links?stage=${encodeURIComponent(arn)}`);
      if (arn === stage()?.arn) Object.assign(state, { links, of: arn });
    } catch {
      // the list is read again after the next change
    }
    changed();
  }

  /** @param {() => Promise<void>} work */
  async function working(work) {
    if (state.busy) return;
    Object.assign(state, { busy: true, error: '' });
    changed();
    try {
      await work();
    } catch (err) {
      state.error = errorText(err);
    }
    state.busy = false;
    await load();
  }

  return {
    /**
     * @param {import('./people.js').Participant[]} guests who are on the stage: the list of links
     *   is read again when one came or left
     */
    view(guests) {
      const now = stage();
      if (!now) return null;
      if (guests.length !== state.present && state.of === now.arn) void load();
      state.present = guests.length;
      if (state.of !== now.arn) Object.assign(state, { links: [], made: '', error: '' });
      return guestsView({
        ...state,
        stage: now,
        load,
        guests,
        moderates: moderates(),
        act: (method, path, body) =>
          void working(() =>
            api(method, `api/stages/${encodeURIComponent(now.arn)}/participants/${path}`, body),
          ),
        make: (role, uses, life) =>
          void working(async () => {
            const { url } = await api('POST', 'api/guest-links', {
              stage: now.arn,
              role,
              uses,
              life,
            });
            state.made = url;
          }),
        revoke: (id) =>
          void working(async () => {
            await api('DELETE', `api/guest-links/${id}`);
            state.made = '';
            say(t('guests.revoked'));
          }),
      });
    },
  };
}

/**
 * @param {object} m
 * @param {Link[]} m.links @param {string} m.made @param {string} m.error @param {boolean} m.busy
 * @param {import('../lib/types.js').Stage} m.stage
 * @param {import('./people.js').Participant[]} m.guests
 * @param {boolean} m.moderates
 * @param {(method: string, path: string, body: object) => void} m.act
 * @param {() => Promise<void>} m.load
 * @param {(role: string, uses: number, life: number) => void} m.make
 * @param {(id: string) => void} m.revoke
 */
function guestsView({
  links,
  made,
  error,
  busy,
  stage,
  guests,
  moderates,
  act,
  load,
  make,
  revoke,
}) {
  const roles =
    stage.capabilities.includes('publish') && stage.capabilities.includes('subscribe')
      ? ['publish', 'view']
      : ['view'];
  return h(
    'details',
    {
      className: 'section',
      key: 'guests',
      id: 'guests',
      ontoggle: (/** @type {Event} */ e) => {
        if (/** @type {HTMLDetailsElement} */ (e.target).open) void load();
      },
    },
    h('summary', null, t('guests.title')),
    h('p', { className: 'hint' }, t('guests.lead')),
    form(
      {
        key: 'make',
        submit: t('guests.make'),
        busy,
        error,
        onsubmit: (d) => make(d.role, Number(d.uses), Number(d.life)),
      },
      select('guests.role', 'role', roles, (role) => t(`guests.role.${role}`)),
      field(t('guests.uses'), {
        name: 'uses',
        type: 'number',
        min: '1',
        max: '1000',
        defaultValue: '1',
        required: true,
      }),
      select('guests.life', 'life', LIVES, (life) => t(`guests.life.${life}`), '86400'),
    ),
    made && copyField({ key: 'guest-link', label: t('guests.link'), text: made }),
    made && h('p', { className: 'hint', key: 'once' }, t('guests.once')),
    moderates &&
      guests.length > 0 &&
      h(
        'ul',
        { className: 'list keys', key: 'here', 'aria-label': t('guests.here') },
        ...guests.map((p) => guestRow(p, stage, act)),
      ),
    links.length > 0 &&
      h(
        'ul',
        { className: 'list keys', key: 'links' },
        ...links.map((link) => linkRow(link, revoke)),
      ),
  );
}

/**
 * @param {import('./people.js').Participant} p
 * @param {import('../lib/types.js').Stage} stage
 * @param {(method: string, path: string, body: object) => void} act
 */
function guestRow(p, stage, act) {
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

/**
 * @param {string} label
 * @param {string} name
 * @param {readonly string[]} values
 * @param {(value: string) => string} text
 * @param {string} [chosen]
 */
const select = (label, name, values, text, chosen) =>
  h(
    'div',
    { className: 'field', key: name },
    h('label', { for: `guest-${name}` }, t(label)),
    h(
      'select',
      { id: `guest-${name}`, name },
      ...values.map((value) =>
        h('option', { value, key: value, defaultSelected: value === chosen }, text(value)),
      ),
    ),
  );

/** @param {Link} link @param {(id: string) => void} revoke */
const linkRow = (link, revoke) =>
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
