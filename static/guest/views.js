/**
 * The views of a guest's page: functions that return elements and texts. Nothing here sends
 * requests or changes the state.
 */
import { choice } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, errorLine, field, form } from '../lib/page.js';
import { has, serverSaid, t, time } from '../lib/strings.js';

/**
 * @typedef {object} Model
 * @property {'loading' | 'preview' | 'stage' | 'ended'} phase
 * @property {import('../types.js').GuestInvitation | null} offer
 * @property {string} name
 * @property {string} error
 * @property {boolean} busy
 * @property {import('../lib/stage/publishing.js').State | null} publishing
 * @property {boolean} muted
 * @property {boolean} hidden
 * @property {string} changed the change that a moderator made
 *
 * @typedef {object} Actions
 * @property {() => void} check
 * @property {(kind: import('./devices.js').Kind, id: string) => void} choose
 * @property {(name: string) => Promise<void>} join
 * @property {() => void} mute
 * @property {() => void} hide
 * @property {() => void} leave
 * @property {() => void} again
 * @typedef {import('./devices.js').Devices} Devices
 * @typedef {import('./others.js').Others} Others
 */

/** @param {Model} m @param {Actions} act @param {Devices} devices */
export function previewView(m, act, devices) {
  const offer = /** @type {NonNullable<Model['offer']>} */ (m.offer);
  const publishes = offer.role === 'publish';
  const ready = !publishes || devices.state.phase === 'open';
  return [
    h(
      'main',
      { className: 'card guest', key: 'preview' },
      m.changed && h('p', { className: 'notice good', key: 'changed' }, m.changed),
      h('h1', null, t('guest.invited', { host: offer.host, stage: offer.stageName })),
      h(
        'p',
        { className: 'hint' },
        t(publishes ? 'guest.willPublish' : 'guest.willView', { time: time(offer.expiresAt) }),
      ),
      publishes && devicesView(act, devices),
      form(
        {
          key: 'join',
          submit: t('guest.join'),
          busy: m.busy || !ready,
          error: m.error,
          onsubmit: (d) => void act.join(d.guestName),
        },
        field(
          t('guest.name'),
          {
            name: 'guestName',
            required: true,
            autocomplete: 'name',
            defaultValue: m.name,
          },
          publishes && !ready ? t('guest.checkFirst') : null,
        ),
      ),
    ),
  ];
}

/** @param {Actions} act @param {Devices} devices */
function devicesView(act, devices) {
  const { phase, list } = devices.state;
  const problem = {
    denied: 'guest.denied',
    none: 'guest.none',
    busy: 'guest.busy',
    insecure: 'guest.insecure',
    closed: '',
    asking: '',
    open: '',
  }[phase];
  return h(
    'section',
    { className: 'devices', key: 'devices', 'aria-label': t('guest.devices') },
    phase === 'open' &&
      h('div', { id: 'preview', className: 'screen', keep: true, key: 'preview' }),
    phase === 'open' &&
      h('div', {
        id: 'own-level',
        className: 'meter',
        keep: true,
        key: 'level',
        title: t('guest.level'),
      }),
    phase === 'open' &&
      h(
        'p',
        { className: 'hint', key: 'speak' },
        t(devices.has('video') ? 'guest.speak' : 'guest.noCamera'),
      ),
    phase === 'open' && deviceChoice('video', t('guest.camera'), list.video, devices, act),
    phase === 'open' && deviceChoice('audio', t('guest.microphone'), list.audio, devices, act),
    problem && errorLine(t(problem)),
    phase !== 'open' &&
      button(t(phase === 'asking' ? 'guest.asking' : 'guest.check'), act.check, {
        className: 'wide primary',
        key: 'check',
        'aria-disabled': phase === 'asking' && 'true',
      }),
  );
}

/**
 * @param {import('./devices.js').Kind} kind
 * @param {string} label
 * @param {MediaDeviceInfo[]} list
 * @param {Devices} devices
 * @param {Actions} act
 */
const deviceChoice = (kind, label, list, devices, act) =>
  list.length > 0 &&
  choice(
    label,
    {
      id: `choice-${kind}`,
      chosen: devices.chosen[kind],
      onchoose: (id) => act.choose(kind, id),
    },
    list.map((d, i) => [d.deviceId, d.label || `${label} ${i + 1}`]),
  );

/** @param {Model} m @param {Actions} act @param {Devices} devices @param {Others} others */
export function onStageView(m, act, devices, others) {
  const publishes =
    m.offer?.role === 'publish' && m.publishing !== null && m.publishing.phase !== 'idle';
  const people = others.publishing;
  return [
    h(
      'main',
      { className: 'guest on-stage', key: 'stage' },
      m.changed && h('p', { className: 'notice', key: 'changed' }, m.changed),
      stageTitle(m, publishes),
      people.length === 0 && h('p', { className: 'card', key: 'nobody' }, t('guest.alone')),
      h('div', { className: 'videos', key: 'others' }, ...people.map(otherView)),
      publishes && ownView(m, act, devices),
      button(t('guest.leave'), act.leave, { className: 'danger large', key: 'leave' }),
    ),
  ];
}

/** @param {Model} m @param {boolean} publishes */
function stageTitle({ publishing, offer }, publishes) {
  const live = publishing?.phase === 'live';
  return h(
    'h1',
    { className: `title ${live ? 'live' : publishes ? 'busy' : 'good'}` },
    h('span', { className: 'dot', 'aria-hidden': 'true' }),
    h(
      'span',
      { className: 'words', role: 'status' },
      t(publishes && !live ? 'guest.connecting' : 'guest.on', { stage: offer?.stageName ?? '' }),
    ),
  );
}

/** @param {Others['publishing'][number]} p */
const otherView = (p) =>
  h(
    'article',
    { className: 'video', key: p.id },
    h('div', { keep: true, id: `other-${p.id}` }),
    h(
      'div',
      { className: 'row' },
      h('b', { dir: 'auto' }, p.name),
      p.audioMuted && h('span', { className: 'tag' }, t('watch.muted')),
    ),
  );

/**
 * The view of what the guest sends.
 * @param {Model} m
 * @param {Actions} act
 * @param {Devices} devices
 */
const ownView = (m, act, devices) =>
  h(
    'section',
    { className: 'card own', key: 'own', 'aria-label': t('guest.you', { name: m.name }) },
    h('div', { id: 'preview', className: 'screen', keep: true, key: 'preview' }),
    h('div', { id: 'own-level', className: 'meter', keep: true, key: 'level' }),
    h(
      'div',
      { className: 'row wrap', key: 'tools' },
      button(t(m.muted ? 'guest.unmute' : 'guest.mute'), act.mute, {
        'aria-pressed': String(m.muted),
        key: 'mute',
      }),
      devices.has('video') &&
        button(t(m.hidden ? 'guest.show' : 'guest.hide'), act.hide, {
          'aria-pressed': String(m.hidden),
          key: 'hide',
        }),
    ),
  );

/** @param {Model} m @param {Actions} act */
export const endedView = (m, act) => [
  h(
    'main',
    { className: 'card guest', key: 'ended' },
    h('h1', null, t('guest.title')),
    h('p', { role: 'alert' }, m.error),
    m.offer && button(t('guest.again'), act.again, { className: 'wide', key: 'again' }),
  ),
];

/** @param {import('../lib/stage/publishing.js').Why | null} why */
export function whyText(why) {
  const { code = '', detail = '', byRole } = why ?? {};
  if (detail) return serverSaid(code, detail, { byRole });
  return has(`api.${code}`) ? t(`api.${code}`) : t('guest.ended');
}
