import assert from 'node:assert/strict';
import { test } from 'node:test';

/** Opens a link and returns its code, and the rest of the address. */
async function open(address) {
  let left = '';
  let reloaded = false;
  const listeners = {};
  globalThis.location = {
    href: address,
    reload: () => {
      reloaded = true;
    },
  };
  globalThis.history = {
    replaceState: (_state, _title, url) => {
      left = String(url);
    },
  };
  globalThis.addEventListener = (name, f) => {
    listeners[name] = f;
  };
  const { takeCode } = await import('../lib/page.js');
  return { code: takeCode(), left, listeners, reloaded: () => reloaded };
}

test('a code is taken from the fragment, and from the query of older links', async () => {
  for (const [link, code, left] of [
    ['https://stage.example/setup#code=a-B_9', 'a-B_9', 'https://stage.example/setup'],
    ['https://stage.example/setup?code=a-B_9', 'a-B_9', 'https://stage.example/setup'],
    ['https://stage.example/invite?lang=de&code=x', 'x', 'https://stage.example/invite?lang=de'],
    ['https://stage.example/invite?code=old#code=new', 'new', 'https://stage.example/invite'],
    ['https://stage.example/invite', '', ''],
    ['https://stage.example/invite#top', '', ''],
  ]) {
    const got = await open(link);
    assert.equal(got.code, code, link);
    assert.equal(got.left, left, link);
  }
});

test('another link in the same tab is read', async () => {
  const got = await open('https://stage.example/setup#code=a');
  got.listeners.hashchange();
  assert.ok(got.reloaded());
});
