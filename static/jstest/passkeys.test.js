import assert from 'node:assert/strict';
import { it } from 'node:test';
import { usable } from '../lib/passkeys.js';

const here = (hostname, userAgent = 'Chrome', PublicKeyCredential = class {}) => ({
  location: { hostname },
  navigator: { userAgent },
  PublicKeyCredential,
});

it('passkeys are offered where browsers bind them, and in no dock', () => {
  assert.equal(usable('stage.example', here('stage.example')), true);
  assert.equal(usable('stage.example', here('eu.stage.example')), true);
  assert.equal(usable('localhost', here('127.0.0.1')), false);
  assert.equal(usable('example', here('notexample')), false);
  assert.equal(usable(undefined, here('stage.example')), false, 'the server has none');
  assert.equal(
    usable('stage.example', here('stage.example', 'Chrome OBS/30.2.3')),
    false,
    'a dock',
  );
  assert.equal(
    usable('stage.example', here('stage.example', 'Chrome', null)),
    false,
    'an insecure page',
  );
});
