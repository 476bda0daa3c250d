package lossy

import (
	"math/rand/v2"
	"time"
)

// A Conditions describes the network in one direction.
type Conditions struct {
	Loss float64 // share of packets that are lost at random, 0 to 1
	// decides whether a packet is lost, in addition to Loss; may be called for several peers at
	// once
	Picks func([]byte) bool
	Delay time.Duration // delay in this direction
	Rate  int           // bit/s; 0 is no limit
	// how long packets may wait in the queue before they are dropped; 0 means a quarter of a second
	Queue time.Duration
}

const defaultQueue = 250 * time.Millisecond

// A fate says whether a packet arrives, or why it is lost.
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
	free   time.Time // when the link has sent all earlier packets
	last   time.Time // when the last packet arrives, so that packets stay in order
}

func newShaper(seed, number uint64) *shaper {
	return &shaper{chance: rand.New(rand.NewPCG(seed, number))}
}

// decide returns the fate of a packet.
func (s *shaper) decide(now time.Time, packet []byte, c Conditions) (due time.Time, f fate) {
	// Draw a random number for every packet, so that the fates of later packets do not depend on
	// the conditions.
	if s.chance.Float64() < c.Loss || c.Picks != nil && c.Picks(packet) {
		return time.Time{}, lost
	}
	sent := now
	if c.Rate > 0 {
		if s.free.Before(now) {
			s.free = now
		}
		if s.free.Sub(now) > c.queue() {
			return time.Time{}, queueFull
		}
		s.free = s.free.Add(time.Duration(len(packet)) * 8 * time.Second / time.Duration(c.Rate))
		sent = s.free
	}
	due = sent.Add(c.Delay)
	if due.Before(s.last) {
		due = s.last
	}
	s.last = due
	return due, passed
}

func (c Conditions) queue() time.Duration {
	if c.Queue == 0 {
		return defaultQueue
	}
	return c.Queue
}
