package store

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// Prune implements access.Store. Each kind is a short transaction of its own, which other writers
// wait for and which a power cut may undo.
func (q queries) Prune(ctx context.Context, before access.Retention, limit int) (more bool, err error) {
	for _, old := range []struct {
		text string
		time time.Time
	}{
		{`DELETE FROM credentials WHERE id IN
			(SELECT id FROM credentials WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`, before.Now},
		{`DELETE FROM events WHERE id IN
			(SELECT id FROM events WHERE at < $1 ORDER BY at LIMIT $2)`, before.Events},
		{`DELETE FROM issuances WHERE id IN
			(SELECT id FROM issuances WHERE issued_at < $1 ORDER BY issued_at LIMIT $2)`, before.Issuances},
		{`DELETE FROM attempts WHERE bucket IN
			(SELECT bucket FROM attempts WHERE at < $1 AND user_id IS NULL ORDER BY at LIMIT $2)`, before.Attempts},
		{`DELETE FROM attempts WHERE bucket IN
			(SELECT bucket FROM attempts WHERE at < $1 ORDER BY at LIMIT $2)`, before.Known},
		{`DELETE FROM open_participants WHERE participant IN
			(SELECT participant FROM open_participants WHERE at < $1 ORDER BY at LIMIT $2)`, before.Open},
		{`DELETE FROM audit WHERE id IN
			(SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)`, before.Audit},
		{`DELETE FROM deliveries WHERE id IN
			(SELECT id FROM deliveries WHERE dead_at < $1 ORDER BY dead_at LIMIT $2)`, before.Dead},
	} {
		n := 0
		err := q.run.together(ctx, func(q queries) error {
			n, err = q.exec(ctx, old.text, ms(old.time), int64(limit))
			return err
		})
		if err != nil {
			return false, failure(err)
		}
		more = more || n == limit
	}
	return more, nil
}
