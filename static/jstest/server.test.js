import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { api, ApiError } from '../lib/api.js';
import { growing, listen, patiently } from '../lib/events.js';
import { until } from './fake.js';

const answer =
  (status, body, headers = {}) =>
  async () =>
    new Response(body === undefined ? null : JSON.stringify(body), { status, headers });

describe('the JSON API', () => {
  it('returns the server’s response', async () => {
    assert.deepEqual(
      await api('GET', 'api/me', undefined, { fetch: answer(200, { name: 'ana' }) }),
      { name: 'ana' },
    );
    assert.equal(await api('DELETE', 'api/login', undefined, { fetch: answer(204) }), undefined);
  });

  it('an error has the server’s sentence, its code, and the time to retry', async () => {
    const fetch = answer(
      429,
      { detail: 'Try again in 4 minutes.', code: 'too_many_tokens' },
      { 'Content-Type': 'application/problem+json', 'Retry-After': '240' },
    );
    await assert.rejects(
      api('POST', 'api/tokens', {}, { fetch }),
      (err) =>
        err instanceof ApiError &&
        err.message === 'Try again in 4 minutes.' &&
        err.code === 'too_many_tokens' &&
        err.status === 429 &&
        err.retryAfter === 240,
    );
  });

  it('a proxy’s page becomes an error, too', async () => {
    const fetch = async () =>
      new Response('<h1>Bad gateway</h1>', {
        status: 502,
        headers: { 'Content-Type': 'text/html' },
      });
    await assert.rejects(
      api('GET', 'api/me', undefined, { fetch }),
      (err) => err.code === 'http_502' && err.message === '',
    );
  });

  it('distinguishes a broken connection from a slow server', async () => {
    await assert.rejects(
      api('GET', 'api/me', undefined, {
        fetch: async () => {
          throw new TypeError('Failed to fetch');
        },
      }),
      (err) => err.code === 'unreachable',
    );
    const hang = (_, { signal }) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      );
    await assert.rejects(
      api('GET', 'api/me', undefined, { fetch: hang, timeout: 5 }),
      (err) => err.code === 'timeout',
    );
  });
});

/**
 * A server that answers each request with the next element of `answers`: a status, or pieces of an
 * event stream.
 */
function server(...answers) {
  const asked = [];
  const signals = [];
  const fetch = async (_url, { headers, signal }) => {
    asked.push(headers);
    signals.push(signal);
    const next = answers.shift();
    if (next === undefined)
      return new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      );
    if (typeof next === 'number') return new Response(null, { status: next });
    const text = new TextEncoder();
    return new Response(
      new ReadableStream({
        start(c) {
          for (const piece of next) if (piece !== 'open') c.enqueue(text.encode(piece));
          if (!next.includes('open')) c.close();
          else signal.addEventListener('abort', () => c.error(signal.reason));
        },
      }),
    );
  };
  return { fetch, asked, signals };
}

describe('the event stream', () => {
  const hear = (s, options = {}) => {
    const heard = { events: [], pauses: [], out: false, connected: [] };
    const { stop } = listen(
      {
        event: (e) => heard.events.push(e),
        signedOut: () => {
          heard.out = true;
        },
        connected: (c) => heard.connected.push(c),
      },
      {
        fetch: s.fetch,
        page: new EventTarget(),
        random: () => 0.5,
        pause: async (ms) => {
          heard.pauses.push(ms);
        },
        ...options,
      },
    );
    return Object.assign(heard, { stop });
  };

  it('delivers events, no matter how the bytes are split', async () => {
    const heard = hear(
      server([
        ': hello\n\nid: 7\nev',
        'ent: stage\ndata: {"kind":\ndata: "publishing"}\n',
        '\nevent: me\r\ndata: {}\r\n\r\n',
        'open',
      ]),
    );
    await until(() => heard.events.length === 2);
    assert.deepEqual(heard.events, [
      { event: 'stage', data: { kind: 'publishing' } },
      { event: 'me', data: {} },
    ]);
    heard.stop();
  });

  it('reconnects with growing pauses, and resumes after the last event', async () => {
    const s = server(503, 503, ['id: 41\nevent: stage\ndata: {}\n\n'], 503);
    const heard = hear(s);
    await until(() => s.asked.length === 5);
    assert.deepEqual(heard.pauses, [500, 1000, 500, 1000]);
    assert.deepEqual(
      s.asked.map((h) => h['Last-Event-ID']),
      [undefined, undefined, undefined, '41', '41'],
    );
    heard.stop();
  });

  it('pauses between short streams without reporting a broken connection', async () => {
    const frame = 'id: 9\nevent: stage\ndata: {}\n\n';
    const s = server(['retry: 4000\n\n' + frame], ['retry: 4000\n\n' + frame], 503);
    const heard = hear(s);
    await until(() => s.asked.length === 4);
    assert.deepEqual(heard.pauses, [4000, 4000, 1000]);
    assert.deepEqual(heard.connected, [true, true, false]);
    assert.equal(s.asked[1]['Last-Event-ID'], '9');
    heard.stop();
  });

  it('splits the presence of several stages', async () => {
    const frame = (event, data) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    const on = (stage, ...participants) => ({ stage, participants });
    const heard = hear(
      server(
        [
          frame('presences', { complete: true, stages: [on('a', 1), on('b', 2)] }),
          frame('presences', { complete: false, stages: [on('c', 3)] }),
        ],
        [frame('presences', { complete: true, stages: [on('b', 2)] }), 'open'],
      ),
    );
    await until(() => heard.events.length === 6);
    assert.deepEqual(
      heard.events.slice(0, 3).map((e) => e.data),
      [on('a', 1), on('b', 2), on('c', 3)],
    );
    // A stage that is missing in a complete presence is empty.
    assert.deepEqual(
      heard.events.slice(3).map((e) => e.data),
      [on('b', 2), on('a'), on('c')],
    );
    assert.deepEqual(new Set(heard.events.map((e) => e.event)), new Set(['presence']));
    heard.stop();
  });

  it('ends when the login does', async () => {
    assert.equal(await until(() => true), undefined);
    const refused = hear(server(401));
    await until(() => refused.out);
    const told = hear(server(['event: bye\ndata: {"reason":"signed_out"}\n\n', 'open']));
    await until(() => told.out);
    const stopping = hear(server(['event: bye\ndata: {"reason":"stopping"}\n\n']));
    await until(() => stopping.pauses.length > 0);
    assert.equal(stopping.out, false);
    stopping.stop();
  });

  it('reconnects if the connection is silent, as after a laptop has slept', async () => {
    const s = server([': hello\n\n', 'open'], 401);
    const heard = hear(s, { silence: 20 });
    await until(() => heard.out); // the 401 of the second request ends the stream
    assert.deepEqual(heard.connected.slice(0, 2), [true, false]);
    assert.equal(s.asked.length, 2);
  });

  it('closes the connection of a page that was left, and resumes at once when the person returns', async () => {
    const page = new EventTarget();
    const frame = 'id: 9\nevent: stage\ndata: {}\n\n';
    const s = server([frame, 'open'], [frame, 'open']);
    const heard = hear(s, { page });
    page.dispatchEvent(new Event('pageshow')); // as in every page that has loaded
    await until(() => heard.events.length === 1);
    page.dispatchEvent(new Event('pagehide'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const released = s.signals[0].aborted;
    if (!released) heard.stop();
    assert.deepEqual([released, s.asked.length], [true, 1]);
    page.dispatchEvent(new Event('pageshow'));
    await until(() => heard.events.length === 2);
    assert.deepEqual(
      [heard.pauses, heard.connected, s.asked[1]['Last-Event-ID']],
      [[], [true, true], '9'],
    );
    heard.stop();
  });
});

it('a broken connection is reported only if it stays broken', async () => {
  const shown = [];
  const online = patiently((on) => shown.push(on), 30);
  online(false);
  online(true);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.deepEqual(shown, [true]);
  online(false);
  online(false);
  await until(() => shown.length === 2);
  online(false);
  online(true);
  assert.deepEqual(shown, [true, false, true]);
});

it('pauses grow up to half a minute, with a random part', () => {
  assert.equal(growing(1, 0.5), 500);
  assert.equal(growing(20, 0.5), 30_000);
  assert.equal(growing(1, 0), 375);
  assert.equal(growing(1, 1), 625);
});
