/** The passkeys of an account: list, register, rename, remove. */
import { api } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { button, errorLine, errorText, field, form } from '../lib/page.js';
import { createPasskey } from '../lib/passkeys.js';
import { passkeysUsable } from '../lib/signin-views.js';
import { t, time } from '../lib/strings.js';

/** @typedef {import('../types').Passkey} Passkey */
/** @typedef {import('../lib/dom.js').Child} Child */

/**
 * @param {{draw: () => void}} about
 * @returns {{load: () => Promise<void>, view: (needed: boolean) => Child}}
 */
export function createPasskeys({ draw }) {
  /** @type {{all: Passkey[], host?: string, renaming: string, busy: boolean, error?: string}} */
  const state = { all: [], host: '', renaming: '', busy: false };

  async function load() {
    const { passkeys, host } = await api('GET', 'api/passkeys');
    Object.assign(state, { all: passkeys, host });
  }

  /** @param {() => Promise<unknown>} act */
  async function change(act) {
    if (state.busy) return;
    Object.assign(state, { busy: true, error: undefined });
    draw();
    try {
      await act();
      state.renaming = '';
      await load();
    } catch (err) {
      state.error = errorText(err);
    }
    state.busy = false;
    draw();
  }

  const acts = {
    /** @param {string} name */ add: (name) => void change(() => createPasskey(name)),
    /** @param {string} id */ remove: (id) => void change(() => api('DELETE', path(id))),
    /** @param {string} id @param {string} name */ rename: (id, name) =>
      void change(() => api('PATCH', path(id), { name })),
    /** @param {string} id */ edit: (id) => {
      state.renaming = id;
      draw();
    },
  };
  return { load, view: (needed) => card(state, acts, needed) };
}

/** @param {string} id */
const path = (id) => `api/passkeys/${encodeURIComponent(id)}`;

/**
 * @param {{all: Passkey[], host?: string, renaming: string, busy: boolean, error?: string}} state
 * @param {{add: (name: string) => void, remove: (id: string) => void, rename: (id: string, name:
 *   string) => void, edit: (id: string) => void}} acts
 * @param {boolean} needed
 */
function card(state, acts, needed) {
  const able = passkeysUsable(state.host);
  return h(
    'section',
    { className: 'card', key: 'passkeys' },
    h('h2', null, t('passkeys.title')),
    h('p', { className: 'hint' }, t('passkeys.lead')),
    needed &&
      h(
        'p',
        { className: 'notice warning', key: 'needed' },
        t(state.all.length > 0 ? 'passkeys.use' : 'passkeys.needed'),
      ),
    h('ul', { className: 'list' }, ...state.all.map((k) => item(k, state.renaming === k.id, acts))),
    state.all.length === 0 && h('p', { className: 'hint', key: 'none' }, t('passkeys.none')),
    able
      ? form(
          {
            key: `passkey-${state.all.length}`,
            submit: t('passkeys.add'),
            busy: state.busy,
            onsubmit: (d) => acts.add(d.passkeyName),
            className: 'inline',
          },
          field(t('passkeys.name'), { name: 'passkeyName', required: true }),
        )
      : h(
          'p',
          { className: 'hint', key: 'unable' },
          t(state.host ? 'passkeys.elsewhere' : 'passkeys.off', { host: state.host ?? '' }),
        ),
    errorLine(state.error),
  );
}

/**
 * @param {Passkey} k
 * @param {boolean} renaming
 * @param {{remove: (id: string) => void, rename: (id: string, name: string) => void, edit: (id:
 *   string) => void}} acts
 */
function item(k, renaming, acts) {
  if (renaming) {
    return h(
      'li',
      { className: 'item', key: k.id },
      form(
        {
          key: `rename-${k.id}`,
          submit: t('app.save'),
          onsubmit: (d) => acts.rename(k.id, d.newName),
          className: 'inline',
        },
        field(t('passkeys.name'), {
          name: 'newName',
          required: true,
          value: k.name,
        }),
      ),
    );
  }
  const used = k.lastUsedAt
    ? t('account.keyUsed', { made: time(k.createdAt), used: time(k.lastUsedAt) })
    : t('account.keyNever', { made: time(k.createdAt) });
  return h(
    'li',
    { className: 'item', key: k.id },
    h('div', { className: 'head' }, h('b', null, k.name), h('span', { className: 'hint' }, used)),
    h(
      'div',
      { className: 'row wrap' },
      button(t('passkeys.rename'), () => acts.edit(k.id), {
        className: 'small',
        'aria-label': `${t('passkeys.rename')}: ${k.name}`,
      }),
      button(t('passkeys.remove'), () => acts.remove(k.id), {
        className: 'small',
        'aria-label': `${t('passkeys.remove')}: ${k.name}`,
      }),
    ),
  );
}
