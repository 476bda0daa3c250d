-- The server asks every few seconds which revoked tokens AWS may still accept. Only revoked tokens
-- are in the index, so that it costs nothing when a token is issued.

-- +goose Up
CREATE INDEX issuances_revoked ON issuances (expires_at) WHERE revoked_at IS NOT NULL;
