/**
 * The set-up of OBS that a dock begins without a click: once, when the script has just paired it
 * (docs/decisions/0206). A state machine: step(state, fact) → {state, effect?, store?}. Pure.
 */
import { PROFILE } from './obs-check.js';

/**
 * off: nothing to begin and nothing to undo · waiting: for the first reading of OBS · working: OBS
 * is being set up · told: the page shows what was done, and offers to undo it · undoing
 * @typedef {'off' | 'waiting' | 'working' | 'told' | 'undoing'} State
 *
 * @typedef {{kind: 'acted' | 'done' | 'failed' | 'undo' | 'dismissed'} |
 *   ({kind: 'read'} & Seen)} Fact - read: the settings of OBS were read; acted: the person did
 *   something else; done, failed: the result of an effect; undo, dismissed: the person pressed that
 *   button
 *
 * @typedef {object} Seen
 * @property {import('./obs-read.js').Reading} reading
 * @property {import('./obs-check.js').Finding[]} findings
 * @property {boolean} settled the person has a stage, and the dock stays at this address
 *
 * @typedef {'' | 'told' | 'undone'} Stored - what the browser stores
 * @typedef {{state: State, effect?: 'set-up' | 'undo', store?: Stored}} Move
 */

/**
 * The state of a page that has just been loaded.
 * @param {import('./pairing.js').Pairing} pairing
 * @param {string | null} stored
 * @returns {State}
 */
export function firstState(pairing, stored) {
  if (stored === 'told') return 'told';
  return pairing === 'first' && stored !== 'undone' ? 'waiting' : 'off';
}

/**
 * @param {State} state
 * @param {Fact} fact
 * @returns {Move}
 */
export function step(state, fact) {
  if (state === 'waiting') {
    if (fact.kind === 'read' && isSafe(fact)) return { state: 'working', effect: 'set-up' };
    return { state: 'off' };
  }
  if (state === 'working') {
    if (fact.kind === 'done') return { state: 'told', store: 'told' };
    if (fact.kind === 'failed') return { state: 'off' };
  }
  if (state === 'told') {
    if (fact.kind === 'undo') return { state: 'undoing', effect: 'undo' };
    if (fact.kind === 'dismissed' || (fact.kind === 'read' && fact.reading.profile !== PROFILE))
      return { state: 'off', store: '' };
  }
  if (state === 'undoing') {
    if (fact.kind === 'done') return { state: 'off', store: 'undone' };
    if (fact.kind === 'failed') return { state: 'told' };
  }
  return { state };
}

/**
 * Whether the set-up changes only a profile that does not exist yet, so that it can be undone as a
 * whole. Active outputs, for example, are blocking findings.
 * @param {Seen} seen
 */
const isSafe = ({ reading, findings, settled }) =>
  settled && !reading.profiles.includes(PROFILE) && !findings.some((f) => f.blocks);
