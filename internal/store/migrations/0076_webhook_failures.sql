-- Why the last attempt to reach a webhook failed; empty once its receiver accepts a message.

-- +goose Up
ALTER TABLE webhooks ADD COLUMN failed_at BIGINT;
ALTER TABLE webhooks ADD COLUMN failure TEXT NOT NULL DEFAULT '';
