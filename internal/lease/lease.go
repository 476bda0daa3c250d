// Package lease says which replica does what only one may do at a time. Leases are rows in the
// database that expire by its clock, so that the clocks of the replicas do not matter.
package lease

import (
	"context"
	"time"
)

// A Holder is a replica as leases name it.
type Holder struct {
	ID   string
	Peer string // URL at which the other replicas reach it; may be empty
}

// A Lease is the right of a holder to something, until it expires.
type Lease struct {
	Name string
	Holder
	// Fence grows with every new holder of the name, and each time that a lease had expired.
	// Whoever writes for a lease gives it along, so that a holder that was away too long changes
	// nothing.
	Fence int64
	Held  bool          // it had not expired when it was read
	Left  time.Duration // until it expires, as of then; negative since it expired
}

// A Store keeps leases. An error says nothing about who holds what; a holder that cannot renew
// stops when its lease has expired, counted from before it asked last.
type Store interface {
	// Acquire takes a lease that is free or expired, or renews one that the holder has. It reports
	// whether the holder has it now, and returns the lease of its holder.
	Acquire(ctx context.Context, name string, by Holder, life time.Duration) (Lease, bool, error)
	// Release ends a lease at once, if it still is the holder's.
	Release(ctx context.Context, l Lease) error
	// Holder returns the lease of a name, and whether it is held. The last lease of a name stays
	// readable for a while after it expired.
	Holder(ctx context.Context, name string) (Lease, bool, error)
}
