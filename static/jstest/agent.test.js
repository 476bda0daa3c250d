import assert from 'node:assert/strict';
import { it } from 'node:test';
import { agentName } from '../lib/agent.js';

it('names browsers as people do', () => {
  const windows =
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)';
  for (const [agent, want] of [
    [`${windows} Chrome/103.0.5060.134 Safari/537.36 OBS/30.2.3`, 'OBS 30.2.3, Windows'],
    [`${windows} Chrome/131.0.0.0 Safari/537.36`, 'Chrome 131, Windows'],
    [`${windows} Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0`, 'Edge 131, Windows'],
    [
      'Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0',
      'Firefox 133, Linux',
    ],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15',
      'Safari 18, macOS',
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1',
      'Safari 18, iOS',
    ],
    [
      'Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36',
      'Chrome 131, Android',
    ],
    ['Go-http-client/1.1', 'Go-http-client/1.1'],
    ['', '–'],
  ])
    assert.equal(agentName(agent), want);
});
