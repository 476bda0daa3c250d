-- Who barred a user, and indexes for the list of bars.

-- +goose Up
ALTER TABLE grants ADD COLUMN barred_by TEXT NOT NULL DEFAULT '';
UPDATE grants SET barred_by = COALESCE((
    SELECT a.actor_name FROM audit a
    WHERE a.target = grants.user_id AND a.action = 'participant.barred' AND a.stage = grants.stage
    ORDER BY a.at DESC, a.id DESC LIMIT 1), '')
  WHERE barred_at IS NOT NULL;
CREATE INDEX grants_barred ON grants (barred_at, user_id, stage) WHERE barred_at IS NOT NULL;
CREATE INDEX grants_barred_stage ON grants (stage, barred_at, user_id) WHERE barred_at IS NOT NULL;
