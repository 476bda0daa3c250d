package sfu

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
)

// A stream is one RTP stream to one viewer. For the viewer it stays one stream when its source
// changes, because sequence numbers and timestamps continue. Guarded by viewer.mu.
type stream struct {
	video       bool
	mid         string
	ssrc        uint32
	payloadType uint8
	transportCC uint8 // ID of the extension; 0 if not negotiated
	clock       uint32

	target     *track // the layer to switch to at its next keyframe
	targetFrom uint64 // index in the target's history; earlier keyframes would go back in time
	paused     bool

	track    *track
	next     uint64    // index in the track's history of the next packet to send
	started  bool      // a packet of this track was sent
	starved  bool      // the stream waits for a keyframe
	asking   time.Time // since when the stream waits for a new keyframe; zero if it does not wait
	firstSeq uint64    // earlier packets are not for this viewer
	header   *packet   // parameter sets to send before the first keyframe, if it contains none
	headed   bool      // the parameter sets were sent
	seqShift uint16    // sequence number for the viewer = number in the track + seqShift
	tsShift  uint32
	catchUp  catchUp

	lastSeq uint16 // sequence number of the last packet that was sent
	lastTS  uint32
	lastAt  time.Time // zero before the first packet
	packets uint32
	octets  uint32

	reported   uint32 // the middle 32 bits of the NTP time of the last sender report
	reportedAt time.Time
}

func (s *stream) attach(t *track) {
	s.track, s.target, s.started, s.starved, s.asking = t, nil, false, false, time.Time{}
	s.next = t.history.end()
}

// pause stops the stream, or restarts it as for a new viewer.
func (s *stream) pause(on bool) {
	if s.paused && !on && s.track != nil {
		s.attach(s.track)
	}
	s.paused = on
}

// due appends the packets that must be sent now. It reports whether there are more packets, which
// are not due yet.
func (s *stream) due(list []outgoing, now time.Time) (_ []outgoing, waits bool) {
	if s.track == nil || s.paused {
		return list, false
	}
	h := &s.track.history
	if (!s.started || s.next < h.first) && !s.start(now) {
		return list, false
	}
	if s.header != nil && !s.headed {
		s.headed = true
		ts, _ := s.place(s.header) // due at the same time as the keyframe
		list = append(list, s.outgoing(s.header, ts, now))
	}
	for ; s.next < h.end(); s.next++ {
		p := h.at(s.next)
		if p.seq < s.firstSeq {
			continue // the packet is older than the viewer's first one
		}
		ts, at := s.place(p)
		if at.After(now) {
			return list, true
		}
		list = append(list, s.outgoing(p, ts, now))
	}
	return list, false
}

// outgoing numbers a packet that is sent for the first time.
func (s *stream) outgoing(p *packet, ts uint32, now time.Time) outgoing {
	seq := uint16(p.seq) + s.seqShift
	if int16(seq-s.lastSeq) > 0 {
		s.lastSeq, s.lastTS, s.lastAt = seq, ts, now
	}
	return outgoing{s, p, seq, ts}
}

// place returns a packet's timestamp for this viewer, and the time at which the packet is due.
func (s *stream) place(p *packet) (ts uint32, at time.Time) {
	if past, at := s.catchUp.place(p.ts); past > 0 {
		return uint32(p.ts) + s.tsShift + past, at
	}
	return uint32(p.ts) + s.tsShift, time.Time{}
}

// start finds the first packet to send: for the picture the start of the last keyframe, for the
// sound the newest packet.
func (s *stream) start(now time.Time) bool {
	h := &s.track.history
	switch {
	case !s.video && len(h.packets) > 0:
		s.next = h.end() - 1
	case s.video && h.keyed && (!s.started || h.keyframe >= s.next) && !s.betterAsk(now):
		s.next = h.keyframe
	default:
		s.starved = s.video
		return false
	}
	s.starved = false
	s.splice(h, now)
	return true
}

// betterAsk reports whether to wait for a new keyframe, for answerWithin at most. If the publisher
// makes keyframes on request and the last one is old, this is better than to begin with that one
// and to catch up in fast motion (see catchUp).
func (s *stream) betterAsk(now time.Time) bool {
	if !s.track.keyframesOnRequest() || now.Sub(s.track.keyAt) < 2*time.Second {
		return false
	}
	if s.asking.IsZero() {
		s.asking = now
	}
	return now.Sub(s.asking) < answerWithin
}

// splice sets the shifts so that the next packet continues the packets sent before. Timestamps
// advance by the time that has passed, and the track's live edge corresponds to the present.
func (s *stream) splice(h *history, now time.Time) {
	first := h.at(s.next)
	s.started = true
	s.firstSeq = first.seq
	s.seqShift = s.lastSeq + 1 - uint16(first.seq)
	s.header, s.headed = s.track.header(first), false
	if s.header != nil {
		s.seqShift++
	}
	ts := s.lastTS
	if !s.lastAt.IsZero() {
		ts += max(1, uint32(now.Sub(s.lastAt).Seconds()*float64(s.clock)))
	}
	span := s.track.arrival.highestTS - first.ts
	s.tsShift = ts - uint32(first.ts) - uint32(span)
	s.catchUp = newCatchUp(first.ts, span, h.bytesFrom(s.next), s.clock, now)
}

// sentPacket returns the packet that was sent with a number. It finds only packets since the last
// splice, because earlier packets had other shifts.
func (s *stream) sentPacket(seq uint16) (o outgoing, found bool) {
	if s.track == nil || !s.started || int16(seq-s.lastSeq) > 0 {
		return outgoing{}, false
	}
	in := unwrap16(s.track.arrival.highest, seq-s.seqShift)
	p := s.sent(in)
	if p == nil {
		return outgoing{}, false
	}
	ts, _ := s.place(p)
	return outgoing{s, p, seq, ts}, true
}

// sent returns the packet with a number of the track, if this viewer has received it.
func (s *stream) sent(seq uint64) *packet {
	switch {
	case s.headed && s.header.seq == seq:
		return s.header
	case seq < s.firstSeq:
		return nil
	}
	return s.track.history.find(seq)
}

// senderReport relates the stream's clock to the wall clock by means of the publisher's clock, so
// that a viewer can synchronize sound and picture.
func (s *stream) senderReport(now time.Time) *rtcp.SenderReport {
	if s.track == nil || !s.started || s.track.report.at.IsZero() {
		return nil
	}
	r := s.track.report
	passed := now.Sub(r.at)
	return &rtcp.SenderReport{
		SSRC:        s.ssrc,
		NTPTime:     r.ntp + ntpDuration(passed),
		RTPTime:     r.rtp + uint32(passed.Seconds()*float64(s.clock)) + s.tsShift,
		PacketCount: s.packets,
		OctetCount:  s.octets,
	}
}

// ntpDuration returns a duration in units of 1/2^32 seconds (RFC 3550, 4).
func ntpDuration(d time.Duration) uint64 {
	return uint64(d/time.Second)<<32 + uint64(d%time.Second)<<32/uint64(time.Second)
}

// outgoing is one packet for one viewer.
type outgoing struct {
	stream *stream
	packet *packet
	seq    uint16
	ts     uint32
}

// write writes the RTP packet into b: a new header, and the unchanged payload. The only extension
// is the transport-wide number, which equals the sequence number. So a repeated packet is identical
// bit for bit.
func (o outgoing) write(b []byte) []byte {
	s := o.stream
	b = append(b, 0x80, s.payloadType)
	if o.packet.marker {
		b[1] |= 0x80
	}
	b = binary.BigEndian.AppendUint16(b, o.seq)
	b = binary.BigEndian.AppendUint32(b, o.ts)
	b = binary.BigEndian.AppendUint32(b, s.ssrc)
	if s.transportCC != 0 { // RFC 8285, 4.2
		b[0] |= 0x10
		b = append(b, 0xbe, 0xde, 0, 1, s.transportCC<<4|1, byte(o.seq>>8), byte(o.seq), 0)
	}
	s.packets++
	s.octets += uint32(len(o.packet.payload))
	return append(b, o.packet.payload...)
}
