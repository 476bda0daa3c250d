-- Values that all servers on a database share, such as the ID of the local key.

-- +goose Up
CREATE TABLE facts (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  at    BIGINT NOT NULL
);
