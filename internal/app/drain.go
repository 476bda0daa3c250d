package app

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// movesPerSecond is how many pages per second a stopping replica sends to the other replicas.
	// It is limited, since each page reconnects with several requests.
	movesPerSecond = 200
	// leastMove is how long a replica serves after it was asked to stop, so that load balancers see
	// /readyz and send no more requests.
	leastMove = 2 * time.Second
	// drainLook is how often a draining replica checks for publishers.
	drainLook = 500 * time.Millisecond
)

// errStopping makes /readyz fail after the server was asked to stop.
var errStopping = errors.New("the server was asked to stop")

// running returns a check for /readyz that fails while the server drains.
func running(draining *atomic.Bool) func(context.Context) error {
	return func(context.Context) error {
		if draining.Load() {
			return errStopping
		}
		return nil
	}
}

// drain prepares the stop: it refuses new broadcasts, moves pages to other replicas, and waits
// until the broadcasts on local stages end. It waits at most for the duration of --drain, and stops
// waiting when the context in the parameter `over` ends.
func (s *server) drain(over context.Context) {
	s.draining.Store(true)
	s.local.whip.Drain()
	if s.settings.Drain > 0 {
		s.log.InfoContext(over, "the server stops when no local stage has a broadcast", "latest",
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

// rest waits for the duration d. It returns false if ctx ends first.
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
