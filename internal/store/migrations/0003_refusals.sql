-- Each refusal that is stored counts the earlier refusals of its participant.

-- +goose Up
CREATE INDEX events_refused ON events (participant, id) WHERE kind = 'refused';
