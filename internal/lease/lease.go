// Package lease elects the one replica that does certain work. Leases are rows in the database.
// They expire by the clock of the database, so that the clocks of the replicas do not matter.
package lease

import (
	"context"
	"time"
)

// A Holder is the replica that holds a lease.
type Holder struct {
	ID   string
	Peer string // URL at which the other replicas reach it; may be empty
}

// A Lease is the exclusive right of a holder to some work, until it expires.
type Lease struct {
	Name string
	Holder
	// Fence increases with every new holder, and after each expiry. Release compares it, so that a
	// late statement does not end a later lease of the same holder.
	Fence int64
	Held  bool          // the lease had not expired when it was read
	Left  time.Duration // time until the expiry when the lease was read; negative after the expiry
}

// A Store stores leases. After an error, the holder of a lease is unknown. A holder that cannot
// renew its lease must stop when the life of the lease has passed since its last successful request
// began.
type Store interface {
	// Acquire takes a lease that is free or expired, or renews it for its holder. It returns the
	// current lease, and reports whether the caller has it. The parameter `by` describes the
	// caller.
	Acquire(ctx context.Context, name string, by Holder, life time.Duration) (Lease, bool, error)
	// Release ends a lease at once, if the holder still has it.
	Release(ctx context.Context, l Lease) error
	// Holder returns the lease of a name, and whether it is held. The last lease of a name can be
	// read for a while after it expired.
	Holder(ctx context.Context, name string) (Lease, bool, error)
}
