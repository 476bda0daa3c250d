-- A view token depends on the login or the viewing key that requested it, and ends with it.

-- +goose Up
ALTER TABLE issuances ADD COLUMN credential TEXT NOT NULL DEFAULT '';
UPDATE issuances SET credential = bucket WHERE bucket <> user_id;
