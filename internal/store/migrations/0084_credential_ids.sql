-- The ID of the credential by which an act was done or a token was requested; empty for the command
-- line and in older rows.

-- +goose Up
ALTER TABLE audit ADD COLUMN credential_id TEXT NOT NULL DEFAULT '';
ALTER TABLE issuances ADD COLUMN credential_id TEXT NOT NULL DEFAULT '';
