/**
 * Decides which people are shown and how, by the choices about each person that this browser
 * stores. Pure.
 */

/** @typedef {import('../lib/stage/client.js').Participant} Participant */
/** @typedef {'small' | 'normal' | 'large'} Size */
/**
 * @typedef {{hidden?: boolean, muted?: boolean, pinned?: boolean, size?: Size}} Choice - the user's
 *   choices about a person; absent: the default
 */
/**
 * @typedef {{participant: Participant, you: boolean, hidden: boolean, muted: boolean, pinned:
 *   boolean, size: Size}} Card
 */

const KEPT = 200;
/** @type {Size[]} */
const SIZES = ['small', 'normal', 'large'];

/**
 * The ID that a person keeps with a new token: the user ID, because each token is a new
 * participant. Without a user ID, it is the participant ID.
 * @param {Participant} p
 */
export const personOf = (p) => p.userId || p.id;

/** How many pictures a narrow dock shows in normal size. More would push the chat out of sight. */
const ROOMY = 2;

/**
 * Whether people are shown as rows with small pictures, unless the user has chosen a size for them.
 * @param {Participant[]} list
 * @param {string} me
 * @param {Record<string, Choice>} choices
 * @param {boolean} narrow
 */
export const crowded = (list, me, choices, narrow) =>
  narrow && cards(list, me, choices).filter((c) => !c.hidden).length > ROOMY;

/**
 * The cards of the publishing participants, in the order in which they joined. Pinning is done by
 * CSS, because a video that moves in the page stops playing.
 * @param {Participant[]} list
 * @param {string} me user id
 * @param {Record<string, Choice>} choices
 * @param {Size} [usual] the size of participants for whom no size was chosen
 * @returns {Card[]}
 */
export function cards(list, me, choices, usual) {
  return list
    .filter((p) => p.publishing)
    .map((participant) => card(participant, me, choices, usual));
}

/**
 * @param {Participant} participant
 * @param {string} me
 * @param {Record<string, Choice>} choices
 * @param {Size} [usual]
 * @returns {Card}
 */
export function card(participant, me, choices, usual = 'normal') {
  const you = participant.userId !== '' && participant.userId === me;
  // The user's own tile is hidden at first, to avoid an echo.
  const {
    hidden = you,
    muted = false,
    pinned = false,
    size = usual,
  } = choices[personOf(participant)] ?? {};
  return { participant, you, hidden, muted, pinned, size };
}

/**
 * The participants who do not publish, each user once, without the user's own pages.
 * @param {Participant[]} list @param {string} me
 * @returns {Participant[]}
 */
export function audience(list, me) {
  const busy = new Set(list.filter((p) => p.publishing).map(personOf));
  /** @type {Map<string, Participant>} */
  const rest = new Map();
  for (const p of list) if (!busy.has(personOf(p)) && p.userId !== me) rest.set(personOf(p), p);
  return [...rest.values()];
}

/** @param {Size} size @returns {Size} */
export const nextSize = (size) => SIZES[(SIZES.indexOf(size) + 1) % SIZES.length];

/**
 * Parses the stored choices.
 * @param {string | null} text @returns {Record<string, Choice>}
 */
export function readChoices(text) {
  try {
    const found = JSON.parse(text ?? '{}');
    return found && typeof found === 'object' && !Array.isArray(found) ? found : {};
  } catch {
    return {};
  }
}

/**
 * The choices after a change. Only those about the latest KEPT people are kept.
 * @param {Record<string, Choice>} choices
 * @param {string} person
 * @param {Choice} change
 * @returns {Record<string, Choice>}
 */
export function choose(choices, person, change) {
  const { [person]: before, ...others } = choices;
  return Object.fromEntries(
    [...Object.entries(others), [person, { ...before, ...change }]].slice(-KEPT),
  );
}
