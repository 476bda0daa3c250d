-- A user who was kicked and barred gets no token for that stage, although the grant stays.

-- +goose Up
ALTER TABLE grants ADD COLUMN barred_at BIGINT;
ALTER TABLE grants ADD COLUMN barred_reason TEXT NOT NULL DEFAULT '';
-- The refusals of all stages, for the page that shows the newest.
CREATE INDEX events_refusals ON events (id) WHERE kind = 'refused';
CREATE INDEX events_refusals_stage ON events (stage, id) WHERE kind = 'refused';
