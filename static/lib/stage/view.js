/** The view of a browser source, written as the server writes it (stage.View). Pure. */

/** @typedef {import('./client.js').Participant} Participant */

export const LAYOUTS = Object.freeze(['grid', 'spotlight']);

/**
 * The view of one person is the user ID, which new tokens do not change. IVS allows any user ID, or
 * none. A user ID that reads like another view gets a prefix, and a participant without a user ID
 * is shown by the participant ID.
 * @param {{id: string, userId: string}} p
 */
export function viewOf({ id, userId }) {
  if (userId === '') return `participant:${id}`;
  return LAYOUTS.includes(userId) || /^(user|participant):/.test(userId)
    ? `user:${userId}`
    : userId;
}

/** The id of the person or participant that a view shows. @param {string} view */
export const idIn = (view) => view.replace(/^(user|participant):/, '');
