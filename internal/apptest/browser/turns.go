package browser

import (
	"strings"
	"sync"
)

// turns limits how many tests have pages open at once. A test that has a turn, or whose parent has
// one, opens more pages without waiting. Otherwise two tests with one page each would wait for ever
// for their second one.
type turns struct {
	mu      sync.Mutex
	changed *sync.Cond
	free    int
	holders map[string]int // names of tests, and how often each took a turn
}

func newTurns(n int) *turns {
	t := &turns{free: n, holders: map[string]int{}}
	t.changed = sync.NewCond(&t.mu)
	return t
}

// take waits until the test may open a page. The caller must call the result `done` after the page
// has ended.
func (t *turns) take(test string) (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.free == 0 && t.holder(test) == "" {
		t.changed.Wait()
	}
	name := t.holder(test)
	if name == "" {
		name = test
		t.free--
	}
	t.holders[name]++
	return func() { t.release(name) }
}

// holder returns the name of the test or of its ancestor, whichever has a turn.
func (t *turns) holder(test string) string {
	for name := range t.holders {
		if test == name || strings.HasPrefix(test, name+"/") {
			return name
		}
	}
	return ""
}

func (t *turns) release(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holders[name]--; t.holders[name] == 0 {
		delete(t.holders, name)
		t.free++
		t.changed.Broadcast()
	}
}
