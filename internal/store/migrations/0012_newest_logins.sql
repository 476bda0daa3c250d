-- +goose Up
-- The newest logins of a user, which are kept.
CREATE INDEX credentials_logins ON credentials (user_id, created_at, id) WHERE kind = 'login';
