-- Entries about a token or another thing of a user also have that user. An index, and the users of
-- earlier kicks and revocations: see indexTargetUsers.

-- +goose Up
ALTER TABLE audit ADD COLUMN target_user TEXT NOT NULL DEFAULT '';
