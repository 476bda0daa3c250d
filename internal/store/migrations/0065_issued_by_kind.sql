-- +goose Up

-- The kind of credential that requested a token, for the audit trail. A server of the previous
-- version leaves it empty.
ALTER TABLE issuances ADD COLUMN kind TEXT NOT NULL DEFAULT '';
