-- A participant's refusals are counted at every one of them.

-- +goose Up
CREATE INDEX events_refused ON events (participant, id) WHERE kind = 'refused';
