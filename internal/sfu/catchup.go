package sfu

import "time"

// OBS does not answer a request for a keyframe. A new viewer therefore starts at the last one,
// which may be seconds old, and is shown what came since in fast motion up to the live edge. The
// timestamps that it is sent are the moments at which the frames are sent: to its jitter buffer
// nothing is early or late, and the sound, which starts at the live edge, never waits.
type catchUp struct {
	from     uint64 // the timestamp of the first frame
	behind   uint64 // how far from the live edge that was, in ticks of the clock
	duration uint64 // how long the fast motion lasts, in ticks
	began    time.Time
	clock    uint32
}

const (
	catchUpRate = 12e6 / 8 // bytes a second, as far as catchUpMost allows
	catchUpMost = 1500 * time.Millisecond
	catchUpFast = 16 // times at most, so that each frame keeps a timestamp of its own
)

func newCatchUp(from, behind uint64, bytes int, clock uint32, now time.Time) catchUp {
	seconds := min(float64(bytes)/catchUpRate, catchUpMost.Seconds())
	duration := max(uint64(seconds*float64(clock)), behind/catchUpFast)
	return catchUp{
		from: from, behind: behind, duration: min(duration, behind), began: now, clock: clock,
	}
}

// place returns how much later than by the live mapping the frame of that timestamp is shown, and
// when it is due; 0 at the live edge. It answers the same for ever, as a packet that is repeated
// must be the same, bit for bit: its SRTP nonce is.
func (c *catchUp) place(ts uint64) (later uint32, due time.Time) {
	passed := uint64(0)
	if ts > c.from { // with B-frames some come before the keyframe
		passed = ts - c.from
	}
	if passed >= c.behind+c.duration {
		return 0, time.Time{}
	}
	// The frames of behind+duration are shown within duration; where that ends, both mappings meet.
	shown := passed * c.duration / (c.behind + c.duration)
	later = uint32(shown + c.behind - passed)
	return later, c.began.Add(time.Duration(shown) * time.Second / time.Duration(c.clock))
}
