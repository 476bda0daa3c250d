-- The scopes that this server asked the provider for at a sign-in; empty if a version before stored it.

-- +goose Up
ALTER TABLE identities ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
