package ivs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestQueueKeepsTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(50)
		began := time.Now()
		for range 105 {
			if err := q.wait(t.Context(), "ana"); err != nil {
				t.Fatal(err)
			}
		}
		// 5 calls start at once, and the other 100 at a rate of 50 a second.
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("105 calls: got %v, want 2s", took)
		}
	})
}

func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(50)
		var g sync.WaitGroup
		for range 500 {
			g.Go(func() { q.wait(t.Context(), "greedy") })
		}
		synctest.Wait()
		began := time.Now()
		if err := q.wait(t.Context(), "modest"); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > 100*time.Millisecond {
			t.Errorf("behind 500 calls of another: waited %v, want at most a turn or two", waited)
		}
		g.Wait()
	})
}

func TestQueueRefusesWhatWouldComeTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(50)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var g sync.WaitGroup
		var mu sync.Mutex
		refused, served := 0, 0
		for i := range 300 {
			g.Go(func() {
				began := time.Now()
				err := q.wait(ctx, fmt.Sprint("caller ", i))
				mu.Lock()
				defer mu.Unlock()
				var e *stage.Error
				switch {
				case err == nil:
					served++
				case errors.As(err, &e) && errors.Is(err, stage.ErrUnavailable) &&
					e.RetryAfter >= time.Second:
					refused++
					if waited := time.Since(began); waited != 0 {
						t.Errorf("refused after %v, want at once", waited)
					}
				default:
					t.Errorf("got %v, want a turn or a refusal with a time to come back", err)
				}
			})
		}
		g.Wait()
		if served < 100 || served > 110 || served+refused != 300 {
			t.Errorf(
				"in 2s: got %d served and %d refused, want about 105 served and the rest refused",
				served, refused)
		}
	})
}

func TestACancelledCallLeavesNoGap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(5)
		q.wait(t.Context(), "first") // the next call is due in 200 ms
		impatient, cancel := context.WithCancel(t.Context())
		var g sync.WaitGroup
		g.Go(func() {
			if err := q.wait(impatient, "impatient"); !errors.Is(err, stage.ErrUnavailable) {
				t.Errorf("impatient: got %v, want a refusal", err)
			}
		})
		synctest.Wait()
		began := time.Now()
		g.Go(func() { q.wait(t.Context(), "patient") })
		synctest.Wait()
		cancel()
		g.Wait()
		if waited := time.Since(began); waited != 200*time.Millisecond {
			t.Errorf("patient: waited %v, want 200ms, the turn of the one who left", waited)
		}
	})
}
