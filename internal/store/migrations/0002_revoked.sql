-- The server asks every few seconds which revoked tokens AWS may still take. Only revoked rows are in the index: a token that
-- is issued pays nothing for it.

-- +goose Up
CREATE INDEX issuances_revoked ON issuances (expires_at) WHERE revoked_at IS NOT NULL;
