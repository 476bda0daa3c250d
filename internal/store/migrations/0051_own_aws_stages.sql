-- Users' own stages on AWS. A rule names the region. Stages that must be created wait in a table,
-- since a transaction does not wait for AWS.

-- +goose Up
ALTER TABLE rules ADD COLUMN region TEXT NOT NULL DEFAULT '';

CREATE TABLE own_wanted (
  rule_id TEXT NOT NULL REFERENCES rules (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  due_at  BIGINT NOT NULL,
  -- Attempts so far. After the first one, the stage may exist already.
  tries   BIGINT NOT NULL,
  PRIMARY KEY (rule_id, user_id)
);
CREATE INDEX own_wanted_due ON own_wanted (due_at, rule_id, user_id);
CREATE INDEX own_wanted_user ON own_wanted (user_id);
