package store

import (
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/lease"
	"github.com/stagedoor/stagedoor/internal/stage"
)

var _ lease.Store = (*Store)(nil)

// leaseMemory is how long the last lease of a name is kept after it expired, so that other replicas
// can still read its holder.
const leaseMemory = 24 * time.Hour

// Clocks of the databases in unix milliseconds, at the beginning of the statement. So a lease does
// not become longer if the statement waits for a lock.
const (
	sqliteClock   = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
	postgresClock = "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS BIGINT)"
)

func clockOf(postgres bool) string {
	if postgres {
		return postgresClock
	}
	return sqliteClock
}

func (d *database) clock() string { return clockOf(d.postgres) }
func (i *inside) clock() string   { return i.db.clock() }

const leaseColumns = "name, holder, peer, fence, expires_at - "

func scanLease(r row) (l lease.Lease, err error) {
	err = r.Scan(&l.Name, &l.ID, &l.Peer, &l.Fence, span{&l.Left})
	l.Held = l.Left > 0
	return l, err
}

// Acquire implements lease.Store. The first fence of a name is the current time. So the fence is
// not smaller than before if the row of a name was deleted.
func (q queries) Acquire(
	ctx context.Context, name string, by lease.Holder, life time.Duration,
) (lease.Lease, bool, error) {
	now := q.run.clock()
	got, err := change(ctx, q, scanLease, `
		INSERT INTO leases (name, holder, peer, fence, expires_at)
		VALUES ($1, $2, $3, `+now+`, `+now+` + CAST($4 AS BIGINT))
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, peer = excluded.peer,
			expires_at = excluded.expires_at,
			fence = leases.fence + CASE WHEN leases.expires_at > `+now+` THEN 0 ELSE 1 END
		WHERE leases.expires_at <= `+now+` OR leases.holder = excluded.holder
		RETURNING `+leaseColumns+now, name, by.ID, by.Peer, life.Milliseconds())
	if err != nil {
		return lease.Lease{}, false, err
	}
	if len(got) == 1 {
		return got[0], true, nil
	}
	l, _, err := q.Holder(ctx, name)
	return l, false, err
}

// Release implements lease.Store. The row stays, since its fence must increase.
func (q queries) Release(ctx context.Context, l lease.Lease) error {
	now := q.run.clock()
	return q.do(ctx, `UPDATE leases SET expires_at = `+now+`
		WHERE name = $1 AND holder = $2 AND fence = $3 AND expires_at > `+now,
		l.Name, l.ID, l.Fence)
}

// Holder implements lease.Store.
func (q queries) Holder(ctx context.Context, name string) (lease.Lease, bool, error) {
	l, err := first(ctx, q, scanLease,
		"SELECT "+leaseColumns+q.run.clock()+" FROM leases WHERE name = $1", name)
	if errors.Is(err, stage.ErrNotFound) {
		return lease.Lease{}, false, nil
	}
	return l, l.Held, err
}

// forgetLeases deletes leases that had no holder for a day, one by one. If a holder takes a lease
// at that moment, the database checks the condition on the row again.
func (q queries) forgetLeases(ctx context.Context, limit int) (int, error) {
	before := q.run.clock() + " - $1"
	names, err := list(ctx, q, scanText, "SELECT name FROM leases WHERE expires_at < "+before+
		" ORDER BY expires_at LIMIT $2", leaseMemory.Milliseconds(), int64(limit))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		err := q.do(ctx, "DELETE FROM leases WHERE expires_at < "+before+" AND name = $2",
			leaseMemory.Milliseconds(), name)
		if err != nil {
			return 0, err
		}
	}
	return len(names), nil
}
