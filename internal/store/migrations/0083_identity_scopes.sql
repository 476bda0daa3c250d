-- The scopes that this server asked the provider for at a sign-in; empty if an earlier version
-- stored the row.

-- +goose Up
ALTER TABLE identities ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
