package web

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestConcurrentRequestsShareReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCoalescer[string, int](2)
		var mu sync.Mutex
		reads, running, most := map[string]int{}, 0, 0
		var all sync.WaitGroup
		ask := func(key string, least int) {
			all.Go(func() {
				got, err := c.get(t.Context(), key, func() (int, error) {
					mu.Lock()
					reads[key]++
					n := reads[key]
					running++
					most = max(most, running)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					running--
					mu.Unlock()
					return n, nil
				})
				if err != nil || got < least {
					t.Errorf("%s: got reading %d, %v, want one that began after the question: %d",
						key, got, err, least)
				}
			})
		}
		ask("a", 1)
		synctest.Wait()
		for range 100 {
			ask("a", 2)
		}
		ask("b", 1)
		ask("c", 1)
		all.Wait()
		if reads["a"] != 2 || reads["b"] != 1 || most != 2 {
			t.Errorf("got %v readings, %d at a time, want two of a, and two at a time", reads, most)
		}
		if len(c.runs) != 0 {
			t.Errorf("%d readings are still kept after all callers returned", len(c.runs))
		}
	})
}
