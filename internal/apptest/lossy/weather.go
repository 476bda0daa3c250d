package lossy

import (
	"math/rand/v2"
	"time"
)

// Weather is how bad one direction is.
type Weather struct {
	Loss float64 // share of packets lost by chance, 0 to 1
	// whether this very packet is lost; nil leaves it to chance. Peers' packets may ask at once
	Picks func([]byte) bool
	Delay time.Duration // one way
	Rate  int           // bit/s; 0 is no limit
	// how long packets may wait for the rate before they are dropped; 0 is a quarter of a second
	Queue time.Duration
}

const defaultQueue = 250 * time.Millisecond

// A fate is when a packet arrives, if it does.
type fate int

const (
	passed fate = iota
	lost
	queueFull
	cutOff
)

// A shaper decides the fates of one peer's packets in one direction. One goroutine uses it.
type shaper struct {
	chance *rand.Rand
	free   time.Time // when the line has sent what it was given
	last   time.Time // when the last packet arrives: they stay in order
}

func newShaper(seed, number uint64) *shaper {
	return &shaper{chance: rand.New(rand.NewPCG(seed, number))}
}

// decide says when a packet of that size arrives, if it does.
func (s *shaper) decide(now time.Time, packet []byte, w Weather) (due time.Time, f fate) {
	// Every packet draws, so that the fates of later ones do not depend on the weather.
	if s.chance.Float64() < w.Loss || w.Picks != nil && w.Picks(packet) {
		return time.Time{}, lost
	}
	sent := now
	if w.Rate > 0 {
		if s.free.Before(now) {
			s.free = now
		}
		if s.free.Sub(now) > w.queue() {
			return time.Time{}, queueFull
		}
		s.free = s.free.Add(time.Duration(len(packet)) * 8 * time.Second / time.Duration(w.Rate))
		sent = s.free
	}
	due = sent.Add(w.Delay)
	if due.Before(s.last) {
		due = s.last
	}
	s.last = due
	return due, passed
}

func (w Weather) queue() time.Duration {
	if w.Queue == 0 {
		return defaultQueue
	}
	return w.Queue
}
