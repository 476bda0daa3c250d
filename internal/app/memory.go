package app

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	giveBackEvery = 10 * time.Second
	// After at least this many new event streams, the server returns memory to the system. Fewer
	// streams leave too little free memory behind.
	crowd = 200
)

// A reconnectWave detects the end of a wave of new event streams, such as after a restart: at least
// `crowd` streams have connected, and hardly any more connect.
type reconnectWave struct {
	before int // event streams at the last check
	level  int // the fewest event streams since memory was last returned
}

// over is called at each check with the current number of event streams. It reports whether a wave
// has ended.
func (w *reconnectWave) over(streams int) bool {
	settled := streams-w.before < crowd/10
	w.before = streams
	w.level = min(w.level, streams)
	if !settled || streams-w.level < crowd {
		return false
	}
	w.level = streams
	return true
}

// giveBackMemory returns a check that gives memory back to the system after many pages have
// connected. Otherwise the runtime would keep several times the memory of the pages for minutes,
// because collectSeldom makes garbage collections rare.
func (s *server) giveBackMemory() func(context.Context) error {
	var wave reconnectWave
	return func(context.Context) error {
		if wave.over(s.feed.Streams()) {
			debug.FreeOSMemory()
		}
		return nil
	}
}
