-- +goose Up
-- This index finds the newest logins of a user, which are kept. Older ones are deleted.
CREATE INDEX credentials_logins ON credentials (user_id, created_at, id) WHERE kind = 'login';
