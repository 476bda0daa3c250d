-- A rule can give access to all stages that another rule creates. Such access is one row for any
-- number of stages.

-- +goose Up
ALTER TABLE rules ADD COLUMN own_of TEXT REFERENCES rules (id);

CREATE TABLE rule_grants (
  user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  -- The rule that creates the stages.
  rule_id      TEXT NOT NULL REFERENCES rules (id) ON DELETE CASCADE,
  capabilities BIGINT NOT NULL,
  max_ttl      BIGINT NOT NULL,          -- milliseconds
  PRIMARY KEY (user_id, rule_id)
);
CREATE INDEX rule_grants_rule ON rule_grants (rule_id);
