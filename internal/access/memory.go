package access

import (
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A memory spares reading what was just read. It forgets everything when it is full, or when something has changed.
type memory[K comparable, V any] struct {
	mu      sync.Mutex
	age     int // counts how often everything was forgotten
	entries map[K]V
}

const memorySize = 4096

// recall also says the age of the memory, for keep.
func (m *memory[K, V]) recall(key K) (value V, age int, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, known = m.entries[key]
	return value, m.age, known
}

// keep remembers, unless something has changed since recall told the age: what was read then may be old.
func (m *memory[K, V]) keep(key K, value V, age int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if age != m.age {
		return
	}
	if m.entries == nil || len(m.entries) >= memorySize {
		m.entries = map[K]V{}
	}
	m.entries[key] = value
}

func (m *memory[K, V]) forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}

func (m *memory[K, V]) forgetAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.age++
	m.entries = nil
}

// believeLogin is how long a login is believed after it was read. This process forgets at once what it ends itself; a login
// that another replica ended may still read pages for so long, but gets no token: those are decided in the database.
const believeLogin = time.Second

// A seenLogin is a login with the time when it was read.
type seenLogin struct {
	login Principal
	at    time.Time
}

// seenStages are all stages by name, with the time when they were read. Nobody changes the list.
type seenStages struct {
	byName []StageRecord
	at     time.Time
}

// A permitKey is whose permit it is, and for what.
type permitKey struct {
	user  UserID
	stage stage.ARN
}
