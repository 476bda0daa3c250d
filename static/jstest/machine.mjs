/**
 * Runs facts through the dock's state machine for internal/obs. Each line of the input is a JSON
 * object, {unattended, facts}; each line of the output is an array of summaries. TestMachinesAlike
 * compares them with those of the Go machine.
 */
import { createInterface } from 'node:readline';
import { FIRST, step } from '../lib/broadcast.js';

const why = (r) => (r ? [r.text, r.detail ?? '', r.code ?? '', r.byRole ?? ''].join('/') : '-');
const said = (w) => (w ? [w.kind, w.code, w.detail, w.byRole].join('/') : '-');
const nameOf = ({ kind, state, event }) =>
  kind === 'obs' ? state : kind === 'stage' ? event.kind : kind;

function summary(s, effects) {
  return [
    s.at,
    s.phase,
    s.step,
    s.turn,
    s.stage,
    s.participantId,
    [s.expiresAt, s.renewAt, s.since].join(' '),
    [
      s.sending,
      s.renewing,
      s.fresh,
      s.reused,
      s.unwanted,
      s.connecting,
      s.offline,
      s.orphaned,
      s.loop,
      s.stopped,
    ].join(' '),
    [s.renewals, s.tries].join(' '),
    why(s.reason),
    s.fallback?.text ?? '',
    s.then ? `${s.then.after} ${why(s.then.reason)}` : '-',
    said(s.word),
    said(s.claim),
    s.deferred.map(nameOf).join(','),
    effects
      .map((e) => [e.do, e.wait ?? '', e.fresh ?? false, e.stage ?? '', e.id ?? ''].join(','))
      .join(';'),
  ].join('|');
}

const lines = [];
for await (const line of createInterface({ input: process.stdin })) {
  const { unattended, facts } = JSON.parse(line);
  let state = { ...FIRST, unattended };
  lines.push(
    JSON.stringify(
      facts.map((fact) => {
        const next = step(state, fact);
        state = next.state;
        return summary(state, next.effects);
      }),
    ),
  );
}
process.stdout.write(`${lines.join('\n')}\n`);
