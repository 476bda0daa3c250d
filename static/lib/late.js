/** Modules that a page loads when it first needs them. */
import { ApiError } from './api.js';

/**
 * Returns a function that imports a module, and fails with an ApiError if the server does not
 * answer. Chromium 127 and older remember a failed import until a reload, for every module that
 * imports the same address. So the function first asks whether the server answers for the module.
 * If the import fails nevertheless, the next try adds a query to the address. That does not help
 * the modules that this module imports. The page does not reload by itself, since after a reload it
 * would ask for OBS's password.
 * @param {URL} url
 * @returns {() => Promise<any>}
 */
export function late(url) {
  let tries = 0;
  return async () => {
    const answer = await fetch(url, { method: 'HEAD', cache: 'no-store' }).catch(() => null);
    if (!answer?.ok) throw new ApiError('');
    try {
      return await import(tries === 0 ? url.href : `${url}?${tries}`);
    } catch {
      tries += 1;
      throw new ApiError('');
    }
  };
}
