// Package lease elects the one replica that does certain work. Leases are rows in the database that
// expire by its clock, so that the clocks of the replicas do not matter.
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
	// Fence increases with every new holder of the name, and after each expiry. A write on behalf
	// of a lease contains it, so that a holder that was away too long changes nothing.
	Fence int64
	Held  bool          // it had not expired when it was read
	Left  time.Duration // time until it expires, when it was read; negative after the expiry
}

// A Store stores leases. After an error it is not known who holds a lease. A holder that cannot
// renew its lease stops when the lease has expired, counted from before its last request.
type Store interface {
	// Acquire takes a lease that is free or expired, or renews one that the holder has. It reports
	// whether the holder has it now, and returns the lease of the current holder.
	Acquire(ctx context.Context, name string, by Holder, life time.Duration) (Lease, bool, error)
	// Release ends a lease at once, if the holder still has it.
	Release(ctx context.Context, l Lease) error
	// Holder returns the lease of a name, and whether it is held. The last lease of a name can be
	// read for a while after it expired.
	Holder(ctx context.Context, name string) (Lease, bool, error)
}
