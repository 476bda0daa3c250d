/**
 * Keys of localStorage that several modules of the dock use. The page static/stage also reads the
 * address, the password and the stage.
 */
export const KEYS = Object.freeze({
  address: 'stagedoor.obs.address',
  password: 'stagedoor.obs.password',
  secret: 'stagedoor.obs.secret',
  encoders: 'stagedoor.obs.encoders',
  scriptServer: 'stagedoor.obs.server',
  moving: 'stagedoor.obs.moving',
  first: 'stagedoor.obs.first',
  gone: 'stagedoor.obs.gone',
  code: 'stagedoor.obs.code',
  stage: 'stagedoor.stage',
});
