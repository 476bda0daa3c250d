package ivs

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A shared is a Budget in memory. It has one rate for all calls.
type shared struct {
	mu   sync.Mutex
	free time.Time
	away bool
}

func (b *shared) Take(
	_ context.Context, _ string, every, most time.Duration,
) (time.Duration, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return 0, false, errors.New("the database is away")
	}
	wait := max(0, time.Until(b.free))
	if wait > most {
		return 0, false, nil
	}
	b.free = time.Now().Add(wait + every)
	return wait, true, nil
}

func (b *shared) Pause(context.Context, string, time.Duration) error { return nil }

// calls makes the same number of calls in each process, and returns how long all calls took
// together.
func calls(t *testing.T, processes []*limits, each int) time.Duration {
	t.Helper()
	begun := time.Now()
	var all sync.WaitGroup
	for _, l := range processes {
		q := l.queue("us-west-2", "GetStage")
		for range each {
			all.Go(func() {
				if err := q.wait(t.Context(), "ana"); err != nil {
					t.Error(err)
				}
				if err := l.share(t.Context(), q, "us-west-2 GetStage"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	return time.Since(begun)
}

func TestProcessesShareOneBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		budget := &shared{}
		three := func() (all []*limits) {
			for range 3 {
				all = append(all, &limits{budget: budget, queues: map[string]*queue{}})
			}
			return all
		}
		// Five calls a second: the first of the 30 starts at once, and the others at intervals of a
		// fifth of a second.
		if took := calls(t, three(), 10); took < 5800*time.Millisecond || took > 7*time.Second {
			t.Errorf("30 calls of three processes took %v, want 5.8 s", took)
		}
		time.Sleep(time.Minute)
		budget.away = true
		if took := calls(t, three(), 10); took != 1800*time.Millisecond {
			t.Errorf("without the budget: took %v, want that each keeps to its own rate", took)
		}
	})
}
