-- The person who kicked or barred the participant, for the end of a session.

-- +goose Up
ALTER TABLE events ADD COLUMN by_id TEXT NOT NULL DEFAULT '';   -- empty for the command line
ALTER TABLE events ADD COLUMN by_name TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN by_role TEXT NOT NULL DEFAULT ''; -- empty if nobody did
ALTER TABLE events ADD COLUMN barred BIGINT NOT NULL DEFAULT 0;
