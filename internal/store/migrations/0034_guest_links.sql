-- How often a guest link may be used, and how often it was used. Credentials of other kinds have 0.

-- +goose Up
ALTER TABLE credentials ADD COLUMN max_uses BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN uses BIGINT NOT NULL DEFAULT 0;
CREATE INDEX credentials_guests ON credentials (stage, created_at, id) WHERE kind = 'guest';
