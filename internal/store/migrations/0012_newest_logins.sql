-- +goose Up
-- Finds the newest logins of a user, which are kept; older ones are deleted.
CREATE INDEX credentials_logins ON credentials (user_id, created_at, id) WHERE kind = 'login';
