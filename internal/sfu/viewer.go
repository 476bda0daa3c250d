package sfu

import (
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
		if o, found := r.stream.sentPacket(r.seq); found {
			list = append(list, o)
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
