-- Stages of one's own on AWS: a rule names the region, and what is to be made waits here, since a
-- transaction does not wait for AWS.

-- +goose Up
ALTER TABLE rules ADD COLUMN region TEXT NOT NULL DEFAULT '';

CREATE TABLE own_wanted (
  rule_id TEXT NOT NULL REFERENCES rules (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  due_at  BIGINT NOT NULL,
  tries   BIGINT NOT NULL,           -- begun so far: after the first a stage may be there already
  PRIMARY KEY (rule_id, user_id)
);
CREATE INDEX own_wanted_due ON own_wanted (due_at, rule_id, user_id);
CREATE INDEX own_wanted_user ON own_wanted (user_id);
