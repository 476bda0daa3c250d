package store

import (
	"context"
	"fmt"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// Prune implements access.Store. Each kind of row has its own short transaction, since other
// writers wait meanwhile. A power failure may revert the deletions.
func (q queries) Prune(
	ctx context.Context, before access.Retention, limit int,
) (more bool, err error) {
	for _, old := range []struct {
		table, key, where, time string
		before                  time.Time
	}{
		{"credentials", "id", "", "expires_at", before.Now},
		{"events", "id", "", "at", before.Events},
		{"issuances", "id", "", "issued_at", before.Issuances},
		{"attempts", "bucket", "user_id IS NULL AND ", "at", before.Attempts},
		{"attempts", "bucket", "", "at", before.Known},
		{"open_participants", "participant", "", "at", before.Open},
		{"audit", "id", "", "at", before.Audit},
		{"deliveries", "id", "", "dead_at", before.Dead},
		{"chat_messages", "id", "", "at", before.Chat},
	} {
		// The limit is part of the text. If it were a parameter, PostgreSQL would plan for a tenth
		// of the table.
		text := fmt.Sprintf(
			"DELETE FROM %[1]s WHERE %[2]s IN (SELECT %[2]s FROM %[1]s WHERE %[3]s%[4]s < $1 "+
				"ORDER BY %[4]s LIMIT %[5]d)",
			old.table, old.key, old.where, old.time, limit)
		n := 0
		err := q.run.together(ctx, func(q queries) error {
			n, err = q.exec(ctx, text, ms(old.before))
			return err
		})
		if err != nil {
			return false, failure(err)
		}
		more = more || n == limit
	}
	n, err := q.forgetLeases(ctx, limit)
	return more || n == limit, failure(err)
}
