/**
 * What a browser source can show of a stage, written as the server writes it (stage.View). Pure.
 */

/** @typedef {import('./client.js').Participant} Participant */

export const LAYOUTS = Object.freeze(['grid', 'spotlight']);

/**
 * The view of one person: the user id, which new tokens do not change. IVS allows any and none: one
 * that reads like another view has a mark before it, and who has none is the participant.
 * @param {{id: string, userId: string}} p
 */
export function viewOf({ id, userId }) {
  if (userId === '') return `participant:${id}`;
  return LAYOUTS.includes(userId) || /^(user|participant):/.test(userId)
    ? `user:${userId}`
    : userId;
}

/** The id of the one whom a view shows. @param {string} view */
export const idIn = (view) => view.replace(/^(user|participant):/, '');
