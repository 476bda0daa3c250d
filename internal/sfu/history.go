package sfu

import "time"

// A packet is one RTP packet of a publisher, kept once for all viewers. It does not change.
type packet struct {
	seq     uint64 // unwrapped, starting above 1<<16
	ts      uint64 // unwrapped, starting above 1<<32
	at      time.Time
	payload []byte
	marker  bool
}

const (
	keepPackets = 512 // at least so many are kept, to repeat what a viewer lost
	// at most so much is kept since the last keyframe; 8.5 Mb/s fill it in 8 s
	keepBytes  = 8 << 20
	keepAtMost = 1 << 14 // packets; however small they are
	keepTime   = 12 * time.Second
)

// A history is what one track sent since its last keyframe, in order of arrival. Viewers hold an
// index into it, so it is their queue, too: bounded, and shared. Indices never go back.
type history struct {
	packets  []*packet
	first    uint64 // the index of packets[0]
	bytes    int
	keyframe uint64 // the index at which the last keyframe starts
	keyed    bool   // there is one
}

func (h *history) end() uint64 { return h.first + uint64(len(h.packets)) }

func (h *history) at(i uint64) *packet { return h.packets[i-h.first] }

// add appends and forgets what is not needed any more.
func (h *history) add(p *packet, startsKeyframe bool) {
	if startsKeyframe {
		h.keyframe, h.keyed = h.end(), true
	}
	h.packets = append(h.packets, p)
	h.bytes += len(p.payload)
	for h.tooMuch(p.at) {
		h.bytes -= len(h.packets[0].payload)
		h.packets[0] = nil
		h.packets = h.packets[1:]
		h.first++
	}
	if h.keyed && h.keyframe < h.first {
		h.keyed = false // its beginning is gone: no viewer can start from it
	}
}

func (h *history) tooMuch(now time.Time) bool {
	switch n := len(h.packets); {
	case h.bytes > keepBytes || n > keepAtMost:
		return true
	case n <= keepPackets:
		return false
	}
	return !h.keyed || h.first < h.keyframe || now.Sub(h.packets[0].at) > keepTime
}

// bytesFrom is the size of what is kept from that index on.
func (h *history) bytesFrom(i uint64) (n int) {
	for _, p := range h.packets[i-h.first:] {
		n += len(p.payload)
	}
	return n
}

// find looks for a sequence number among the latest packets.
func (h *history) find(seq uint64) *packet {
	for i := len(h.packets) - 1; i >= 0 && i >= len(h.packets)-4*keepPackets; i-- {
		if h.packets[i].seq == seq {
			return h.packets[i]
		}
	}
	return nil
}
