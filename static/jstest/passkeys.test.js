import assert from 'node:assert/strict';
import { it } from 'node:test';
import { passkeysUsable } from '../lib/signin-views.js';

const here = (hostname, userAgent = 'Chrome', PublicKeyCredential = class {}) => ({
  location: { hostname },
  navigator: { userAgent },
  PublicKeyCredential,
});

it('passkeys are offered where browsers bind them, and in no dock', () => {
  assert.equal(passkeysUsable('stage.example', here('stage.example')), true);
  assert.equal(passkeysUsable('stage.example', here('eu.stage.example')), true);
  assert.equal(passkeysUsable('localhost', here('127.0.0.1')), false);
  assert.equal(passkeysUsable('example', here('notexample')), false);
  assert.equal(passkeysUsable(undefined, here('stage.example')), false, 'the server has none');
  assert.equal(
    passkeysUsable('stage.example', here('stage.example', 'Chrome OBS/30.2.3')),
    false,
    'a dock',
  );
  assert.equal(
    passkeysUsable('stage.example', here('stage.example', 'Chrome', null)),
    false,
    'an insecure page',
  );
});
