import assert from 'node:assert/strict';
import { test } from 'node:test';

test('hovering makes an accent darker, so that white text stays as readable', async () => {
  const { accents } = await import('../lib/brand.js');
  assert.deepEqual(accents('#8f0f25'), { '--primary': '#8f0f25', '--primary-hover': '#720c1e' });
  assert.deepEqual(accents('#0a0a0a'), { '--primary': '#0a0a0a', '--primary-hover': '#080808' });
  for (const none of [undefined, '', 'red', '#fff', '#12345g'])
    assert.ok(!JSON.stringify(accents(none)).includes('undefined'), String(none));
  assert.deepEqual(accents(undefined), {});
  assert.deepEqual(accents('red'), {});
});
