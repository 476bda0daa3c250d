package sfu

// opusDuration returns the duration of a packet in samples at 48 kHz, by its first byte (RFC 6716,
// 3.1), and whether the packet is valid (3.4).
func opusDuration(payload []byte) (samples uint64, valid bool) {
	if len(payload) == 0 {
		return 0, false
	}
	each := opusFrame(payload[0] >> 3)
	switch payload[0] & 3 {
	case 0:
		return each, true
	case 1:
		return 2 * each, len(payload)%2 == 1
	case 2:
		return 2 * each, len(payload) > 1
	}
	if len(payload) < 2 {
		return 0, false
	}
	frames := uint64(payload[1] & 0x3f)
	return frames * each, frames > 0 && frames*each <= 5760 // 120 ms
}

// opusFrame returns the duration of a frame by its configuration (table 2).
func opusFrame(config byte) uint64 {
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [4]uint64{480, 960, 1920, 2880}[config%4]
	case config < 16: // hybrid: 10, 20 ms
		return [2]uint64{480, 960}[config%2]
	}
	return [4]uint64{120, 240, 480, 960}[config%4] // CELT: 2.5, 5, 10, 20 ms
}

// A soundCheck detects other codecs that are announced as Opus, because OBS sends AAC under Opus's
// payload type if its audio encoder was not changed. An AAC packet may look like Opus by chance,
// but it lasts 1024 samples, which no Opus packet does.
type soundCheck struct {
	last    *packet
	seen    int
	strange float64 // recent share of packets whose duration does not fit
}

const (
	soundTolerance = 48 // samples; timestamps from a clock in µs or ms are slightly off
	soundEnough    = 25 // packets before the first judgement
)

func (c *soundCheck) take(p *packet) {
	last := c.last
	if len(p.payload) == 0 {
		return
	}
	c.last = p
	if last == nil || p.seq != last.seq+1 {
		return
	}
	c.seen++
	odd := 0.0
	if !fits(last, p.ts-last.ts) {
		odd = 1
	}
	c.strange += (odd - c.strange) / soundEnough
}

// fits reports whether the next packet begins at the end of this one, or a whole number of packets
// later (after silence that was not sent). The parameter `delta` is the difference of their
// timestamps.
func fits(p *packet, delta uint64) bool {
	samples, valid := opusDuration(p.payload)
	if !valid || samples == 0 {
		return false
	}
	off := delta % samples
	return off <= soundTolerance || samples-off <= soundTolerance
}

func (c *soundCheck) valid() bool { return c.seen < soundEnough || c.strange < 0.5 }
