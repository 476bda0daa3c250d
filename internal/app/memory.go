package app

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	giveBackEvery = 10 * time.Second
	// event streams that connected since memory was last returned; fewer need nothing
	crowd = 200
)

// A tide detects that many pages have connected at once, as after a restart, and that no more
// connect.
type tide struct {
	before, level int // event streams at the last check, and when memory was last returned
}

// over receives the number of open event streams. It reports whether many have connected and no
// more do.
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

// giveBackMemory returns memory to the system after many pages have connected. The runtime, which
// collects seldom here, would keep several times the memory of the pages for minutes.
func (s *server) giveBackMemory() func(context.Context) error {
	var t tide
	return func(context.Context) error {
		if t.over(s.feed.Streams()) {
			debug.FreeOSMemory()
		}
		return nil
	}
}
