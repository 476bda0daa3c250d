package lease

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// life is how long a lease is held after its last renewal. If the leading replica vanishes, its
	// lease must expire, and then another replica requests the lease within renewEvery.
	life = 6 * time.Second
	// renewEvery leaves time for two more attempts before a lease expires.
	renewEvery  = 2 * time.Second
	answerLimit = 2 * time.Second // limit of a statement
)

// A Lead is one replica's part in the election of the replica that does certain work. It is safe
// for concurrent use.
type Lead struct {
	store Store
	name  string
	by    Holder
	now   func() time.Time // with a monotonic clock
	log   *slog.Logger

	mu      sync.Mutex
	lease   Lease
	until   time.Time     // this replica leads until this time, which each renewal moves
	changed chan struct{} // closed when this replica begins or ceases to lead
	leading bool          // whether this replica leads, as of the last close of `changed`
	expiry  *time.Timer   // fires when the lease expires
}

// NewLead returns a Lead. Call its Run. Without a store it always leads, because then there is only
// one process.
func NewLead(store Store, name string, by Holder, now func() time.Time, log *slog.Logger) *Lead {
	return &Lead{
		store: store, name: name, by: by, now: now, log: log,
		changed: make(chan struct{}), leading: store == nil,
	}
}

// Elected reports whether there is an election. Without a store there is none, and this replica
// always leads.
func (l *Lead) Elected() bool { return l.store != nil }

// Leads reports whether this replica leads. At most one replica leads, since a lease that could not
// be renewed is given up before another replica can get it.
func (l *Lead) Leads() bool {
	if l.store == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now().Before(l.until)
}

// Run takes part in the election until ctx ends, and then gives up its lease at once.
func (l *Lead) Run(ctx context.Context) error {
	if l.store == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		l.ask(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return l.leave(context.WithoutCancel(ctx))
		}
	}
}

// ask acquires or renews the lease. It counts the life of the lease from the time before the
// request.
func (l *Lead) ask(ctx context.Context) {
	asked := l.now()
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	got, held, err := l.store.Acquire(ctx, l.name, l.by, life)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.log.DebugContext(ctx, "a lease cannot be renewed", "lease", l.name, "err", err)
	case held:
		l.lease, l.until = got, asked.Add(life)
		l.watchExpiry()
	default:
		l.until = time.Time{}
	}
	l.notice(l.now().Before(l.until))
}

// watchExpiry sets the timer that ends the work of While when the lease expires. The caller holds
// mu.
func (l *Lead) watchExpiry() {
	left := l.until.Sub(l.now())
	if l.expiry != nil {
		l.expiry.Reset(left)
		return
	}
	l.expiry = time.AfterFunc(left, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.notice(l.now().Before(l.until))
	})
}

// notice wakes the callers that wait until this replica begins or ceases to lead. The caller holds
// mu.
func (l *Lead) notice(leads bool) {
	if leads != l.leading {
		l.leading = leads
		close(l.changed)
		l.changed = make(chan struct{})
		l.log.Info("this replica took or lost a lease", "lease", l.name, "here", leads)
	}
}

func (l *Lead) leave(ctx context.Context) error {
	l.mu.Lock()
	lease := l.lease
	l.until = time.Time{}
	if l.expiry != nil {
		l.expiry.Stop()
	}
	l.notice(false)
	l.mu.Unlock()
	if lease.Name == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	if err := l.store.Release(ctx, lease); err != nil {
		l.log.DebugContext(ctx, "a lease is not released; it will expire", "lease", l.name,
			"err", err)
	}
	return nil
}

// While runs the given function whenever this replica leads, until ctx ends or the function returns
// by itself. The context of the function ends when this replica no longer leads.
func (l *Lead) While(ctx context.Context, do func(context.Context) error) error {
	for ctx.Err() == nil {
		l.mu.Lock()
		leads, changed := l.leading, l.changed
		l.mu.Unlock()
		if leads {
			if err := l.during(ctx, changed, do); err != nil {
				return err
			}
			select {
			case <-changed:
				continue
			default:
				return nil // do has finished
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// during runs the given function until it returns. It ends the context of the function when the
// given channel is closed.
func (l *Lead) during(
	ctx context.Context, changed <-chan struct{}, do func(context.Context) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-changed:
			cancel()
		case <-stop:
		}
	}()
	return do(ctx)
}
