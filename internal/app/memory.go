package app

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	giveBackEvery = 10 * time.Second
	crowd         = 200 // event streams that came since memory was given back
)

// A tide notices that a crowd of pages has come, as after a restart, and that it is over.
type tide struct {
	before, level int // event streams at the last look, and when memory was given back
}

// over takes how many event streams are open, and reports whether a crowd has come and settled.
func (t *tide) over(streams int) bool {
	settled := streams-t.before < crowd/10
	t.before = streams
	t.level = min(t.level, streams)
	if !settled || streams-t.level < crowd {
		return false
	}
	t.level = streams
	return true
}

// giveBackMemory returns to the system what the welcome of many pages needed: left to itself the
// runtime, which collects seldom here, keeps several times the memory of the pages for minutes.
func (s *server) giveBackMemory() func(context.Context) error {
	var t tide
	return func(context.Context) error {
		if t.over(s.feed.Streams()) {
			debug.FreeOSMemory()
		}
		return nil
	}
}
