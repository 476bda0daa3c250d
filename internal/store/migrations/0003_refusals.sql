-- For this index: when a refusal is stored, the earlier refusals of its participant are counted.

-- +goose Up
CREATE INDEX events_refused ON events (participant, id) WHERE kind = 'refused';
