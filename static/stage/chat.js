/**
 * The chat of a stage: the messages that the server sends, and the actions on them.
 */
import { api, escapeArn } from '../lib/api.js';
import { h } from '../lib/dom.js';
import { listen } from '../lib/events.js';
import { button, errorLine, errorText } from '../lib/page.js';
import { t, time } from '../lib/strings.js';

/**
 * @typedef {import('../types.js').ChatMessage} Message
 * @typedef {import('../types.js').ChatHistory} History
 * @typedef {History & {error: string, sending: boolean}} Chat
 */

/**
 * The chat before the server has sent the history. The form is shown from the start. If it replaced
 * a shorter line later, the buttons below would move.
 * @type {Chat}
 */
const EMPTY = Object.freeze({
  messages: [],
  posts: true,
  moderates: false,
  muted: [],
  error: '',
  sending: false,
});

/**
 * The chat after an event. Pure.
 * @param {Chat} chat @param {string} event @param {any} data
 * @returns {Chat}
 */
export function told(chat, event, data) {
  switch (event) {
    case 'chat':
      return { ...chat, ...data };
    // The history may contain the message already.
    case 'message':
      return chat.messages.some((m) => m.id === data.id)
        ? chat
        : { ...chat, messages: [...chat.messages, data].slice(-200) };
    case 'removed':
      return { ...chat, messages: chat.messages.filter((m) => m.id !== data.id) };
    default:
      return chat;
  }
}

/**
 * @param {object} about
 * @param {() => void} about.changed
 * @param {(m: Message) => void} about.heard called for a new message
 * @param {() => void} about.signedOut called when the login or its access to the stage has ended
 */
export function createChat({ changed, heard, signedOut }) {
  let arn = '';
  let chat = EMPTY;
  let stream = { stop() {} };
  const path = (/** @type {string} */ rest) => `api/stages/${escapeArn(arn)}/${rest}`;

  /** @param {Partial<Chat>} change */
  const set = (change) => {
    chat = { ...chat, ...change };
    changed();
  };

  /** @param {Promise<unknown>} work */
  async function attempt(work) {
    try {
      await work;
      set({ error: '' });
      return true;
    } catch (err) {
      set({ error: errorText(err) });
      return false;
    }
  }

  return {
    get now() {
      return chat;
    },
    /** @param {string} stage */
    open(stage) {
      stream.stop();
      arn = stage;
      chat = EMPTY;
      stream = listen(
        {
          event({ event, data }) {
            const before = chat.messages.length;
            set(told(chat, event, data));
            if (event === 'message' && chat.messages.length > before) heard(data);
          },
          signedOut,
        },
        { path: path('events') },
      );
    },
    close: () => stream.stop(),
    /** @param {string} text */
    async send(text) {
      set({ sending: true });
      const sent = await attempt(api('POST', path('chat'), { text }));
      set({ sending: false });
      return sent;
    },
    /** @param {string} id */
    remove: (id) => attempt(api('DELETE', path(`chat/${encodeURIComponent(id)}`))),
    /** @param {string} user @param {boolean} on */
    mute: (user, on) =>
      attempt(api(on ? 'PUT' : 'DELETE', path(`chat/muted/${encodeURIComponent(user)}`))),
  };
}

/** @param {ReturnType<typeof createChat>} chat @param {string} me user id */
export function chatView(chat, me) {
  const { messages, posts, muted, error, sending } = chat.now;
  return h(
    'section',
    { className: 'card chat', key: 'chat', 'aria-label': t('chat.title') },
    h('h2', null, t('chat.title')),
    h(
      'ol',
      {
        className: 'messages',
        id: 'messages',
        'aria-live': 'off',
        tabIndex: 0,
        'aria-label': t('chat.title'),
      },
      ...messages.map((m) => messageView(chat, m, me)),
      messages.length === 0 && h('li', { className: 'hint', key: 'none' }, t('chat.none')),
    ),
    errorLine(error),
    muted.length > 0 &&
      h(
        'p',
        { className: 'hint', key: 'muted' },
        `${t('chat.muted')} `,
        ...muted.map((p) =>
          button(t('chat.unmute', { name: p.name }), () => void chat.mute(p.id, false), {
            className: 'link',
            key: p.id,
          }),
        ),
      ),
    posts
      ? h(
          'form',
          {
            className: 'say',
            key: 'say',
            onsubmit: (/** @type {SubmitEvent} */ e) => void submit(e, chat),
          },
          h('input', {
            id: 'say',
            name: 'text',
            maxLength: 500,
            autocomplete: 'off',
            'aria-label': t('chat.write'),
            placeholder: t('chat.write'),
          }),
          h(
            'button',
            { type: 'submit', className: 'primary', 'aria-disabled': sending && 'true' },
            t('chat.send'),
          ),
        )
      : h('p', { className: 'hint', key: 'quiet' }, t('chat.quiet')),
  );
}

/** @param {ReturnType<typeof createChat>} chat @param {Message} m @param {string} me */
function messageView(chat, m, me) {
  const own = m.userId !== '' && m.userId === me;
  const { moderates } = chat.now;
  const icon = (
    /** @type {string} */ look,
    /** @type {string} */ label,
    /** @type {() => void} */ onclick,
  ) => button('', onclick, { className: `icon ${look}`, title: label, 'aria-label': label });
  return h(
    'li',
    { key: m.id, className: own ? 'own' : '' },
    h(
      'div',
      { className: 'head' },
      h('b', { dir: 'auto' }, m.name),
      h('time', { dateTime: m.time }, time(m.time)),
      moderates &&
        !own &&
        icon('i-speak-off', t('chat.mute', { name: m.name }), () => void chat.mute(m.userId, true)),
      (moderates || own) &&
        icon('i-remove', t('chat.remove', { name: m.name }), () => void chat.remove(m.id)),
    ),
    h('p', { dir: 'auto' }, m.text),
  );
}

/** @param {SubmitEvent} e @param {ReturnType<typeof createChat>} chat */
async function submit(e, chat) {
  e.preventDefault();
  const input = /** @type {HTMLInputElement} */ (document.getElementById('say'));
  const text = input.value.trim();
  if (text === '' || chat.now.sending) return;
  if (await chat.send(text)) input.value = '';
  input.focus();
}
