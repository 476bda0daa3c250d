-- The audit trail. Entries are only added; they outlive the users and stages that they name.

-- +goose Up
CREATE TABLE audit (
  id          TEXT PRIMARY KEY,
  at          BIGINT NOT NULL,
  action      TEXT NOT NULL,
  actor       TEXT NOT NULL,  -- user ID; empty: the command line, or an unknown name
  actor_name  TEXT NOT NULL,
  credential  TEXT NOT NULL,  -- the kind of credential
  address     TEXT NOT NULL,
  agent       TEXT NOT NULL,
  target      TEXT NOT NULL,
  target_name TEXT NOT NULL,
  stage       TEXT NOT NULL,
  detail      TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at, id);
CREATE INDEX audit_action ON audit (action, at, id);
CREATE INDEX audit_actor ON audit (actor, at, id);
CREATE INDEX audit_target ON audit (target, at, id);
CREATE INDEX audit_stage ON audit (stage, at, id);
