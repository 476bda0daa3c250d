package app

import (
	"maps"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// watchersGrace is how long somebody who was let in may take to come.
const watchersGrace = time.Minute

// watchers remembers by which login somebody watches without a token, so that the end of the login is the end of that, too.
type watchers struct {
	mu sync.Mutex
	by map[stage.ParticipantID]watcher
}

type watcher struct {
	login string
	since time.Time
}

func (w *watchers) came(id stage.ParticipantID, login string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil {
		w.by = map[stage.ParticipantID]watcher{}
	}
	w.by[id] = watcher{login, now}
}

// login is that of a watcher, or "" where it is not known.
func (w *watchers) login(id stage.ParticipantID) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by[id].login
}

// keep forgets who is not there, and not about to come.
func (w *watchers) keep(there map[stage.ParticipantID]bool, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.by, func(id stage.ParticipantID, came watcher) bool {
		return !there[id] && now.Sub(came.since) > watchersGrace
	})
}
