-- The reason why the last attempt to reach a webhook failed. It is empty after the receiver has
-- accepted a message.

-- +goose Up
ALTER TABLE webhooks ADD COLUMN failed_at BIGINT;
ALTER TABLE webhooks ADD COLUMN failure TEXT NOT NULL DEFAULT '';
