package store

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/access"
)

// OpenSeen is Open with a function that is called with the text of every statement.
var OpenSeen = open

// Unfinished lists the participants whose sessions have not ended, by ID.
func (s *Store) Unfinished(ctx context.Context, limit int) ([]access.StoredEvent, error) {
	return list(ctx, s.queries, scanOpen, `SELECT participant, event, user_id, stage, at
		FROM open_participants WHERE participant > '' ORDER BY participant LIMIT $1`, int64(limit))
}
