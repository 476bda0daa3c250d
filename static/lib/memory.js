/**
 * The keys of localStorage. The dock writes the values, and the page dock/stage reads the first
 * three.
 */
export const KEYS = Object.freeze({
  address: 'stagedoor.obs.address',
  password: 'stagedoor.obs.password',
  secret: 'stagedoor.obs.secret',
  encoders: 'stagedoor.obs.encoders',
  scriptServer: 'stagedoor.obs.server',
  moving: 'stagedoor.obs.moving',
  stage: 'stagedoor.stage',
});
