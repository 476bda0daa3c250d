-- HTTP endpoints that receive messages about events, and the messages that they have not accepted
-- yet.

-- +goose Up
CREATE TABLE webhooks (
  id          TEXT PRIMARY KEY,
  url         TEXT NOT NULL,
  types       TEXT NOT NULL,     -- message types, separated by spaces
  secret      TEXT NOT NULL,     -- signs messages, so it is stored as it is
  created_at  BIGINT NOT NULL,
  created_by  TEXT NOT NULL,     -- the operator's name at that time
  disabled_at BIGINT
);

CREATE TABLE deliveries (
  id         TEXT PRIMARY KEY,
  webhook    TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
  type       TEXT NOT NULL,
  body       TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  next_at    BIGINT NOT NULL,    -- when the next attempt is due
  attempts   BIGINT NOT NULL,
  status     BIGINT NOT NULL,    -- HTTP status of the last attempt; 0: no answer
  reason     TEXT NOT NULL,
  dead_at    BIGINT              -- no more attempts follow
);
CREATE INDEX deliveries_due ON deliveries (webhook, next_at, id) WHERE dead_at IS NULL;
CREATE INDEX deliveries_dead_at ON deliveries (dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (webhook, dead_at) WHERE dead_at IS NOT NULL;
