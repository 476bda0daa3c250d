CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
CREATE TABLE users (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  name_key   TEXT NOT NULL UNIQUE,  -- the name for comparison
  role       TEXT NOT NULL,
  password   TEXT NOT NULL,         -- argon2id; empty: invited, none chosen yet
  revision   BIGINT NOT NULL,       -- moves on when what the user may do changes
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
CREATE TABLE issuances (
  id           TEXT PRIMARY KEY,
  user_id      TEXT NOT NULL,
  user_name    TEXT NOT NULL,
  stage        TEXT NOT NULL,
  capabilities BIGINT NOT NULL,
  issued_by    TEXT NOT NULL,
  bucket       TEXT NOT NULL,            -- whose rate it counts on
  issued_at    BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL,
  revoked_at   BIGINT,
  address      TEXT NOT NULL
);
CREATE TABLE attempts (
  bucket   TEXT PRIMARY KEY,
  user_id  TEXT REFERENCES users (id) ON DELETE CASCADE, -- of an address that is known to be a user's
  failures BIGINT NOT NULL,
  at       BIGINT NOT NULL
);
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
CREATE TABLE counters (
  name  TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);
CREATE INDEX grants_stage ON grants (stage);
CREATE INDEX credentials_user ON credentials (user_id, kind);
CREATE INDEX credentials_stage ON credentials (stage);
CREATE INDEX credentials_expires ON credentials (expires_at);
CREATE INDEX issuances_rate ON issuances (user_id, bucket, issued_at);
CREATE INDEX attempts_user ON attempts (user_id, at);
CREATE INDEX events_user ON events (user_id, id);
CREATE INDEX events_at ON events (at);
CREATE INDEX issuances_revoked ON issuances (expires_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX events_refused ON events (participant, id) WHERE kind = 'refused';
INSERT INTO goose_db_version VALUES (1, 0, 1, '2026-11-28 18:51:09 +0000 UTC');
INSERT INTO goose_db_version VALUES (2, 1, 1, '2026-11-28 18:51:10 +0000 UTC');
INSERT INTO goose_db_version VALUES (3, 2, 1, '2026-11-28 18:51:10 +0000 UTC');
INSERT INTO goose_db_version VALUES (4, 3, 1, '2026-11-28 18:51:10 +0000 UTC');
INSERT INTO users VALUES ('olga', 'Olga', 'olga', 'operator', 'hash', 1, 1790000000000, 1790000100000);
INSERT INTO users VALUES ('ana', 'Ána', 'ána', 'broadcaster', 'hash', 3, 1790000000001, NULL);
INSERT INTO stages VALUES ('arn:aws:ivs:local:000000000000:stage/mainmainmain', 'Main', 'main', '', '', NULL, 720, 2500000, 8500000, 2000, 1790000000000);
INSERT INTO stages VALUES ('arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh', 'Talk', NULL, 'https://global.whip.live-video.net', 'wss://global.events.live-video.net', 1790000000000, 720, 2500000, 8500000, 2000, 1790000000001);
INSERT INTO grants VALUES ('ana', 'arn:aws:ivs:local:000000000000:stage/mainmainmain', 3, 43200000);
INSERT INTO credentials VALUES ('login1', 'login', 'hash1', 'olga', '', NULL, '', 1790000000000, 4100000000000, 1790000100000, '192.0.2.1', 'OBS');
INSERT INTO credentials VALUES ('view1', 'view', 'hash2', 'ana', '', 'arn:aws:ivs:local:000000000000:stage/mainmainmain', 'grid', 1790000000000, NULL, NULL, '', '');
INSERT INTO issuances VALUES ('token1', 'ana', 'Ána', 'arn:aws:ivs:local:000000000000:stage/mainmainmain', 3, 'local key', 'ana', 1790000000000, 4100000000000, NULL, '192.0.2.1');
INSERT INTO issuances VALUES ('token2', 'ana', 'Ána', 'arn:aws:ivs:local:000000000000:stage/mainmainmain', 2, 'local key', 'view1', 1790000000001, 4100000000000, NULL, '');
INSERT INTO issuances VALUES ('token3', 'ana', 'Ána', 'arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh', 3, 'AWS API', 'ana', 1790000000002, 4100000000000, 1790000000500, '');
INSERT INTO attempts VALUES ('home olga 192.0.2.1', 'olga', 0, 1790000000000);
INSERT INTO attempts VALUES ('address 17', NULL, 3, 1790000000000);
INSERT INTO events VALUES (1, 'ana', 1790000000100, 'connected', 'arn:aws:ivs:local:000000000000:stage/mainmainmain', 'token1', '', '');
INSERT INTO events VALUES (2, 'ana', 1790000000200, 'publishing', 'arn:aws:ivs:local:000000000000:stage/mainmainmain', 'token1', '', '');
INSERT INTO events VALUES (3, 'ana', 1790000000300, 'refused', 'arn:aws:ivs:local:000000000000:stage/mainmainmain', 'token1', 'takeover', 'The token is in use.');
INSERT INTO events VALUES (4, 'ana', 1790000000400, 'connected', 'arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh', 'token3', '', '');
INSERT INTO events VALUES (5, 'ana', 1790000000500, 'ended', 'arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh', 'token3', 'kicked', 'Time is up.');
INSERT INTO counters VALUES ('event', 5);
