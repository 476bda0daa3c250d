package web

import (
	"context"
	"sync"
)

// A herd makes callers that ask for the same at the same time share one reading: after a restart,
// all pages of an account come back at once. A reading begins after its callers have asked, so that
// none receives what was true before it asked. At most cap(slots) readings run at a time, which
// bounds the memory that they take.
type herd[K comparable, V any] struct {
	slots chan struct{}

	mu   sync.Mutex
	runs map[K]*reading[V] // guarded by mu: those that run, by key
}

// A reading is shared by those who came before it began.
type reading[V any] struct {
	done  chan struct{} // closed when value and err are set
	value V
	err   error
	next  *reading[V] // for those who came since it began; guarded by herd.mu
}

func newHerd[K comparable, V any](atOnce int) *herd[K, V] {
	return &herd[K, V]{slots: make(chan struct{}, atOnce), runs: map[K]*reading[V]{}}
}

// get returns what read does, or what it did for another caller that came while the reading before
// was running.
func (h *herd[K, V]) get(ctx context.Context, key K, read func() (V, error)) (V, error) {
	r, before, leads := h.join(key)
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
	h.slots <- struct{}{}
	defer func() {
		<-h.slots
		h.finish(key, r)
	}()
	r.value, r.err = read()
	return r.value, r.err
}

// join returns the reading of a caller, the one that has to end first, and whether the caller
// reads.
func (h *herd[K, V]) join(key K) (r, before *reading[V], leads bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	running := h.runs[key]
	switch {
	case running == nil:
		r = &reading[V]{done: make(chan struct{})}
		h.runs[key] = r
		return r, nil, true
	case running.next == nil:
		r = &reading[V]{done: make(chan struct{})}
		running.next = r
		return r, running, true
	}
	return running.next, nil, false
}

func (h *herd[K, V]) finish(key K, r *reading[V]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.next != nil {
		h.runs[key] = r.next
	} else {
		delete(h.runs, key)
	}
	close(r.done)
}
