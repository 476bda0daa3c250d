-- A view token depends on the login or the viewing key that requested it: if that login or key
-- ends, the token ends, too.

-- +goose Up
ALTER TABLE issuances ADD COLUMN credential TEXT NOT NULL DEFAULT '';
UPDATE issuances SET credential = bucket WHERE bucket <> user_id;
