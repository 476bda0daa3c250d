-- The state that the replicas of a server share, and the chat, which outlives a restart.

-- +goose Up

-- Notices for the event streams of every replica, in one order without gaps (counters, 'notice').
CREATE TABLE notices (
  id     BIGINT PRIMARY KEY,
  at     BIGINT NOT NULL,
  notice TEXT NOT NULL        -- JSON
);
CREATE INDEX notices_at ON notices (at);

-- The participants on the stages of each replica, as it last reported them.
CREATE TABLE posts (
  replica TEXT PRIMARY KEY,
  at      BIGINT NOT NULL,    -- by the clock of the database
  present TEXT NOT NULL       -- JSON
);
CREATE INDEX posts_at ON posts (at);

CREATE TABLE docks (
  user_id TEXT NOT NULL,
  id      TEXT NOT NULL,
  seen_at BIGINT NOT NULL,
  dock    TEXT NOT NULL,      -- JSON
  PRIMARY KEY (user_id, id)
);
CREATE INDEX docks_seen ON docks (seen_at);

CREATE TABLE chat_rooms (
  stage     TEXT PRIMARY KEY,
  messages  BIGINT NOT NULL,  -- number of all messages so far
  last_post BIGINT NOT NULL
);
CREATE TABLE chat_messages (
  id      TEXT PRIMARY KEY,
  stage   TEXT NOT NULL,
  n       BIGINT NOT NULL,    -- the order within the stage
  at      BIGINT NOT NULL,
  user_id TEXT NOT NULL,
  name    TEXT NOT NULL,
  text    TEXT NOT NULL
);
CREATE UNIQUE INDEX chat_messages_stage ON chat_messages (stage, n);
CREATE INDEX chat_messages_at ON chat_messages (at);
CREATE TABLE chat_mutes (
  stage   TEXT NOT NULL,
  user_id TEXT NOT NULL,
  name    TEXT NOT NULL,
  PRIMARY KEY (stage, user_id)
);
