import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createWays, enrol } from '../lib/signin.js';

const json = (status, body) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });

/** Answers requests in the given order: with a response, or with a network error for null. */
function answer(...answers) {
  const asked = [];
  globalThis.fetch = async (url) => {
    asked.push(new URL(url).pathname.replace(/.*\/api/, 'api'));
    const next = answers.shift();
    if (!next) throw new TypeError('Failed to fetch');
    return next;
  };
  return asked;
}

/** Opens the address of a dock link. @param {string} code */
function open(code) {
  globalThis.location = { href: `https://here.example/dock#enrol=${code}` };
  globalThis.history = { replaceState: (_state, _title, url) => (location.href = String(url)) };
}

describe('a dock link that is opened while the server is away', () => {
  for (const [what, lost] of [
    ['gives no answer', null],
    ['fails', json(503, { code: 'unavailable' })],
  ])
    it(`signs in later, if the server ${what}`, async () => {
      open('code');
      const asked = answer(lost, json(201, { name: 'ana' }));
      await assert.rejects(enrol(), { temporary: true });
      assert.deepEqual(await enrol(), { name: 'ana' });
      assert.equal(asked.length, 2);
      assert.equal(await enrol(), null, 'a code is used once');
    });

  it('is not tried again after a refusal', async () => {
    open('code');
    const asked = answer(json(401, { code: 'bad_code' }));
    await assert.rejects(enrol(), { code: 'bad_code' });
    assert.equal(await enrol(), null);
    assert.equal(asked.length, 1);
  });
});

describe('a code that waits for approval', () => {
  it('is polled on after a network error, until it is approved', async () => {
    const asked = answer(
      json(201, { deviceCode: 'd', interval: 0 }),
      null,
      json(503, { code: 'unavailable' }),
      json(400, { code: 'authorization_pending' }),
      json(201, { name: 'ana' }),
    );
    const me = await new Promise((resolve, reject) => {
      const draw = () => ways.error && reject(new Error(ways.error));
      const ways = createWays({ here: 'dock', draw, arrived: resolve });
      void ways.begin();
    });
    assert.deepEqual(me, { name: 'ana' });
    assert.equal(asked.length, 5);
  });
});
