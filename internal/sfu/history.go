package sfu

import "time"

// A packet is one RTP packet of a publisher, stored once for all viewers. It never changes.
type packet struct {
	seq     uint64 // unwrapped, starting above 1<<16
	ts      uint64 // unwrapped, starting above 1<<32
	at      time.Time
	payload []byte
	marker  bool
}

const (
	keepPackets = 512 // at least this many are kept, for viewers that lost packets
	// at most this many bytes are kept: 8 s at 8.5 Mb/s
	keepBytes  = 8 << 20
	keepAtMost = 1 << 14 // at most this many packets are kept, however small
	keepTime   = 12 * time.Second
)

// A history contains the packets of one track since its last keyframe, and some earlier ones, in
// order of arrival. All viewers share it as their queue, which is limited in size. Each viewer has
// an index into it. Indices only grow.
type history struct {
	packets  []*packet
	first    uint64 // the index of packets[0]
	bytes    int
	keyframe uint64 // the index at which the last keyframe starts
	keyed    bool   // the history contains a whole keyframe
}

func (h *history) end() uint64 { return h.first + uint64(len(h.packets)) }

func (h *history) at(i uint64) *packet { return h.packets[i-h.first] }

// add appends a packet and drops packets that are no longer needed.
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
		h.keyed = false // the keyframe is incomplete, so no viewer can start from it
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

// bytesFrom returns the size of the packets from index i on.
func (h *history) bytesFrom(i uint64) (n int) {
	for _, p := range h.packets[i-h.first:] {
		n += len(p.payload)
	}
	return n
}

// find returns the packet with a sequence number, if it is recent.
func (h *history) find(seq uint64) *packet {
	for i := len(h.packets) - 1; i >= 0 && i >= len(h.packets)-4*keepPackets; i-- {
		if h.packets[i].seq == seq {
			return h.packets[i]
		}
	}
	return nil
}
