/** Modules that a page loads when it first needs them. */
import { ApiError } from './api.js';

/**
 * A function that imports a module, and fails with an ApiError if the server does not answer.
 * Chromium 127 and older remember that a module could not be imported, also for other modules that
 * import it. So the function first asks whether the server has the module. If it disappears just
 * then, the next try gets a query for the address of the module; the modules that this one imports
 * stay lost until a reload. The page does not reload by itself, since after a reload it would ask
 * for OBS's password.
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
