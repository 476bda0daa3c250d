-- When a refusal is stored, the store finds the earlier refusals of the participant by this index.

-- +goose Up
CREATE INDEX events_refused ON events (participant, id) WHERE kind = 'refused';
