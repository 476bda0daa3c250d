package sfu

// NAL unit types (H.264, table 7-1) and payload structures (RFC 6184, table 1).
const (
	nalSlice = 1
	nalIDR   = 5
	nalSPS   = 7
	nalSTAPA = 24
	nalFUA   = 28
)

// keyframePart says whether an RTP payload begins an IDR picture or carries the parameter sets before one.
func keyframePart(payload []byte) bool {
	if len(payload) < 2 {
		return false
	}
	switch payload[0] & 0x1f {
	case nalIDR, nalSPS:
		return true
	case nalFUA:
		start := payload[1]&0x80 != 0
		return start && payload[1]&0x1f == nalIDR
	case nalSTAPA:
		for nal := range aggregated(payload[1:]) {
			if t := nal[0] & 0x1f; t == nalIDR || t == nalSPS {
				return true
			}
		}
	}
	return false
}

// aggregated walks the NAL units of a STAP-A (RFC 6184, 5.7.1); it stops where the lengths stop making sense.
func aggregated(b []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 2 {
			size := int(b[0])<<8 | int(b[1])
			b = b[2:]
			if size == 0 || size > len(b) || !yield(b[:size]) {
				return
			}
			b = b[size:]
		}
	}
}
