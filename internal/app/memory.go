package app

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	giveBackEvery = 10 * time.Second
	crowd         = 200 // event streams that came since memory was given back; fewer need nothing
)

// A tide detects that many pages have connected at once, as after a restart, and that no more come.
type tide struct {
	before, level int // event streams at the last look, and when memory was given back
}

// over takes the number of open event streams, and reports whether many have come and no more do.
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
