package store_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/lease"
)

func TestALeaseHasOneHolder(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		a, b := h.store, h.replica().store
		one, two := lease.Holder{ID: "a", Peer: "http://192.0.2.1:7000"}, lease.Holder{ID: "b"}
		acquire := func(s lease.Store, by lease.Holder, life time.Duration) (lease.Lease, bool) {
			t.Helper()
			l, held, err := s.Acquire(t.Context(), "home x", by, life)
			ok(t, err)
			return l, held
		}
		if _, held, err := b.Holder(t.Context(), "home x"); held || err != nil {
			t.Errorf("at first: got %v, %v, want that nobody holds it", held, err)
		}
		first, held := acquire(a, one, time.Hour)
		if !held || first.Holder != one || !first.Held || first.Left < 59*time.Minute {
			t.Fatalf("a free lease: got %+v, %v, want that the caller holds it for an hour",
				first, held)
		}
		if l, held := acquire(b, two, time.Hour); held || l.Holder != one ||
			l.Fence != first.Fence {
			t.Errorf("a lease that is held: got %+v, %v, want whose it is", l, held)
		}
		again, held := acquire(a, one, 2*time.Hour)
		if !held || again.Fence != first.Fence || again.Left < 119*time.Minute {
			t.Errorf("renewed by its holder: got %+v, %v, want the same fence", again, held)
		}

		t.Log("a released lease is free at once, and the next holder has a higher fence")
		ok(t, a.Release(t.Context(), first))
		if l, held, err := b.Holder(t.Context(), "home x"); held || err != nil || l.Holder != one {
			t.Errorf("released: got %+v, %v, %v, want who had it", l, held, err)
		}
		next, held := acquire(b, two, time.Hour)
		if !held || next.Fence <= first.Fence || next.Peer != "" {
			t.Errorf("the next holder: got %+v, %v, want a higher fence", next, held)
		}
		ok(t, a.Release(t.Context(), first))
		if l, held, err := a.Holder(t.Context(), "home x"); !held || err != nil || l.Holder != two {
			t.Errorf("released by the holder before: got %+v, %v, %v, want no effect", l, held, err)
		}
	})
}

func TestALeaseExpires(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		a, b := h.store, h.replica().store
		first, _, err := a.Acquire(t.Context(), "poll", lease.Holder{ID: "a"}, 50*time.Millisecond)
		ok(t, err)
		for held := false; !held; {
			var next lease.Lease
			next, held, err = b.Acquire(t.Context(), "poll", lease.Holder{ID: "b"}, time.Hour)
			ok(t, err)
			if held && next.Fence <= first.Fence {
				t.Errorf("the fence: got %d after %d, want a greater one", next.Fence, first.Fence)
			}
		}
		ok(t, a.Release(t.Context(), first))
		if _, held, err := a.Holder(t.Context(), "poll"); !held || err != nil {
			t.Errorf("released too late: got %v, %v, want no effect", held, err)
		}
	})
}

func TestOneOfManyGetsALease(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		stores := []lease.Store{h.store, h.replica().store}
		var holders atomic.Int64
		for _, err := range race(12, func(i int) error {
			_, held, err := stores[i%2].Acquire(t.Context(), "rotation",
				lease.Holder{ID: string(rune('a' + i))}, time.Hour)
			if held {
				holders.Add(1)
			}
			return err
		}) {
			ok(t, err)
		}
		if n := holders.Load(); n != 1 {
			t.Errorf("got %d holders, want one", n)
		}
	})
}
