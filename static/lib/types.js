/**
 * The types of the JSON API, under the names that the pages use. They come from types.d.ts, which
 * the server's tests write.
 *
 * @typedef {import('../types').Limits} Limits
 * @typedef {import('../types').MyStage} Stage
 * @typedef {import('../types').Me} Me
 * @typedef {import('../types').Token} Token
 * @typedef {import('../types').Rehearsal} Rehearsal
 * @typedef {import('../types').IssuedToken} Issued
 * @typedef {import('../types').VideoReception} VideoReception
 * @typedef {import('../types').Reception} Reception
 * @typedef {import('../types').Presence} Presence
 * @typedef {import('../types').StageEvent} StageEvent
 * @typedef {import('../types').Dock} Dock
 * @typedef {import('../types').User} User
 * @typedef {import('../types').Stage} StageWithPeople
 * @typedef {import('../types').AWSStages} AwsStages
 * @typedef {import('../types').StageSession} StageSession
 *
 * @typedef {typeof globalThis.fetch} Fetch
 */
export {};
