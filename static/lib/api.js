/** The JSON API of the server, as docs/http.md describes it. */

/** The root URL of Stagedoor, which may be a path of a larger site. */
export const base = new URL('../../', import.meta.url);

/** An error response: the server's sentence for the person and its stable code for the page. */
export class ApiError extends Error {
  /**
   * @param {string} detail
   * @param {{status?: number, code?: string, retryAfter?: number}} [about]
   */
  constructor(detail, { status = 0, code = 'unreachable', retryAfter = 0 } = {}) {
    super(detail);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    /** Seconds to wait before the next attempt; 0 when the response has no Retry-After. */
    this.retryAfter = retryAfter;
  }

  /** Whether the server gave no answer, or could not do its work: a retry may succeed. */
  get temporary() {
    return this.code === 'unreachable' || this.code === 'timeout' || this.status >= 500;
  }
}

/**
 * @template [T=any]
 * @param {string} method
 * @param {string} path below the base, without a slash in front
 * @param {unknown} [body]
 * @param {{signal?: AbortSignal, timeout?: number, fetch?: import('./types.js').Fetch}} [options]
 * @returns {Promise<T>}
 */
export async function api(
  method,
  path,
  body,
  { signal, timeout = 15_000, fetch = globalThis.fetch } = {},
) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeout);
  signal?.addEventListener('abort', () => limit.abort());
  try {
    const response = await fetch(new URL(path, base), {
      method,
      signal: limit.signal,
      credentials: 'same-origin',
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!response.ok) throw await problem(response);
    return response.status === 204 ? /** @type {any} */ (undefined) : await response.json();
  } catch (err) {
    if (err instanceof ApiError) throw err;
    throw new ApiError('', {
      code: signal?.aborted ? 'cancelled' : limit.signal.aborted ? 'timeout' : 'unreachable',
    });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Reads an RFC 9457 problem. Any other body, such as a proxy's page, becomes a problem, too.
 * @param {Response} response
 */
export async function problem(response) {
  const { status } = response;
  const retryAfter = Number(response.headers.get('Retry-After')) || 0;
  const json = response.headers.get('Content-Type')?.includes('json');
  const body = json ? await response.json().catch(() => ({})) : {};
  return new ApiError(body.detail || body.message || '', {
    status,
    code: body.code ? String(body.code) : `http_${status}`,
    retryAfter,
  });
}

/** @param {string} arn */
export const escapeArn = (arn) => encodeURIComponent(arn);
