-- An entry about a token, or about another thing of a user, also names that user. The function
-- indexTargetUsers fills in the users of earlier kicks and revocations, and makes the index.

-- +goose Up
ALTER TABLE audit ADD COLUMN target_user TEXT NOT NULL DEFAULT '';
