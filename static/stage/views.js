/** The views of the tab People. */
import { barsView } from '../lib/bars.js';
import { checkbox, select } from '../lib/choices.js';
import { h } from '../lib/dom.js';
import { button, copyField, errorLine, field, form } from '../lib/page.js';
import { BACKGROUNDS } from '../lib/stage/look.js';
import { idIn, viewOf } from '../lib/stage/view.js';
import { t, time } from '../lib/strings.js';
import { nextSize } from './people.js';

/**
 * @typedef {import('../lib/types.js').Stage} Stage
 * @typedef {import('./people.js').Card} Card
 * @typedef {import('../lib/stage/client.js').Participant} Participant
 * @typedef {import('../types.js').View} View
 *
 * @typedef {object} Model
 * @property {import('../lib/types.js').Me} me
 * @property {Stage | undefined} stage
 * @property {Stage[]} stages
 * @property {import('../lib/stage/client.js').Phase} phase
 * @property {string} error
 * @property {Card[]} cards
 * @property {Participant[]} audience
 * @property {boolean} crowded people are shown as rows in their own scrolling area
 * @property {boolean} blocked whether the browser requires a click before it plays sound
 * @property {import('../lib/obs.js').ObsStatus} obs
 * @property {boolean} connects whether this page connects to OBS, instead of the tab Broadcast
 * @property {boolean} working
 * @property {{text: string, bad: boolean} | null} note
 * @property {View[]} views
 * @property {{label: string, url: string} | null} made
 * @property {import('../lib/stage/look.js').Look} look the look of new browser sources
 *
 * @typedef {object} Actions
 * @property {(arn: string) => void} pick
 * @property {() => void} sound
 * @property {() => void} again
 * @property {() => void} dismiss
 * @property {(card: Card, change: import('./people.js').Choice) => void} choose
 * @property {(view: string, name: string) => void} add
 * @property {(view: string, name: string) => void} copy
 * @property {(view: View) => void} revoke
 * @property {(look: Partial<import('../lib/stage/look.js').Look>) => void} dress
 * @property {(address: string, password: string) => void} connect
 * @property {() => void} toBroadcast
 */

/** @param {Model} m @param {Actions} act */
export function toolbar(m, act) {
  return h(
    'div',
    { className: 'bar', key: 'bar' },
    m.stages.length > 1 && h('h1', { className: 'unseen', key: 'title' }, t('stage.title')),
    m.stages.length > 1
      ? select(
          { 'aria-label': t('stage.which'), chosen: m.stage?.arn, onchoose: act.pick },
          m.stages.map((s) => [s.arn, s.name]),
        )
      : h('h1', { dir: 'auto' }, m.stage?.name ?? t('stage.title')),
    h(
      'span',
      { className: `phase ${m.phase}`, key: 'phase', role: 'status' },
      t(`stage.phase.${m.phase}`),
    ),
  );
}

/** @param {Model} m @param {Actions} act */
export function notices(m, act) {
  return [
    !m.stage &&
      h(
        'div',
        { className: 'card', key: 'no-stage' },
        barsView(m.me.bars),
        h('p', null, t('stage.none')),
        button(t('app.again'), act.again),
      ),
    m.phase === 'refused' &&
      h(
        'div',
        { className: 'card', key: 'refused' },
        errorLine(m.error),
        button(t('app.again'), act.again),
      ),
    m.phase === 'lost' && m.error && h('p', { className: 'notice warning', key: 'lost' }, m.error),
    m.blocked &&
      m.cards.some((c) => !c.hidden && !c.muted) &&
      button(t('stage.sound'), act.sound, { className: 'primary large wide', key: 'sound' }),
    m.note &&
      !m.note.bad &&
      h('p', { className: 'notice good toast', key: 'note', role: 'status' }, m.note.text),
    m.note?.bad &&
      h(
        'div',
        { className: 'error toast', key: 'bad', role: 'alert' },
        h('span', null, m.note.text),
        button(t('live.dismiss'), act.dismiss),
      ),
  ];
}

/**
 * @param {Model} m @param {Actions} act
 * @param {(id: string) => {link: string, silent: boolean}} about
 */
export function peopleView(m, act, about) {
  const shown = m.cards.filter((c) => !c.hidden);
  const hidden = m.cards.filter((c) => c.hidden);
  return h(
    'section',
    {
      key: 'people',
      className: m.crowded ? 'people crowded' : 'people',
      'aria-label': t('tab.people'),
    },
    m.stage && m.phase !== 'idle' && m.cards.length === 0 && emptyView(m.phase === 'joined'),
    h(
      'div',
      { className: shown.length === 1 ? 'tiles one' : 'tiles', key: 'tiles' },
      ...shown.map((c) => tileView(c, act, about(c.participant.id))),
    ),
    hidden.length > 0 &&
      h(
        'ul',
        { className: 'hidden-list', key: 'hidden', 'aria-label': t('stage.hidden') },
        ...hidden.map((c) => hiddenView(c, act)),
      ),
    // Always shown, so that the elements below do not move when a viewer joins.
    m.stage &&
      h(
        'p',
        { className: 'hint', key: 'audience' },
        t('stage.audience', {
          names: m.audience.map((p) => p.name).join(', ') || t('stage.noOne'),
        }),
      ),
  );
}

/**
 * The two possible sentences take up the same space. Otherwise the buttons below would move when
 * the stage is joined, and a click at that moment would be lost.
 * @param {boolean} joined
 */
const emptyView = (joined) =>
  h(
    'p',
    { className: 'card empty', key: 'nobody' },
    h('span', { className: joined ? 'reserved' : '' }, t('stage.wait')),
    h('span', { className: joined ? '' : 'reserved' }, t('stage.nobody')),
  );

/** @param {Card} c */
const nameOf = (c) => (c.you ? t('stage.you', { name: c.participant.name }) : c.participant.name);

/** @param {Card} c @param {Actions} act @param {{link: string, silent: boolean}} about */
function tileView(c, act, { link, silent }) {
  const { participant: p } = c;
  const name = nameOf(c);
  const quiet = quietWord(p, silent);
  const classes = [
    `tile size-${c.size}`,
    c.pinned && 'pinned',
    p.videoMuted && !p.stalled && 'no-picture',
    quiet && 'quiet',
  ];
  return h(
    'article',
    {
      className: classes.filter(Boolean).join(' '),
      key: p.id,
      'aria-label': name,
      'data-user': p.userId,
      'data-link': link,
    },
    screenView(p, link, quiet),
    h('div', { className: 'meter', keep: true, id: `meter-${p.id}`, 'aria-hidden': 'true' }),
    h(
      'div',
      { className: 'foot' },
      h('b', { title: name, dir: 'auto' }, name),
      p.guest && h('span', { className: 'tag', key: 'guest' }, t('guests.guest')),
      toolsView(c, act),
    ),
  );
}

/**
 * The reason why a participant cannot be heard, or ''.
 * @param {Participant} p @param {boolean} silent
 */
function quietWord(p, silent) {
  if (p.stalled) return '';
  if (p.audioMuted) return t('stage.audioMuted');
  return silent ? t('stage.silent') : '';
}

/** @param {Participant} p @param {string} link @param {string} quiet */
const screenView = (p, link, quiet) =>
  h(
    'div',
    { className: 'screen' },
    h('div', { keep: true, id: `screen-${p.id}`, className: 'picture' }),
    link !== 'connected' && h('p', { className: 'over', key: 'over' }, t(`stage.link.${link}`)),
    link === 'connected' &&
      p.videoMuted &&
      h(
        'p',
        { className: 'over', key: 'over' },
        t(p.stalled ? 'stage.stalled' : 'stage.noPicture'),
      ),
    // The tag is on the picture, where it takes no space. Below the picture it would move other
    // elements.
    quiet && h('span', { className: p.audioMuted ? 'tag warn' : 'tag', key: 'quiet' }, quiet),
  );

/** The actions on one participant. @param {Card} c @param {Actions} act */
function toolsView(c, act) {
  const { participant: p, muted, pinned, size } = c;
  const { name } = p;
  return h(
    'span',
    { className: 'tools' },
    tool(
      muted ? 'i-sound-off' : 'i-sound',
      t(muted ? 'stage.unmute' : 'stage.mute', { name }),
      () => act.choose(c, { muted: !muted }),
      muted,
    ),
    tool(
      'i-pin',
      t(pinned ? 'stage.unpin' : 'stage.pin', { name }),
      () => act.choose(c, { pinned: !pinned }),
      pinned,
    ),
    tool('i-size', t('stage.size', { name, size: t(`stage.size.${size}`) }), () =>
      act.choose(c, { size: nextSize(size) }),
    ),
    tool('i-hide', t('stage.hide', { name }), () => act.choose(c, { hidden: true })),
    tool('i-add', t('scene.addPerson', { name }), () => act.add(viewOf(p), name)),
  );
}

/**
 * @param {string} icon
 * @param {string} label
 * @param {() => void} onclick
 * @param {boolean} [pressed]
 */
const tool = (icon, label, onclick, pressed) =>
  button('', onclick, {
    className: `icon ${icon}`,
    title: label,
    'aria-label': label,
    ...(pressed === undefined ? {} : { 'aria-pressed': String(pressed) }),
  });

/** @param {Card} c @param {Actions} act */
const hiddenView = (c, act) =>
  h(
    'li',
    { key: c.participant.id, 'data-user': c.participant.userId },
    h('b', { dir: 'auto' }, nameOf(c)),
    h('span', { className: 'hint' }, t('stage.isHidden')),
    button(t('app.show'), () => act.choose(c, { hidden: false }), {
      className: 'small',
      'aria-label': t('stage.show', { name: c.participant.name }),
    }),
  );

/** @param {Model} m @param {Actions} act */
export function sourcesView(m, act) {
  const ready = m.obs.phase === 'ready';
  return h(
    'details',
    { className: 'section', key: 'sources', id: 'sources' },
    h('summary', null, t('scene.title')),
    h('p', { className: 'hint' }, t('scene.lead')),
    !ready && (m.connects ? connectView(m, act) : elsewhereView(act)),
    lookView(m.look, act),
    h(
      'ul',
      { className: 'list' },
      ...layouts().map(([view, name]) =>
        h(
          'li',
          { className: 'source', key: view },
          h('b', null, name),
          sourceButtons(m, act, view, name),
        ),
      ),
      ...m.cards.map(({ participant: p }) =>
        h(
          'li',
          { className: 'source', key: `person ${p.id}` },
          h('b', { dir: 'auto' }, p.name),
          sourceButtons(m, act, viewOf(p), p.name),
        ),
      ),
    ),
    m.made && copyField({ key: 'source-url', label: m.made.label, text: m.made.url }),
    m.made && h('p', { className: 'hint', key: 'made' }, t('scene.secret')),
    m.views.length > 0 && h('h3', { key: 'keys-title' }, t('view.title')),
    m.views.length > 0 &&
      h(
        'ul',
        { className: 'list keys', key: 'keys' },
        ...m.views.map((v) => viewRow(v, viewName(v, m.cards), act)),
      ),
  );
}

/**
 * The form for the look of new sources.
 * @param {import('../lib/stage/look.js').Look} look @param {Actions} act
 */
const lookView = (look, act) =>
  h(
    'div',
    { className: 'look', key: 'look' },
    checkbox(t('scene.names'), {
      checked: look.names,
      onchange: (/** @type {Event} */ e) =>
        act.dress({ names: /** @type {HTMLInputElement} */ (e.target).checked }),
    }),
    h(
      'label',
      { className: 'choice' },
      h('span', null, t('scene.background')),
      select(
        { chosen: look.background, onchoose: (background) => act.dress({ background }) },
        BACKGROUNDS.map((colour) => [
          colour,
          t(`scene.background.${colour.replace('#', '') || 'none'}`),
        ]),
      ),
    ),
  );

/** @returns {[string, string][]} */
const layouts = () => [
  ['grid', t('scene.grid')],
  ['spotlight', t('scene.spotlight')],
];

/** @param {Model} m @param {Actions} act @param {string} view @param {string} name */
const sourceButtons = (m, act, view, name) =>
  h(
    'span',
    { className: 'row' },
    button(t('scene.add'), () => act.add(view, name), {
      className: 'small',
      title: t('scene.addPerson', { name }),
      'aria-label': `${t('scene.add')}: ${name}`,
      'aria-disabled': (m.working || m.obs.phase !== 'ready') && 'true',
    }),
    button(t('scene.copy'), () => act.copy(view, name), {
      className: 'small',
      title: t('scene.copyPerson', { name }),
      'aria-label': `${t('scene.copy')}: ${name}`,
      'aria-disabled': m.working && 'true',
    }),
  );

/** @param {View} v @param {string} name @param {Actions} act */
const viewRow = (v, name, act) =>
  h(
    'li',
    { className: 'source', key: v.id },
    h(
      'span',
      null,
      h('b', { dir: 'auto' }, name),
      ' ',
      h(
        'span',
        { className: 'hint' },
        v.lastUsedAt ? t('view.used', { time: time(v.lastUsedAt) }) : t('view.unused'),
      ),
    ),
    button(t('view.revoke'), () => act.revoke(v), {
      className: 'small',
      'aria-label': t('view.revokeOf', { name }),
    }),
  );

/**
 * The text for the view of a key. The name of a guest is known only while the guest is on the
 * stage.
 * @param {View} v
 * @param {Card[]} cards
 */
function viewName(v, cards) {
  const layout = layouts().find(([view]) => view === v.view);
  const there = cards.find((c) => viewOf(c.participant) === v.view);
  return (
    layout?.[1] ??
    v.name ??
    there?.participant.name ??
    t('view.somebody', { id: [...idIn(v.view)].slice(0, 24).join('') })
  );
}

/** @param {Actions} act */
const elsewhereView = (act) =>
  h(
    'div',
    { className: 'connect', key: 'connect' },
    h('p', { className: 'hint' }, t('scene.elsewhere')),
    button(t('scene.toBroadcast'), act.toBroadcast, { className: 'wide' }),
  );

/** @param {Model} m @param {Actions} act */
function connectView(m, act) {
  // The text does not change during automatic attempts.
  const phase = m.obs.phase === 'connecting' && m.obs.attempts > 0 ? 'lost' : m.obs.phase;
  return h(
    'div',
    { className: 'connect', key: 'connect' },
    h(
      'p',
      { className: phase === 'lost' || phase === 'password' ? 'warning' : 'hint' },
      t(`scene.obs.${phase}`),
    ),
    // The form is never disabled, so that a click works even while the page retries the old
    // address.
    form(
      {
        key: 'obs',
        submit: t('scene.connect'),
        onsubmit: (d) => act.connect(d.address, d.password),
        className: 'inline',
      },
      field(t('scene.address'), {
        name: 'address',
        placeholder: '127.0.0.1:4455',
        value: m.obs.url.replace('ws://', ''),
      }),
      field(t('scene.password'), { name: 'password', type: 'password' }),
    ),
  );
}
