-- Lists are paged by their sort key. Tables that grow are pruned in the order of an index.

-- +goose Up
CREATE INDEX users_operators ON users (id) WHERE role = 'operator';

ALTER TABLE stages ADD COLUMN sort_key TEXT NOT NULL DEFAULT '';
UPDATE stages SET sort_key = COALESCE(name_key, lower(name));
CREATE INDEX stages_sort ON stages (sort_key, arn);

-- When a stage is being removed, no token is issued for it any more, and its records are deleted in
-- batches.
ALTER TABLE stages ADD COLUMN removed_at BIGINT;
CREATE INDEX stages_removed ON stages (removed_at) WHERE removed_at IS NOT NULL;

-- The index that lists a user's tokens also serves to count them for the rate limit.
CREATE INDEX issuances_user ON issuances (user_id, issued_at, id, bucket);
DROP INDEX issuances_rate;
CREATE INDEX issuances_stage ON issuances (stage, issued_at, id);
CREATE INDEX issuances_time ON issuances (issued_at, id);
CREATE INDEX issuances_revoked_time ON issuances (issued_at, id) WHERE revoked_at IS NOT NULL;

CREATE INDEX credentials_kind ON credentials (kind, created_at, id);
CREATE INDEX attempts_at ON attempts (at);
-- Attempts from addresses that no user has signed in from are deleted sooner.
CREATE INDEX attempts_strangers ON attempts (at) WHERE user_id IS NULL;
CREATE INDEX events_stage ON events (stage, id);
CREATE INDEX events_participant ON events (participant, id);

-- The participants with an open session: their last event, apart from refusals, is not an end. A
-- crash leaves such sessions open.
CREATE TABLE open_participants (
  participant TEXT PRIMARY KEY,
  event       BIGINT NOT NULL,
  user_id     TEXT NOT NULL,
  stage       TEXT NOT NULL,
  at          BIGINT NOT NULL
);
CREATE INDEX open_participants_at ON open_participants (at);
INSERT INTO open_participants (participant, event, user_id, stage, at)
SELECT participant, id, user_id, stage, at FROM events
WHERE id IN (SELECT MAX(id) FROM events WHERE kind <> 'refused' GROUP BY participant)
AND kind IN ('connected', 'publishing', 'warning');
