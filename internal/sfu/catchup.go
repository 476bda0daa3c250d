package sfu

import "time"

// A catchUp shows a new viewer the frames since the last keyframe in fast motion, until the live
// edge. This is necessary because OBS does not answer requests for a keyframe, and the last
// keyframe may be seconds old. The RTP timestamps for this viewer are the times of sending, so that
// the viewer's jitter buffer sees no frame as early or late. The sound starts at the live edge and
// never waits.
type catchUp struct {
	from     uint64 // the timestamp of the first frame
	behind   uint64 // how far the first frame was behind the live edge, in ticks of the clock
	duration uint64 // length of the fast motion, in ticks
	began    time.Time
	clock    uint32
}

const (
	// bytes a second; the rate is higher if the catch-up would otherwise take longer than
	// catchUpMost
	catchUpRate = 12e6 / 8
	catchUpMost = 1500 * time.Millisecond
	// the highest speed; even then, no two frames get the same timestamp
	catchUpFast = 16
)

func newCatchUp(from, behind uint64, bytes int, clock uint32, now time.Time) catchUp {
	seconds := min(float64(bytes)/catchUpRate, catchUpMost.Seconds())
	duration := max(uint64(seconds*float64(clock)), behind/catchUpFast)
	return catchUp{
		from: from, behind: behind, duration: min(duration, behind), began: now, clock: clock,
	}
}

// place returns when a frame is due, and how much to add to its timestamp. At the live edge,
// nothing is added. The result for a timestamp never changes: a repeated packet must be the same
// bit for bit, because its SRTP nonce is the same.
func (c *catchUp) place(ts uint64) (later uint32, due time.Time) {
	passed := uint64(0)
	if ts > c.from { // B-frames may have timestamps before the keyframe
		passed = ts - c.from
	}
	if passed >= c.behind+c.duration {
		return 0, time.Time{}
	}
	// During the fast motion, the live edge advances by `duration`. So the frames of `behind +
	// duration` are shown within `duration`.
	shown := passed * c.duration / (c.behind + c.duration)
	later = uint32(shown + c.behind - passed)
	return later, c.began.Add(time.Duration(shown) * time.Second / time.Duration(c.clock))
}
