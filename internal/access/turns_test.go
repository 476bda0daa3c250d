package access

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

const oneHash = 50 * time.Millisecond

// hash waits for its turn and holds it as long as one password hash takes.
func (t *turns) hash(ctx context.Context, account, address string) error {
	return t.hashAs(ctx, account, address, false)
}

func (t *turns) hashAs(ctx context.Context, account, address string, known bool) error {
	leave, err := t.enter(ctx, account, address, known)
	if err != nil {
		return err
	}
	defer leave()
	time.Sleep(oneHash)
	return nil
}

// TestOneAccountSlowsDownNoOther: 64 sign-ins of one account at the same moment run one by one. A
// sign-in of another account does not wait for them.
func TestOneAccountSlowsDownNoOther(t *testing.T) {
	t.Parallel()
	for name, olga := range map[string]string{"elsewhere": "198.51.100.7",
		"same address": "192.0.2.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue, start := newTurns(2), time.Now()
				var all sync.WaitGroup
				for range 64 {
					all.Go(func() {
						if err := queue.hash(t.Context(), "ana", "192.0.2.1"); err != nil {
							t.Errorf("Ana: got %v", err)
						}
					})
				}
				synctest.Wait()
				if err := queue.hash(t.Context(), "olga", olga); err != nil {
					t.Errorf("Olga: got %v", err)
				}
				if took := time.Since(start); took != oneHash {
					t.Errorf("Olga: took %v, want %v", took, oneHash)
				}
				all.Wait()
				if took := time.Since(start); took != 64*oneHash {
					t.Errorf("Ana: took %v, want %v: one at a time", took, 64*oneHash)
				}
			})
		})
	}
}

// TestNetworksTakeTurns: a network that tries many names gets no more turns than another.
func TestNetworksTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue, start := newTurns(1), time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { queue.hash(t.Context(), fmt.Sprint("name ", i), "192.0.2.1") })
		}
		synctest.Wait()
		for range 3 {
			if err := queue.hash(t.Context(), "olga", "198.51.100.7"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > 6*oneHash {
			t.Errorf("three in a row beside 100 of another network: took %v, want at most %v", took,
				6*oneHash)
		}
		all.Wait()
		if len(queue.waiting) != 0 || len(queue.running) != 0 || len(queue.served) != 0 ||
			queue.free != 1 {
			t.Errorf("afterwards: got %+v, want nothing left", queue)
		}
	})
}

// TestManyNetworksShutNobodyOut: many networks that try passwords do not shut out a client that has
// signed in to the account before. Many clients that have signed in before do not shut out a client
// that has not.
func TestManyNetworksShutNobodyOut(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			queue := newTurns(1)
			var all sync.WaitGroup
			for i := range 150 {
				all.Go(func() {
					network := fmt.Sprintf("2001:db8:0:%x::1", i)
					queue.hashAs(t.Context(), fmt.Sprint("name ", i), network, !known)
				})
			}
			synctest.Wait()
			for try := range 3 {
				start := time.Now()
				if err := queue.hashAs(t.Context(), "olga", "198.51.100.7", known); err != nil {
					t.Errorf("a hash (known client: %t): got %v", known, err)
				}
				if took := time.Since(start); took > 3*oneHash {
					t.Errorf("known %t, sign-in %d beside 150 of other networks: took %v, want at "+
						"most %v", known, try+1, took, 3*oneHash)
				}
			}
			all.Wait()
		})
	}
}

func TestTurnsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newTurns(2)
		leave, err := queue.enter(t.Context(), "ana", "192.0.2.1", false)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		results := make(chan error, maxTurnsOfOne)
		for range maxTurnsOfOne {
			all.Go(func() { results <- queue.hash(t.Context(), "ana", "192.0.2.1") })
		}
		synctest.Wait()
		if err := queue.hash(t.Context(), "ana", "192.0.2.1"); !errors.Is(err, stage.ErrTooMany) {
			t.Errorf("one more: got %v, want ErrTooMany", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := queue.hash(ctx, "ana", "198.51.100.7"); !errors.Is(err, stage.ErrUnavailable) {
			t.Errorf("from elsewhere, given up: got %v, want ErrUnavailable", err)
		}
		all.Wait() // 10 s of the bubble's clock
		for range maxTurnsOfOne {
			if err := <-results; !errors.Is(err, stage.ErrUnavailable) {
				t.Fatalf("waited too long: got %v, want ErrUnavailable", err)
			}
		}
		leave()
		if err := queue.hash(t.Context(), "ana", "192.0.2.1"); err != nil {
			t.Errorf("afterwards: got %v, want nil", err)
		}
	})
}
