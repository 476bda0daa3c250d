-- The replicas on this database that serve local stages, and which replica is the home of each
-- stage.

-- +goose Up
CREATE TABLE peers (
  id       TEXT PRIMARY KEY,          -- of one run of a replica
  url      TEXT NOT NULL,             -- where other replicas reach it; empty: they cannot
  beat     BIGINT NOT NULL,           -- increases while the replica is alive
  draining BIGINT NOT NULL DEFAULT 0, -- 1: it is about to stop, and becomes no new home
  -- 1: the replica is marked as dead, since its beat did not change. The ends of its sessions are
  -- being recorded.
  buried   BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE homes (
  stage TEXT PRIMARY KEY,
  peer  TEXT NOT NULL REFERENCES peers (id) ON DELETE CASCADE,
  term  BIGINT NOT NULL -- increases with each claim of that replica
);
CREATE INDEX homes_peer ON homes (peer);

-- The replica that has a session on a local stage. Empty: none of these replicas.
ALTER TABLE open_participants ADD COLUMN peer TEXT NOT NULL DEFAULT '';
CREATE INDEX open_participants_peer ON open_participants (peer, participant) WHERE peer <> '';
