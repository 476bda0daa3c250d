-- Rates that all replicas share, such as that of an operation of AWS.

-- +goose Up
CREATE TABLE budgets (
  name    TEXT PRIMARY KEY,
  free_at BIGINT NOT NULL -- when the next call would be due, by the clock of the database
);
