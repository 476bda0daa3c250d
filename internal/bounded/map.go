// Package bounded has a map of limited size.
package bounded

import (
	"container/list"
	"sync"
	"time"
)

// A Map is a map of limited size, for data that unknown clients can make grow: limiters, recent
// refusals, caches. An entry expires Life after its last change. A full map drops the entry whose
// last change is oldest. Operations take constant time on average. A Map is safe for concurrent
// use, but its exported fields must be set before its first use.
type Map[K comparable, V any] struct {
	Max  int           // entries; at least 1
	Life time.Duration // 0 means that entries do not expire

	mu      sync.Mutex
	entries map[K]*list.Element // guarded by mu
	order   list.List           // guarded by mu: of *entry[K, V], by time of change
}

type entry[K comparable, V any] struct {
	key     K
	value   V
	changed time.Time
}

// Get returns the value of a key, and whether the key has an entry that has not expired.
func (m *Map[K, V]) Get(key K, now time.Time) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(key, now)
}

// Put sets the value of a key.
func (m *Map[K, V]) Put(key K, value V, now time.Time) {
	m.Update(key, now, func(V, bool) V { return value })
}

// Update calls the function `change` with the current value of a key, and stores the result. The
// argument `found` is false if the key has no value. Update holds the map's lock, so the function
// must not use the map.
func (m *Map[K, V]) Update(key K, now time.Time, change func(old V, found bool) V) V {
	m.mu.Lock()
	defer m.mu.Unlock()
	value := change(m.get(key, now))
	m.put(key, value, now)
	return value
}

// Add sets the value of a key only if the key has none, and reports whether it did. An existing
// entry keeps its value and its expiry.
func (m *Map[K, V]) Add(key K, value V, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, found := m.get(key, now); found {
		return false
	}
	m.put(key, value, now)
	return true
}

// Delete removes a key.
func (m *Map[K, V]) Delete(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, found := m.entries[key]; found {
		m.remove(e)
	}
}

// Clear removes all keys.
func (m *Map[K, V]) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.entries)
	m.order.Init()
}

// Len returns the number of entries that have not expired.
func (m *Map[K, V]) Len(now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(now)
	return len(m.entries)
}

func (m *Map[K, V]) get(key K, now time.Time) (value V, found bool) {
	e, found := m.entries[key]
	if !found {
		return value, false
	}
	kept := e.Value.(*entry[K, V])
	if m.ended(kept, now) {
		m.remove(e)
		return value, false
	}
	return kept.value, true
}

func (m *Map[K, V]) put(key K, value V, now time.Time) {
	if e, found := m.entries[key]; found {
		kept := e.Value.(*entry[K, V])
		kept.value, kept.changed = value, now
		m.order.MoveToBack(e)
		return
	}
	if len(m.entries) >= m.Max {
		m.expire(now)
	}
	if len(m.entries) >= m.Max {
		m.remove(m.order.Front())
	}
	if m.entries == nil {
		m.entries = map[K]*list.Element{}
	}
	m.entries[key] = m.order.PushBack(&entry[K, V]{key, value, now})
}

// expire removes expired entries. Each entry is removed once, so that a change costs constant time
// on average.
func (m *Map[K, V]) expire(now time.Time) {
	for e := m.order.Front(); e != nil && m.ended(e.Value.(*entry[K, V]),
		now); e = m.order.Front() {
		m.remove(e)
	}
}

// ended reports whether an entry has expired. An entry whose change is in the future has expired,
// too, since the clock was set back and the entry's age is unknown.
func (m *Map[K, V]) ended(e *entry[K, V], now time.Time) bool {
	age := now.Sub(e.changed)
	return m.Life > 0 && (age >= m.Life || age < 0)
}

func (m *Map[K, V]) remove(e *list.Element) {
	delete(m.entries, e.Value.(*entry[K, V]).key)
	m.order.Remove(e)
}
