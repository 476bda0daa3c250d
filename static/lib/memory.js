/**
 * What this browser remembers, each under a key of ours. The dock writes it, and the people's own
 * page reads the first three.
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
