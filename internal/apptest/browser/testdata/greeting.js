/** @param {string} name */
export const greeting = (name) => `Good evening, ${name}!`;
