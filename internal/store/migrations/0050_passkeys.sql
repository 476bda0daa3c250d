-- Public keys with which people sign in (WebAuthn).

-- +goose Up
CREATE TABLE passkeys (
  id         TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  key_id     TEXT NOT NULL UNIQUE, -- as the authenticator chose it
  name       TEXT NOT NULL,
  record     TEXT NOT NULL,        -- JSON, with the public key and its counter
  created_at BIGINT NOT NULL,
  used_at    BIGINT
);
CREATE INDEX passkeys_user ON passkeys (user_id, created_at, id);
