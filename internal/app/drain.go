package app

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// movesPerSecond is how many pages a replica that stops sends to the others: they come back
	// with several requests each.
	movesPerSecond = 200
	// leastMove is how long a replica goes on serving after it was asked to stop, so that balancers
	// that look at /readyz send nothing any more.
	leastMove = 2 * time.Second
	// drainLook is how often a replica that drains looks for a publisher.
	drainLook = 500 * time.Millisecond
)

// errStopping is what /readyz finds once the server was asked to stop.
var errStopping = errors.New("the server was asked to stop")

// running returns a check of /readyz.
func running(draining *atomic.Bool) func(context.Context) error {
	return func(context.Context) error {
		if draining.Load() {
			return errStopping
		}
		return nil
	}
}

// drain prepares the end: it takes no new broadcast, moves pages to other replicas, and waits for
// the local broadcasts that may finish. It ends at the latest when over does.
func (s *server) drain(over context.Context) {
	s.draining.Store(true)
	s.local.whip.Drain()
	if s.settings.Drain > 0 {
		s.log.Info("the server stops once nobody is live on its local stages", "latest",
			s.settings.Drain)
	}
	if s.local.proxy != nil {
		begin := time.Now()
		s.homes.Drain(over)
		s.feed.Move(over, movesPerSecond)
		rest(over, leastMove-time.Since(begin))
	}
	limit, cancel := context.WithTimeout(over, s.settings.Drain)
	defer cancel()
	for s.local.live() && rest(limit, drainLook) {
	}
}

// rest waits, and reports whether ctx has not ended.
func rest(ctx context.Context, d time.Duration) bool {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}
