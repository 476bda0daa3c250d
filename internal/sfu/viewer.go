package sfu

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A viewer is a session that receives one publication.
type viewer struct {
	*peer
	pub    *publication
	sender *sender

	mu      sync.Mutex // taken before pub.mu
	streams []*stream
	source  *publisher // whom the streams follow
	reports time.Time

	inboxMu sync.Mutex // guards what the reader leaves for the sender
	repeat  []lost
}

type lost struct {
	stream *stream
	seq    uint16
}

const maxRepeat = 256 // repetitions that may wait for one viewer

func newViewer(s *SFU, who stage.Participant, o *offer, plan *plan) *viewer {
	v := &viewer{peer: newPeer(s, who, o)}
	v.peer.role = v
	for _, m := range []*planned{plan.audio, plan.video} {
		if m != nil && m.active {
			m.ssrc = rand.Uint32()
			v.streams = append(v.streams, &stream{
				video: m == plan.video, ssrc: m.ssrc, payloadType: m.codec.payloadType, clock: m.codec.clock,
				lastSeq: uint16(rand.Uint32()) >> 1, lastTS: rand.Uint32(),
			})
		}
	}
	return v
}

func (v *viewer) onReady(time.Time) { v.sender.wakeFor(v.pub) }

func (v *viewer) onEnd(_, _ string) { v.pub.leave(v) }

// onRTP: a viewer may send silence (the IVS web SDK does); nobody hears it.
func (v *viewer) onRTP(*rtp.Header, []byte, time.Time) {}

func (v *viewer) onRTCP(packets []rtcp.Packet, _ int, now time.Time) {
	for _, packet := range packets {
		switch r := packet.(type) {
		case *rtcp.TransportLayerNack:
			v.onNack(r)
		case *rtcp.PictureLossIndication:
			v.wantKeyframe(now)
		case *rtcp.FullIntraRequest:
			v.wantKeyframe(now)
		}
	}
}

func (v *viewer) streamOf(ssrc uint32) *stream {
	for _, s := range v.streams {
		if s.ssrc == ssrc {
			return s
		}
	}
	return nil
}

func (v *viewer) onNack(nack *rtcp.TransportLayerNack) {
	s := v.streamOf(nack.MediaSSRC)
	if s == nil {
		return
	}
	v.inboxMu.Lock()
	for _, pair := range nack.Nacks {
		for _, seq := range pair.PacketList() {
			if len(v.repeat) < maxRepeat {
				v.repeat = append(v.repeat, lost{s, seq})
			}
		}
	}
	v.inboxMu.Unlock()
	v.sender.wakeFor(v.pub)
}

func (v *viewer) takeRepeats() []lost {
	v.inboxMu.Lock()
	defer v.inboxMu.Unlock()
	list := v.repeat
	v.repeat = nil
	return list
}

func (v *viewer) wantKeyframe(now time.Time) {
	v.pub.mu.Lock()
	defer v.pub.mu.Unlock()
	if p := v.pub.source; p != nil {
		for _, t := range p.layers {
			p.wantKeyframe(t, now)
		}
	}
}

// onTick sends sender reports.
func (v *viewer) onTick(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now.Sub(v.reports) < reportEvery {
		return
	}
	v.reports = now
	var packets []rtcp.Packet
	v.pub.mu.Lock()
	for _, s := range v.streams {
		if sr := s.senderReport(now); sr != nil {
			packets = append(packets, sr, &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
				Source: s.ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: v.ufrag}}}}})
		}
	}
	v.pub.mu.Unlock()
	v.sendRTCP(packets...)
}

// forward puts what is due into the sender's batch, and says whether more of it waits for its time.
func (v *viewer) forward(out *sender, now time.Time) (more bool) {
	k, dest := v.keys.Load(), v.address()
	if k == nil || dest == nil || v.ctx.Err() != nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	list := out.scratch[:0]
	v.pub.mu.Lock()
	v.follow()
	for _, r := range v.takeRepeats() {
		if p := r.stream.sentPacket(r.seq); p != nil {
			list = append(list, outgoing{r.stream, p, r.seq})
		}
	}
	for _, s := range v.streams {
		var waits bool
		list, waits = s.due(list, now)
		more = more || waits
		if s.starved && v.pub.source != nil {
			v.pub.source.wantKeyframe(s.track, now)
		}
	}
	v.pub.mu.Unlock()
	for _, o := range list {
		out.send(o, k, dest)
	}
	clear(list)
	out.scratch = list[:0]
	return more
}

// follow attaches the streams to the tracks of the present source. Call with both locks.
func (v *viewer) follow() {
	source := v.pub.source
	if source == nil {
		return
	}
	for _, s := range v.streams {
		var t *track
		if !s.video {
			t = source.audio
		} else if len(source.layers) > 0 {
			t = source.layers[0]
		}
		if t != nil && t != s.track {
			s.attach(t)
		}
	}
	v.source = source
}

// A stream is one RTP stream to one viewer. However often its source changes, it is one stream to the viewer: sequence
// numbers and timestamps go on. Guarded by viewer.mu.
type stream struct {
	video       bool
	ssrc        uint32
	payloadType uint8
	clock       uint32

	track    *track
	next     uint64 // the index in the track's history that is sent next
	started  bool   // of this track something was sent
	starved  bool   // waits for a keyframe
	firstSeq uint64 // what came before is not for this viewer
	seqShift uint16 // out = in + shift
	tsShift  uint32

	lastSeq uint16 // sent
	lastTS  uint32
	lastAt  time.Time // zero before the first packet
	packets uint32
	octets  uint32
}

func (s *stream) attach(t *track) {
	s.track, s.started, s.starved = t, false, false
	s.next = t.history.end()
}

// due appends what is to be sent now.
func (s *stream) due(list []outgoing, now time.Time) ([]outgoing, bool) {
	if s.track == nil {
		return list, false
	}
	h := &s.track.history
	if !s.started || s.next < h.first {
		if !s.start(now) {
			return list, false
		}
	}
	for ; s.next < h.end(); s.next++ {
		p := h.at(s.next)
		if p.seq < s.firstSeq {
			continue // it belongs before the point at which this viewer came in
		}
		seq := uint16(p.seq) + s.seqShift
		list = append(list, outgoing{s, p, seq})
		if int16(seq-s.lastSeq) > 0 {
			s.lastSeq, s.lastTS = seq, uint32(p.ts)+s.tsShift
		}
		s.lastAt = now
	}
	return list, false
}

// start finds where to come in: the picture at a keyframe, the sound at once.
func (s *stream) start(now time.Time) bool {
	h := &s.track.history
	switch {
	case !s.video && len(h.packets) > 0:
		s.next = h.end() - 1
	case s.video && h.keyed && (!s.started || h.keyframe >= s.next):
		s.next = h.keyframe
	default:
		s.starved = s.video
		return false
	}
	s.starved = false
	s.splice(h.at(s.next), now)
	return true
}

// splice chooses the shifts so that the packet continues what was sent before, with the time that passed since.
func (s *stream) splice(p *packet, now time.Time) {
	s.started = true
	s.firstSeq = p.seq
	s.seqShift = s.lastSeq + 1 - uint16(p.seq)
	ts := s.lastTS
	if !s.lastAt.IsZero() {
		ts += max(1, uint32(now.Sub(s.lastAt).Seconds()*float64(s.clock)))
	}
	s.tsShift = ts - uint32(p.ts)
}

// sentPacket finds what was sent under that number. Only what came after the last splice has the shifts of now.
func (s *stream) sentPacket(seq uint16) *packet {
	if s.track == nil || !s.started || int16(seq-s.lastSeq) > 0 {
		return nil
	}
	in := unwrap16(s.track.arrival.highest, seq-s.seqShift)
	if in < s.firstSeq {
		return nil
	}
	return s.track.history.find(in)
}

// senderReport says which moment the stream is at, by the publisher's clock, so that a viewer plays sound and picture in step.
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

// ntpDuration is in 1/2^32 seconds (RFC 3550, 4).
func ntpDuration(d time.Duration) uint64 {
	return uint64(d/time.Second)<<32 + uint64(d%time.Second)<<32/uint64(time.Second)
}

// outgoing is one packet for one viewer.
type outgoing struct {
	stream *stream
	packet *packet
	seq    uint16
}

// write makes the RTP packet in b: the header anew and without extensions, the payload as it came.
func (o outgoing) write(b []byte) []byte {
	s := o.stream
	b = append(b, 0x80, s.payloadType)
	if o.packet.marker {
		b[1] |= 0x80
	}
	b = binary.BigEndian.AppendUint16(b, o.seq)
	b = binary.BigEndian.AppendUint32(b, uint32(o.packet.ts)+s.tsShift)
	b = binary.BigEndian.AppendUint32(b, s.ssrc)
	s.packets++
	s.octets += uint32(len(o.packet.payload))
	return append(b, o.packet.payload...)
}
