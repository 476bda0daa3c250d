-- +goose Up

-- The metrics ask at each scrape how many messages wait for a webhook, and how old the oldest is.
CREATE INDEX deliveries_waiting ON deliveries (created_at) WHERE dead_at IS NULL;
