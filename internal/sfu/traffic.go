package sfu

import "sync/atomic"

// A Traffic is the media sent and received since the start, in bytes of encrypted packets. Repeated
// packets count again. Packets that the kernel refused do not count.
type Traffic struct {
	Received uint64
	Sent     uint64
}

// traffic is the running count for a Traffic.
type traffic struct{ received, sent atomic.Uint64 }

// Traffic returns the media sent and received so far.
func (s *SFU) Traffic() Traffic {
	return Traffic{Received: s.traffic.received.Load(), Sent: s.traffic.sent.Load()}
}
