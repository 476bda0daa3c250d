package sfu

import "sync/atomic"

// A Traffic is how much media went over the network since the start, in bytes of the encrypted
// packets. Repeated packets count again, and packets that the network did not take do not count.
type Traffic struct {
	Received uint64
	Sent     uint64
}

// traffic counts a Traffic.
type traffic struct{ received, sent atomic.Uint64 }

// Traffic returns how much media was received and sent.
func (s *SFU) Traffic() Traffic {
	return Traffic{Received: s.traffic.received.Load(), Sent: s.traffic.sent.Load()}
}
