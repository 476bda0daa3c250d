/** The dock's report to the server, which cannot see OBS itself. The operator sees the report. */
import { api, base } from '../lib/api.js';
import { inEnglish } from '../lib/strings.js';
import { stateOf } from './views.js';

/** Milliseconds to wait, so that several changes cause one report. */
const SOON = 400;

/** Characters of a finding in a report. The server accepts 500 bytes. */
const LONGEST = 400;

/**
 * @param {object} deps
 * @param {string} deps.id the ID of the dock
 * @param {import('./views.js').Model} deps.model
 * @param {() => import('../lib/obs.js').ObsVersion | null} deps.version the version of OBS
 */
export function createReport({ id, model, version }) {
  const path = `api/docks/${id}`;
  let timer = 0;

  function now() {
    // A failed report is not retried, because the dock reports regularly.
    if (model.me) void api('PUT', path, reportOf(model, version())).catch(() => {});
  }

  return {
    now,
    soon() {
      clearTimeout(timer);
      timer = window.setTimeout(now, SOON);
    },
    /**
     * Removes the dock from the server. Called also while the page closes: with `keepalive`, the
     * request is sent even then. If the request fails, the server removes the dock after a while
     * without reports.
     */
    end: () =>
      fetch(new URL(path, base), {
        method: 'DELETE',
        keepalive: true,
        credentials: 'same-origin',
      }).catch(() => {}),
  };
}

/**
 * @param {import('./views.js').Model} m
 * @param {import('../lib/obs.js').ObsVersion | null} version
 */
function reportOf(m, version) {
  const { phase } = m.obs;
  const known = phase !== 'off' && phase !== 'connecting';
  return {
    obs: known
      ? {
          version: m.version,
          websocket: version?.obsWebSocketVersion ?? '',
          platform: version?.platform ?? '',
          state: phase === 'ready' ? stateOf(m).replaceAll('-', '_') : phase,
          findings: (m.findings ?? []).map(({ id, level, text, values }) => ({
            id,
            level,
            text: inEnglish(text, values).slice(0, LONGEST),
          })),
        }
      : null,
    live: m.broadcast.phase === 'live' || m.broadcast.phase === 'away',
    participantId: m.broadcast.phase === 'idle' ? '' : m.broadcast.participantId,
  };
}
