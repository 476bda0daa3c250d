/** Modules that a page loads when it first needs them. */
import { ApiError } from './api.js';

/**
 * A function that imports a module, and fails with an ApiError if the server does not answer.
 * Chromium 127 and older remember that a module could not be imported, so each further try gets a
 * query for the address of the module. If such a browser could not load a module that this module
 * imports, only a reload of the page helps. The page does not reload by itself, since after a
 * reload it would ask for OBS's password.
 * @template M
 * @param {(query: string) => Promise<M>} load
 * @returns {() => Promise<M>}
 */
export function late(load) {
  let tries = 0;
  return async () => {
    try {
      return await load(tries === 0 ? '' : `?${tries}`);
    } catch {
      tries += 1;
      throw new ApiError('');
    }
  };
}
