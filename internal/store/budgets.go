package store

import (
	"context"
	"time"
)

// Take reserves a call within a rate that all replicas share, and returns the wait until the call
// is due. If the wait would be longer than `most`, Take returns false and reserves nothing.
func (q queries) Take(
	ctx context.Context, name string, every, most time.Duration,
) (wait time.Duration, ok bool, err error) {
	now := q.run.clock()
	scan := func(r row) (d time.Duration, err error) {
		err = r.Scan(span{&d})
		return d, err
	}
	due, err := change(ctx, q, scan, `
		INSERT INTO budgets (name, free_at) VALUES ($1, `+now+` + CAST($2 AS BIGINT))
		ON CONFLICT (name) DO UPDATE SET free_at = CAST($2 AS BIGINT) +
			CASE WHEN budgets.free_at > `+now+` THEN budgets.free_at ELSE `+now+` END
		WHERE budgets.free_at <= `+now+` + CAST($3 AS BIGINT)
		RETURNING free_at - CAST($2 AS BIGINT) - `+now,
		name, every.Milliseconds(), most.Milliseconds())
	if err != nil || len(due) == 0 {
		return 0, false, err
	}
	return max(0, due[0]), true, nil
}

// Pause stops all calls of a rate for a while.
func (q queries) Pause(ctx context.Context, name string, d time.Duration) error {
	now := q.run.clock()
	return q.do(ctx, `INSERT INTO budgets (name, free_at) VALUES ($1, `+now+` + CAST($2 AS BIGINT))
		ON CONFLICT (name) DO UPDATE SET free_at = excluded.free_at
		WHERE budgets.free_at < excluded.free_at`, name, d.Milliseconds())
}
