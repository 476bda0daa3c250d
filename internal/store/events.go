package store

import (
	"context"
	"fmt"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func scanNumber(r row) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

// AddEvent implements access.Store.
func (q queries) AddEvent(ctx context.Context, e access.StoredEvent) (access.StoredEvent, error) {
	err := q.run.together(ctx, func(q queries) error {
		var err error
		// The row stays locked until the commit: who reads event 7 has been able to read 6.
		e.ID, err = first(ctx, q, scanNumber, `
			INSERT INTO counters (name, value) VALUES ('event', 1)
			ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value`)
		if err != nil {
			return err
		}
		return q.do(ctx, "INSERT INTO events (id, user_id, at, kind, stage, participant, code, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
			e.ID, string(e.User), ms(e.Time), string(e.Kind), string(e.Stage), string(e.Participant), e.Code, e.Detail)
	})
	return e, failure(err)
}

// TrimRefusals implements access.Store.
func (q queries) TrimRefusals(ctx context.Context, id stage.ParticipantID, keep int) error {
	return q.do(ctx, `
		DELETE FROM events WHERE kind = 'refused' AND participant = $1 AND id <=
			(SELECT id FROM events WHERE kind = 'refused' AND participant = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`, string(id), keep)
}

func scanEvent(r row) (access.StoredEvent, error) {
	var e access.StoredEvent
	err := r.Scan(&e.ID, &e.User, at(&e.Time), &e.Kind, &e.Stage, &e.Participant, &e.Code, &e.Detail)
	e.UserID = string(e.User)
	return e, err
}

// Events implements access.Store.
func (q queries) Events(ctx context.Context, user access.UserID, after int64, since time.Time, limit int) ([]access.StoredEvent, error) {
	text := fmt.Sprintf(`SELECT id, user_id, at, kind, stage, participant, code, detail FROM events
		WHERE user_id = $1 AND id > $2 AND at >= $3 ORDER BY id LIMIT %d`, limit)
	return list(ctx, q, scanEvent, text, string(user), after, since.UnixMilli())
}

// Unfinished implements access.Store.
func (q queries) Unfinished(ctx context.Context, since time.Time) ([]access.StoredEvent, error) {
	return list(ctx, q, scanEvent, `SELECT id, user_id, at, kind, stage, participant, code, detail FROM events AS last
		WHERE at >= $1 AND kind IN ('connected', 'publishing', 'warning')
		AND NOT EXISTS (SELECT 1 FROM events AS later WHERE later.user_id = last.user_id AND later.participant = last.participant
			AND later.id > last.id AND later.kind <> 'refused')
		ORDER BY id`, since.UnixMilli())
}
