package sfu

import "time"

// OBS does not answer requests for a keyframe. So a new viewer starts at the last keyframe, which
// may be seconds old, and is shown all later frames in fast motion until the live edge. The RTP
// timestamps for that viewer are the times at which the frames are sent: to its jitter buffer no
// frame is early or late. The sound starts at the live edge and never waits.
type catchUp struct {
	from     uint64 // the timestamp of the first frame
	behind   uint64 // how far the first frame was behind the live edge, in ticks of the clock
	duration uint64 // length of the fast motion, in ticks
	began    time.Time
	clock    uint32
}

const (
	catchUpRate = 12e6 / 8 // bytes a second, unless catchUpMost is exceeded
	catchUpMost = 1500 * time.Millisecond
	catchUpFast = 16 // the highest speed, so that each frame keeps a timestamp of its own
)

func newCatchUp(from, behind uint64, bytes int, clock uint32, now time.Time) catchUp {
	seconds := min(float64(bytes)/catchUpRate, catchUpMost.Seconds())
	duration := max(uint64(seconds*float64(clock)), behind/catchUpFast)
	return catchUp{
		from: from, behind: behind, duration: min(duration, behind), began: now, clock: clock,
	}
}

// place returns by how much the frame of a timestamp is later than in the live mapping, and when it
// is due. The delay is 0 at the live edge. The result for a timestamp never changes: a packet that
// is repeated must be the same bit for bit, because its SRTP nonce is the same.
func (c *catchUp) place(ts uint64) (later uint32, due time.Time) {
	passed := uint64(0)
	if ts > c.from { // B-frames may have timestamps before the keyframe
		passed = ts - c.from
	}
	if passed >= c.behind+c.duration {
		return 0, time.Time{}
	}
	// The frames of behind+duration are shown within duration; at its end, both mappings agree.
	shown := passed * c.duration / (c.behind + c.duration)
	later = uint32(shown + c.behind - passed)
	return later, c.began.Add(time.Duration(shown) * time.Second / time.Duration(c.clock))
}
