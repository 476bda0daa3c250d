package bounded_test

import (
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/bounded"
)

func TestMapEndsEntriesAndMakesRoom(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	m := bounded.Map[string, int]{Max: 3, Life: time.Minute}
	for i, key := range []string{"a", "b", "c"} {
		m.Put(key, i, now)
		now = now.Add(time.Second)
	}
	count := func(n int, found bool) int { return n + 1 }
	if got := m.Update("a", now, count); got != 1 {
		t.Errorf("changed: got %d, want 1", got)
	}
	m.Put("d", 4, now)
	if _, found := m.Get("b", now); found {
		t.Error("the entry that was changed longest ago is still there")
	}
	if got, _ := m.Get("a", now); got != 1 {
		t.Errorf("the entry that was changed: got %d, want 1", got)
	}
	if m.Add("a", 7, now.Add(30*time.Second)) {
		t.Error("a second entry of the same key was added")
	}
	now = now.Add(time.Minute)
	if n := m.Len(now); n != 0 {
		t.Errorf("a minute later: got %d entries, want none", n)
	}
	if !m.Add("a", 7, now) || m.Add("a", 8, now) {
		t.Error("a key is not added once")
	}
	if _, found := m.Get("a", now.Add(-time.Second)); found {
		t.Error("an entry from the future counts, want it expired")
	}
	m.Put("a", 9, now)
	m.Delete("a")
	m.Put("b", 9, now)
	m.Clear()
	if n := m.Len(now); n != 0 {
		t.Errorf("cleared: got %d entries, want none", n)
	}
}

func TestMapWithoutLifeIsBounded(t *testing.T) {
	t.Parallel()
	m := bounded.Map[int, bool]{Max: 10}
	for i := range 1000 {
		m.Put(i, true, time.Time{})
	}
	for i := 990; i < 1000; i++ {
		if _, found := m.Get(i, time.Time{}.Add(1e6*time.Hour)); !found {
			t.Errorf("%d: one of the newest is gone", i)
		}
	}
	if n := m.Len(time.Time{}); n != 10 {
		t.Errorf("got %d entries, want 10", n)
	}
}
