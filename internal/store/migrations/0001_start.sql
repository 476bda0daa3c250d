-- SQLite and PostgreSQL use the same schema, so its only types are TEXT and BIGINT. Times are in
-- unix milliseconds. A boolean is a time that may be NULL.

-- +goose Up
CREATE TABLE users (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  name_key   TEXT NOT NULL UNIQUE,  -- the name for comparison
  role       TEXT NOT NULL,
  password   TEXT NOT NULL,         -- argon2id; empty: invited, no password yet
  revision   BIGINT NOT NULL,       -- increases when the user's permissions change
  created_at BIGINT NOT NULL,
  seen_at    BIGINT
);

CREATE TABLE stages (
  arn                   TEXT PRIMARY KEY,
  name                  TEXT NOT NULL,
  name_key              TEXT UNIQUE,     -- of local stages only
  whip_endpoint         TEXT NOT NULL,
  events_endpoint       TEXT NOT NULL,
  endpoints_at          BIGINT,
  max_height            BIGINT NOT NULL,
  advised_bitrate       BIGINT NOT NULL,
  max_bitrate           BIGINT NOT NULL,
  max_keyframe_interval BIGINT NOT NULL, -- milliseconds
  created_at            BIGINT NOT NULL
);

CREATE TABLE grants (
  user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  stage        TEXT NOT NULL REFERENCES stages (arn) ON DELETE CASCADE,
  capabilities BIGINT NOT NULL,
  max_ttl      BIGINT NOT NULL,          -- milliseconds
  PRIMARY KEY (user_id, stage)
);
CREATE INDEX grants_stage ON grants (stage);

-- Setup codes, invitations, logins, access keys and viewing keys: secrets that were given to someone.
CREATE TABLE credentials (
  id         TEXT PRIMARY KEY,
  kind       TEXT NOT NULL,
  hash       TEXT NOT NULL UNIQUE,       -- SHA-256 of the secret
  user_id    TEXT REFERENCES users (id) ON DELETE CASCADE,
  label      TEXT NOT NULL,
  stage      TEXT REFERENCES stages (arn) ON DELETE CASCADE,
  view_name  TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  used_at    BIGINT,
  address    TEXT NOT NULL,
  agent      TEXT NOT NULL
);
CREATE INDEX credentials_user ON credentials (user_id, kind);
CREATE INDEX credentials_stage ON credentials (stage);
CREATE INDEX credentials_expires ON credentials (expires_at);

-- Records of issued tokens, without the tokens. A record outlives its user and its stage, so it has
-- no foreign keys.
CREATE TABLE issuances (
  id           TEXT PRIMARY KEY,
  user_id      TEXT NOT NULL,
  user_name    TEXT NOT NULL,
  stage        TEXT NOT NULL,
  capabilities BIGINT NOT NULL,
  issued_by    TEXT NOT NULL,
  bucket       TEXT NOT NULL,            -- the rate limit for which it counts
  issued_at    BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL,
  revoked_at   BIGINT,
  address      TEXT NOT NULL
);
-- Each index costs time for every token. So there is none for queries that only operators make,
-- which may read the whole table.
CREATE INDEX issuances_rate ON issuances (user_id, bucket, issued_at);

CREATE TABLE attempts (
  bucket   TEXT PRIMARY KEY,
  -- The user, if the row is for an address from which the user has signed in.
  user_id  TEXT REFERENCES users (id) ON DELETE CASCADE,
  failures BIGINT NOT NULL,
  at       BIGINT NOT NULL
);
CREATE INDEX attempts_user ON attempts (user_id, at);

CREATE TABLE events (
  id          BIGINT PRIMARY KEY,
  user_id     TEXT NOT NULL,
  at          BIGINT NOT NULL,
  kind        TEXT NOT NULL,
  stage       TEXT NOT NULL,
  participant TEXT NOT NULL,
  code        TEXT NOT NULL,
  detail      TEXT NOT NULL
);
CREATE INDEX events_user ON events (user_id, id);
CREATE INDEX events_at ON events (at);

-- The last number of each sequence. With a sequence of PostgreSQL, a reader could see 7 before 6.
-- The lock of the row prevents that.
CREATE TABLE counters (
  name  TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);
