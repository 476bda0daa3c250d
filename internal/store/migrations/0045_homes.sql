-- The replicas on this database that serve local stages, and which of them is the home of a stage.

-- +goose Up
CREATE TABLE peers (
  id       TEXT PRIMARY KEY,          -- of one run of a replica
  url      TEXT NOT NULL,             -- where other replicas reach it; empty: nowhere
  beat     BIGINT NOT NULL,           -- counts on while it lives
  draining BIGINT NOT NULL DEFAULT 0, -- 1: it is about to stop, and takes no new stage
  buried   BIGINT NOT NULL DEFAULT 0  -- 1: its beat stood still; the ends of its sessions are being recorded
);

CREATE TABLE homes (
  stage TEXT PRIMARY KEY,
  peer  TEXT NOT NULL REFERENCES peers (id) ON DELETE CASCADE,
  term  BIGINT NOT NULL -- counts the claims of that replica
);
CREATE INDEX homes_peer ON homes (peer);

-- On which replica the session of a local stage is; empty: on none of these.
ALTER TABLE open_participants ADD COLUMN peer TEXT NOT NULL DEFAULT '';
CREATE INDEX open_participants_peer ON open_participants (peer, participant) WHERE peer <> '';
