-- Work that only one replica does at a time, such as polling AWS stages or housekeeping.

-- +goose Up
CREATE TABLE leases (
  name       TEXT PRIMARY KEY,
  holder     TEXT NOT NULL,
  peer       TEXT NOT NULL,   -- where the other replicas reach the holder; may be empty
  fence      BIGINT NOT NULL, -- grows with every new holder
  expires_at BIGINT NOT NULL  -- by the clock of the database
);
CREATE INDEX leases_holder ON leases (holder, expires_at);
CREATE INDEX leases_expires ON leases (expires_at);
