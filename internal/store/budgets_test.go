package store_test

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestReplicasShareARate(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		a, b := h.store, h.replica().store
		var mu sync.Mutex
		var waits []time.Duration
		begun := time.Now()
		for _, err := range race(10, func(i int) error {
			from := a
			if i%2 == 1 {
				from = b
			}
			wait, ok, err := from.Take(t.Context(), "us-west-2/GetStage", time.Minute, time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				waits = append(waits, wait)
			}
			return err
		}) {
			ok(t, err)
		}
		took := time.Since(begun)
		slices.Sort(waits)
		for i, wait := range waits {
			want := time.Duration(i) * time.Minute
			// PostgreSQL reads the clock when a statement begins. The statement may then wait for
			// others.
			if wait > want+took || wait < want-took-time.Millisecond {
				t.Errorf("call %d waits %v, want %v", i, wait, want)
			}
		}
		if len(waits) != 10 {
			t.Errorf("%d calls were let through, want 10", len(waits))
		}
		if _, taken, err := b.Take(t.Context(), "us-west-2/GetStage", time.Minute,
			time.Second); taken || err != nil {
			t.Errorf("who does not wait for so long: got %v, %v, want no call", taken, err)
		}
		ok(t, a.Pause(t.Context(), "us-west-2/Other", time.Hour))
		if wait, taken, err := b.Take(t.Context(), "us-west-2/Other", time.Second,
			2*time.Hour); !taken || err != nil || wait < 50*time.Minute {
			t.Errorf("after a pause of an hour: got %v, %v, %v, want about an hour",
				wait, taken, err)
		}
	})
}
