/** The views of a rehearsal in the dock. The module is loaded when a rehearsal begins. */
import { h } from '../lib/dom.js';
import { button } from '../lib/page.js';
import { t } from '../lib/strings.js';

/** @typedef {import('../lib/rehearsal.js').State} State */
/** @typedef {import('../lib/rehearsal-score.js').Mark} Mark */

/** Seconds of picture and sound that are played back. */
const SECONDS = 20;

/** The marks whose problems "Set up OBS" fixes. */
const SETUP = Object.freeze([
  'tooLarge',
  'bFrames',
  'keyframes',
  'noKeyframes',
  'profile',
  'notOpus',
  'bitrateOver',
  'bitrateHigh',
]);

/**
 * @typedef {object} Deeds
 * @property {() => void} cancel
 * @property {() => void} sound
 * @property {() => void} begin
 * @property {() => void} dismiss
 * @property {() => void} go
 * @property {() => void} setUp
 */

/**
 * The view of a rehearsal that runs.
 * @param {State} s
 * @param {{now: number, muted: boolean, reason: string}} about reason: why the rehearsal cannot
 *   start
 * @param {Deeds} act
 * @param {Node} heading
 * @param {(now: string) => Node} steps
 */
export function rehearsing(s, { now, muted, reason }, act, heading, steps) {
  return [
    heading,
    h('p', { className: 'lead', key: 'lead' }, t('rehearsal.lead')),
    s.phase === 'starting' && steps(s.step),
    reason && h('p', { className: 'warning', key: 'reason' }, reason),
    s.phase === 'playing' &&
      h('div', { id: 'rehearsal-screen', className: 'screen', keep: true, key: 'screen' }),
    s.phase === 'playing' &&
      h('div', {
        id: 'rehearsal-level',
        className: 'meter',
        keep: true,
        key: 'level',
        'aria-hidden': 'true',
      }),
    s.phase === 'playing' &&
      h('progress', {
        max: SECONDS,
        value: Math.min(SECONDS, (now - s.since) / 1000),
        key: 'time',
        'aria-label': t('rehearsal.left', { n: left(s, now) }),
      }),
    s.phase === 'playing' &&
      button(t(muted ? 'watch.sound' : 'watch.mute'), act.sound, {
        className: 'wide',
        key: 'sound',
      }),
    s.phase !== 'stopping' &&
      button(t('app.cancel'), act.cancel, { className: 'wide', key: 'cancel' }),
  ];
}

/** The seconds until the rehearsal ends. @param {State} s @param {number} now */
export const left = (s, now) => Math.max(0, Math.ceil(SECONDS - (now - s.since) / 1000));

/** The view of the result. @param {State} s @param {Deeds} act @param {Node} heading */
export function rehearsed(s, act, heading) {
  const marks = s.score ? Object.values(s.score).flat() : [];
  const curable = marks.some(({ name, level }) => level !== 'ok' && SETUP.includes(name));
  const bad = marks.some(({ level }) => level === 'bad');
  const best = 'primary wide';
  return [
    heading,
    ...(s.score
      ? [
          topic('picture', s.score.picture),
          topic('sound', s.score.sound),
          topic('network', s.score.network),
        ]
      : []),
    curable && button(t('live.setUpAgain'), act.setUp, { className: best, key: 'setup' }),
    button(t('rehearsal.again'), act.begin, {
      className: !curable && (bad || !s.score) ? best : 'wide',
      key: 'again',
    }),
    s.score &&
      button(t('live.go'), act.go, { className: curable || bad ? 'wide' : best, key: 'go' }),
    button(t('live.dismiss'), act.dismiss, { className: 'link', key: 'dismiss' }),
  ];
}

/** How the marks look in the list of findings. */
const LOOKS = Object.freeze({ ok: 'ok', warning: 'person', bad: 'bad' });

/** @param {'picture' | 'sound' | 'network'} name @param {Mark[]} marks */
function topic(name, marks) {
  return h(
    'section',
    {
      className: 'topic',
      key: name,
      'data-topic': name,
      'data-level': marks[0].level,
      'aria-labelledby': `rehearsal-${name}`,
    },
    h('h2', { id: `rehearsal-${name}` }, t(`rehearsal.topic.${name}`)),
    h(
      'ul',
      { className: 'findings' },
      ...marks.map((m) =>
        h(
          'li',
          { className: LOOKS[m.level], key: m.name, 'data-mark': m.name },
          h('span', {
            className: 'mark',
            role: 'img',
            'aria-label': t(`rehearsal.level.${m.level}`),
          }),
          h(
            'span',
            null,
            t(`rehearsal.${m.name}`, m.values),
            m.level !== 'ok' && ' ',
            m.level !== 'ok' &&
              h('span', { className: 'cure' }, t(`rehearsal.${m.name}.cure`, m.values)),
          ),
        ),
      ),
    ),
  );
}
