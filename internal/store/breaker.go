package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// callLimit limits the time of a statement or a transaction, including its wait for a
	// connection.
	callLimit = 5 * time.Second
	// stallRest is how long every call fails without a wait after the database did not answer in
	// time.
	stallRest = time.Second
)

var errStalled = errors.New("the database has not answered for a while")

// A breaker is a circuit breaker. It limits how long callers wait for the database. After a call
// took too long, other calls fail without a wait, so that a request with several calls does not
// wait several times. After a pause (stallRest), one call at a time tries again, until one
// succeeds.
type breaker struct {
	mu      sync.Mutex
	stalled bool
	resting bool // while stalled: no call may try
	trying  bool // while stalled: one call is trying
}

// begin limits the time of a call. When the call is over, the caller passes the error of the call
// to `end`.
func (b *breaker) begin(
	ctx context.Context,
) (bounded context.Context, end func(error) error, err error) {
	tries, err := b.enter()
	if err != nil {
		return nil, nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, callLimit)
	return bounded, func(err error) error {
		late := errors.Is(err, context.DeadlineExceeded)
		// the caller gave up, so the database may work
		gaveUp := err != nil && ctx.Err() != nil
		cancel()
		b.leave(tries, late, gaveUp)
		return err
	}, nil
}

func (b *breaker) enter() (tries bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stalled {
		return false, nil
	}
	if b.resting || b.trying {
		return false, unavailable("The database does not answer; try again in a moment.",
			errStalled)
	}
	b.trying = true
	return true, nil
}

func (b *breaker) leave(tried, late, gaveUp bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if tried {
		b.trying = false
	}
	if gaveUp {
		return
	}
	b.stalled = late
	if late && !b.resting {
		b.resting = true
		time.AfterFunc(stallRest, b.wake)
	}
}

func (b *breaker) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resting = false
}
