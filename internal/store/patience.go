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
	// stallRest is how long no call is tried after the database did not answer in time.
	stallRest = time.Second
)

var errStalled = errors.New("the database has not answered for a while")

// A patience limits how long callers wait for the database. After a call took too long, other calls
// fail at once, so that a request with several calls does not wait several times. After a rest, one
// call at a time tries again, until one succeeds.
type patience struct {
	mu      sync.Mutex
	stalled bool
	resting bool // while stalled: no call may try
	trying  bool // while stalled: one call is trying
}

// begin limits the time of a call. The caller passes its result to end.
func (p *patience) begin(
	ctx context.Context,
) (bounded context.Context, end func(error) error, err error) {
	tries, err := p.enter()
	if err != nil {
		return nil, nil, unavailable("The database does not answer; try again in a moment.", err)
	}
	bounded, cancel := context.WithTimeout(ctx, callLimit)
	return bounded, func(err error) error {
		late := errors.Is(err, context.DeadlineExceeded)
		// the caller gave up, which says nothing about the database
		gaveUp := err != nil && ctx.Err() != nil
		cancel()
		p.leave(tries, late, gaveUp)
		return err
	}, nil
}

func (p *patience) enter() (tries bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stalled {
		return false, nil
	}
	if p.resting || p.trying {
		return false, errStalled
	}
	p.trying = true
	return true, nil
}

func (p *patience) leave(tried, late, gaveUp bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if tried {
		p.trying = false
	}
	if gaveUp {
		return
	}
	p.stalled = late
	if late && !p.resting {
		p.resting = true
		time.AfterFunc(stallRest, p.wake)
	}
}

func (p *patience) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resting = false
}
