package web

import (
	"context"
	"sync"
)

// A coalescer lets callers share one read if they request the same value at the same time. After a
// restart, all pages of an account do so. A shared read begins after the requests of its callers,
// so that its value is newer than every request. At most cap(slots) reads run at a time, which
// limits their memory.
type coalescer[K comparable, V any] struct {
	slots chan struct{}

	mu   sync.Mutex
	runs map[K]*reading[V] // guarded by mu: running reads, by key
}

// A reading is one read, shared by the callers that arrived before it began.
type reading[V any] struct {
	done  chan struct{} // closed when value and err are set
	value V
	err   error
	// guarded by coalescer.mu: the reading for callers that arrived after this one began
	next *reading[V]
}

func newCoalescer[K comparable, V any](atOnce int) *coalescer[K, V] {
	return &coalescer[K, V]{slots: make(chan struct{}, atOnce), runs: map[K]*reading[V]{}}
}

// get returns the result of the function `read`. It shares the result with other callers that
// arrived while the previous read was running.
func (c *coalescer[K, V]) get(ctx context.Context, key K, read func() (V, error)) (V, error) {
	r, before, leads := c.join(key)
	if !leads {
		select {
		case <-r.done:
			return r.value, r.err
		case <-ctx.Done():
			var none V
			return none, context.Cause(ctx)
		}
	}
	if before != nil {
		<-before.done
	}
	c.slots <- struct{}{}
	defer func() {
		<-c.slots
		c.finish(key, r)
	}()
	r.value, r.err = read()
	return r.value, r.err
}

// join returns the reading of a caller, the reading that must end first, and whether this caller
// must read.
func (c *coalescer[K, V]) join(key K) (r, before *reading[V], leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := c.runs[key]
	switch {
	case running == nil:
		r = &reading[V]{done: make(chan struct{})}
		c.runs[key] = r
		return r, nil, true
	case running.next == nil:
		r = &reading[V]{done: make(chan struct{})}
		running.next = r
		return r, running, true
	}
	return running.next, nil, false
}

func (c *coalescer[K, V]) finish(key K, r *reading[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.next != nil {
		c.runs[key] = r.next
	} else {
		delete(c.runs, key)
	}
	close(r.done)
}
