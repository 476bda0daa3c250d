package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/internal/lease"
)

// table is a lease.Store of one name.
type table struct {
	lease.Store
	mu      sync.Mutex
	held    lease.Lease
	expires time.Time
	cut     map[string]bool // owners whose calls the table does not answer
}

func (s *table) Acquire(
	_ context.Context, name string, by lease.Holder, life time.Duration,
) (lease.Lease, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut[by.ID] {
		return lease.Lease{}, false, errors.New("no answer")
	}
	if s.held.ID != by.ID && time.Now().Before(s.expires) {
		return s.held, false, nil
	}
	s.held, s.expires = lease.Lease{Name: name, Holder: by, Fence: s.held.Fence + 1},
		time.Now().Add(life)
	return s.held, true, nil
}

func (s *table) Release(_ context.Context, l lease.Lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.ID == l.ID {
		s.expires = time.Now()
	}
	return nil
}

func (s *table) cutOff(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut[id] = true
}

func TestOneLeadsAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &table{cut: map[string]bool{}}
		leads := map[string]*lease.Lead{}
		var working sync.Map
		var running sync.WaitGroup
		start := func(id string) (stop func()) {
			l := lease.NewLead(s, "work", lease.Holder{ID: id}, time.Now,
				slog.New(slog.DiscardHandler))
			leads[id] = l
			ctx, cancel := context.WithCancel(t.Context())
			running.Go(func() { l.Run(ctx) })
			running.Go(func() {
				l.While(ctx, func(ctx context.Context) error {
					working.Store(id, true)
					<-ctx.Done()
					working.Delete(id)
					return nil
				})
			})
			return cancel
		}
		stopA := start("a")
		synctest.Wait()
		stopB, stopC := start("b"), start("c")
		who := func() (ids string) {
			synctest.Wait()
			for _, id := range []string{"a", "b", "c"} {
				_, works := working.Load(id)
				if leads[id].Leads() != works {
					t.Errorf("%s: leads is %v and works is %v, want them alike",
						id, leads[id].Leads(), works)
				}
				if works {
					ids += id
				}
			}
			return ids
		}
		time.Sleep(time.Minute)
		if got := who(); got != "a" {
			t.Errorf("at first: %q leads, want a", got)
		}
		t.Log("a replica that is cut off stops before another one begins")
		s.cutOff("a")
		for range 200 {
			time.Sleep(50 * time.Millisecond)
			if leads["a"].Leads() && (leads["b"].Leads() || leads["c"].Leads()) {
				t.Fatal("two replicas lead at a time")
			}
		}
		next := who()
		if next != "b" && next != "c" {
			t.Errorf("10 seconds after the cut: %q leads, want b or c", next)
		}
		t.Log("a replica that stops hands over at the next look")
		stop, other := stopB, "c"
		if next == "c" {
			stop, other = stopC, "b"
		}
		stop()
		time.Sleep(2 * time.Second)
		if got := who(); got != other {
			t.Errorf("after a stop: %q leads, want %s", got, other)
		}
		stopA()
		stopB()
		stopC()
		running.Wait()
	})
}

func TestWithoutAStoreThereIsOneProcess(t *testing.T) {
	t.Parallel()
	l := lease.NewLead(nil, "work", lease.Holder{}, time.Now, slog.New(slog.DiscardHandler))
	did := errors.New("did it")
	if err := l.While(t.Context(), func(context.Context) error { return did }); !errors.Is(err,
		did) || !l.Leads() {
		t.Errorf("without a store: got %v, leads %v, want that it always leads", err, l.Leads())
	}
}
