import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { iceServers, inStereo } from '../lib/whep.js';

const offer = (fmtp) =>
  `v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=rtpmap:111 opus/48000/2\r\n${fmtp}a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n`;

describe('an offer', () => {
  it('asks for stereo, as browsers do not by themselves', () => {
    assert.equal(
      inStereo(offer('a=fmtp:111 minptime=10;useinbandfec=1\r\n')),
      offer('a=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n'),
    );
  });
  it('asks for stereo only once', () => {
    const asks = offer('a=fmtp:111 minptime=10;stereo=1\r\n');
    assert.equal(inStereo(asks), asks);
    assert.equal(inStereo(offer('a=fmtp:111 stereo=0;minptime=10\r\n')), asks);
  });
  it('asks for stereo even if Opus has no parameters', () => {
    assert.equal(inStereo(offer('')), offer('a=fmtp:111 stereo=1\r\n'));
  });
  it('is not changed without Opus', () => {
    assert.equal(inStereo('v=0\r\nm=video 9 x 96\r\n'), 'v=0\r\nm=video 9 x 96\r\n');
  });
});

describe('ICE servers of an answer', () => {
  it('are read from Link headers, joined as fetch joins them', () => {
    assert.deepEqual(
      iceServers(
        '</whip/s/x>; rel="urn:ietf:params:whip:ivs-stages:session-delete", <stun:stun.example.net>; rel="ice-server", ' +
          '<turn:turn.example.net:3478?transport=udp>; rel="ice-server"; username="1790000000:ana"; credential="a\\"b, <c>; d"; credential-type="password"',
      ),
      [
        { urls: 'stun:stun.example.net' },
        {
          urls: 'turn:turn.example.net:3478?transport=udp',
          username: '1790000000:ana',
          credential: 'a"b, <c>; d',
        },
      ],
    );
  });
  it('other links and a missing header give none', () => {
    assert.deepEqual(iceServers(''), []);
    assert.deepEqual(
      iceServers('<https://example.net>; rel="ice-server", <turn:turn.example.net>; rel="next"'),
      [],
    );
  });
});
