-- Accounts of other services, rules about their claims, suspended accounts, keys with scopes, and
-- docks that wait to be signed in with a code.

-- +goose Up
ALTER TABLE users ADD COLUMN suspended_at BIGINT;
ALTER TABLE users ADD COLUMN linked_at BIGINT;
ALTER TABLE credentials ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN by_rule BIGINT NOT NULL DEFAULT 0;

-- For a waiting dock, label is the user code, and view_name is the network of its address.
CREATE UNIQUE INDEX credentials_device ON credentials (label) WHERE kind = 'device';
CREATE INDEX credentials_devices_open ON credentials (expires_at, view_name) WHERE kind = 'device' AND user_id IS NULL;

CREATE TABLE identities (
  issuer  TEXT NOT NULL,
  subject TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  email   TEXT NOT NULL,
  claims  TEXT NOT NULL,             -- JSON, of the last sign-in
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_user ON identities (user_id, issuer, subject);

CREATE TABLE rules (
  id           TEXT PRIMARY KEY,
  claim        TEXT NOT NULL,        -- empty: every user
  value        TEXT NOT NULL,
  stage        TEXT REFERENCES stages (arn) ON DELETE CASCADE,
  own          TEXT NOT NULL,        -- name of each user's own stage; empty: the stage above
  capabilities BIGINT NOT NULL,
  max_ttl      BIGINT NOT NULL,      -- milliseconds
  created_at   BIGINT NOT NULL
);
CREATE INDEX rules_stage ON rules (stage);

-- The stages that a rule created, each for one user.
CREATE TABLE own_stages (
  rule_id TEXT NOT NULL REFERENCES rules (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  stage   TEXT NOT NULL REFERENCES stages (arn) ON DELETE CASCADE,
  PRIMARY KEY (rule_id, user_id)
);
CREATE INDEX own_stages_user ON own_stages (user_id);
CREATE INDEX own_stages_stage ON own_stages (stage);
