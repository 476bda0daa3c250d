// Runs the OpenID Connect provider of the package oidc-provider, for one test: node provider.mjs
// ISSUER SERVER PEOPLE. It prints its port, to which the test forwards the URL ISSUER. SERVER is
// the public URL of Stagedoor. PEOPLE is a file with {"name": ["group", …]}, read at each request.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [issuer, server, people] = process.argv.slice(2);

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'stagedoor',
      client_secret: 'the secret of the client',
      redirect_uris: [`${server}/api/oidc/callback`],
      post_logout_redirect_uris: [`${server}/`],
    },
  ],
  pkce: { required: () => true },
  scopes: ['openid', 'profile', 'email', 'groups'],
  // By default, oidc-provider puts only the subject into the ID token, and the claims into the user
  // info.
  claims: { profile: ['name'], email: ['email', 'email_verified'], groups: ['groups'] },
  async findAccount(_ctx, id) {
    const groups = JSON.parse(readFileSync(people, 'utf8'))[id];
    if (!groups) return undefined;
    const claims = { sub: id, name: id, email: `${id}@example.com`, email_verified: true, groups };
    return { accountId: id, claims: async () => claims };
  },
});

const http = createServer(provider.callback());
http.listen(0, '127.0.0.1', () => console.log(http.address().port));
