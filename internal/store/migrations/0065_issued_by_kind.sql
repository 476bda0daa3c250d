-- +goose Up

-- The kind of the credential that asked for a token, for the audit trail. A server of the version before leaves it empty.
ALTER TABLE issuances ADD COLUMN kind TEXT NOT NULL DEFAULT '';
