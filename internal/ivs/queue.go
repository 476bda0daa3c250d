package ivs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A queue limits the rate of calls and is fair: callers take turns, no matter how many calls of
// each are waiting. It uses the machine's clock, because it really waits.
type queue struct {
	every time.Duration // interval between two calls
	burst int           // calls that may start at once after a pause

	mu      sync.Mutex
	free    time.Time // when the next call would be due if there were no bursts
	turns   []string  // callers with waiting calls; the first is next
	waiting map[string][]chan struct{}
	timer   *time.Timer // set while a call waits
}

func newQueue(perSecond int) *queue {
	return &queue{
		every: time.Second / time.Duration(perSecond),
		// AWS does not document how it counts bursts, so this burst is far below the quota.
		burst:   max(1, perSecond/10),
		waiting: map[string][]chan struct{}{},
	}
}

// wait returns when it is the caller's turn. If the turn would come after the deadline of ctx,
// `wait` returns an error at once.
func (q *queue) wait(ctx context.Context, caller string) error {
	turn, err := q.enter(ctx, caller)
	if turn == nil {
		return err
	}
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		q.leave(caller, turn)
		return busy(q.every)
	}
}

// enter adds the caller to the queue and returns a channel for its turn. It returns nil if the call
// is due now.
func (q *queue) enter(ctx context.Context, caller string) (chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if len(q.turns) == 0 && q.take(now) {
		return nil, nil
	}
	wait := q.estimate(now, caller)
	if deadline, ok := ctx.Deadline(); ok && now.Add(wait).After(deadline) {
		return nil, busy(wait)
	}
	turn := make(chan struct{})
	if len(q.waiting[caller]) == 0 {
		q.turns = append(q.turns, caller)
	}
	q.waiting[caller] = append(q.waiting[caller], turn)
	q.arm(now)
	return turn, nil
}

// estimate returns how long a new call of the caller would wait. In each round, every caller has
// one turn.
func (q *queue) estimate(now time.Time, caller string) time.Duration {
	round := len(q.waiting[caller]) + 1
	before := 0
	for _, calls := range q.waiting {
		before += min(len(calls), round)
	}
	return max(q.free.Sub(now), 0) + time.Duration(before)*q.every
}

// take reports whether a call is due, and counts the call. The caller holds q.mu.
func (q *queue) take(now time.Time) bool {
	if q.free.After(now.Add(time.Duration(q.burst-1) * q.every)) {
		return false
	}
	if q.free.Before(now) {
		q.free = now
	}
	q.free = q.free.Add(q.every)
	return true
}

// arm sets the timer for the next turn, unless the timer is set already. The caller holds q.mu.
func (q *queue) arm(now time.Time) {
	if q.timer != nil || len(q.turns) == 0 {
		return
	}
	due := q.free.Add(-time.Duration(q.burst-1) * q.every)
	q.timer = time.AfterFunc(max(due.Sub(now), 0), q.release)
}

func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timer = nil
	now := time.Now()
	for len(q.turns) > 0 && q.take(now) {
		caller := q.turns[0]
		q.turns = q.turns[1:]
		calls := q.waiting[caller]
		close(calls[0])
		q.keep(caller, calls[1:])
		if len(calls) > 1 {
			q.turns = append(q.turns, caller)
		}
	}
	q.arm(now)
}

func (q *queue) keep(caller string, calls []chan struct{}) {
	if len(calls) == 0 {
		delete(q.waiting, caller)
		return
	}
	q.waiting[caller] = calls
}

// length returns the number of waiting calls.
func (q *queue) length() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, calls := range q.waiting {
		n += len(calls)
	}
	return n
}

// leave removes a waiting call. If its turn has come meanwhile, the turn stays unused.
func (q *queue) leave(caller string, turn chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	calls := q.waiting[caller]
	i := slices.Index(calls, turn)
	if i < 0 {
		return
	}
	q.keep(caller, slices.Delete(calls, i, i+1))
	if len(q.waiting[caller]) == 0 {
		q.turns = slices.DeleteFunc(q.turns, func(c string) bool { return c == caller })
	}
}

// pause blocks all calls for a while. It is called when AWS has throttled a call, which happens
// when other programs use the same account.
func (q *queue) pause(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if until := time.Now().Add(d + time.Duration(q.burst-1)*q.every); q.free.Before(until) {
		q.free = until
	}
}

func busy(wait time.Duration) *stage.Error {
	seconds := max(wait.Round(time.Second), time.Second)
	in := "a second"
	if seconds > time.Second {
		in = fmt.Sprintf("%d seconds", int(seconds.Seconds()))
	}
	return stage.Errorf(stage.ErrUnavailable,
		"Too many requests to Amazon IVS are waiting at the moment; try again in %s.", in).
		WithCode("aws_busy").WithRetry(seconds)
}
