/** The view of a browser source, written as the server writes it (stage.View). Pure. */

/** @typedef {import('./client.js').Participant} Participant */

export const LAYOUTS = Object.freeze(['grid', 'spotlight']);

/**
 * The view of one person is the user ID, which stays the same with a new token. IVS allows any user
 * ID, or none. If a user ID looks like another view, the view has a prefix. Without a user ID, the
 * view contains the participant ID.
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
