package sfu

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
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

	mu      sync.Mutex // locked before pub.mu
	streams []*stream
	fixed   string // the layer that the viewer selected; "" is automatic
	lines   int    // height at which the picture is shown, in lines; 0 if it is not known
	reports time.Time

	bandwidth bandwidth
	sent      atomic.Uint64 // bytes

	inboxMu sync.Mutex // guards repeat, which the reader fills and the sender empties
	repeat  []lost
}

type lost struct {
	stream *stream
	seq    uint16
}

const maxRepeat = 256 // limit of packets that wait to be repeated to one viewer

func newViewer(s *SFU, who stage.Participant, o *offer, plan *plan) *viewer {
	v := &viewer{peer: newPeer(s, who, o)}
	v.peer.role = v
	for _, m := range []*planned{plan.audio, plan.video} {
		if m != nil && m.active {
			m.ssrc = rand.Uint32()
			v.streams = append(v.streams, &stream{
				video: m == plan.video, mid: m.section.mid, ssrc: m.ssrc,
				payloadType: m.codec.payloadType, clock: m.codec.clock,
				transportCC: m.transportCC(plan),
				lastSeq:     uint16(rand.Uint32()) >> 1, lastTS: rand.Uint32(),
			})
			if m.transportCC(plan) != 0 {
				v.bandwidth.transport = newEstimator(v.since)
			}
		}
	}
	return v
}

func (v *viewer) onReady() {}

func (v *viewer) onOpen() { v.sender.wakeFor(v.pub) }

func (v *viewer) onEnd(_, _ string) { v.pub.leave(v) }

// onRTP drops the packet, because a viewer may send silence, as the IVS web SDK does.
func (v *viewer) onRTP(*rtp.Header, []byte, time.Time) {}

func (v *viewer) onRTCP(packets []rtcp.Packet, now time.Time) {
	for _, packet := range packets {
		switch r := packet.(type) {
		case *rtcp.ReceiverReport:
			v.onReports(r.Reports, now)
		case *rtcp.SenderReport:
			v.onReports(r.Reports, now)
		case *rtcp.TransportLayerCC:
			v.bandwidth.feedback(r, now)
		case *rtcp.TransportLayerNack:
			v.onNack(r)
		case *rtcp.PictureLossIndication:
			v.wantKeyframe(now)
		case *rtcp.FullIntraRequest:
			v.wantKeyframe(now)
		}
	}
}

// onReports passes the report about the picture to the bandwidth estimate.
func (v *viewer) onReports(reports []rtcp.ReceptionReport, now time.Time) {
	for _, r := range reports {
		if s := v.streamOf(r.SSRC); s != nil && s.video {
			v.bandwidth.report(v.sent.Load(), float64(r.FractionLost)/256,
				v.roundTrip(s, r, now), now)
		}
	}
}

// roundTrip returns the time since the last sender report, minus the time that the viewer held the
// report (RFC 3550, 6.4.1).
func (v *viewer) roundTrip(s *stream, r rtcp.ReceptionReport, now time.Time) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.LastSenderReport == 0 || r.LastSenderReport != s.reported {
		return 0
	}
	return max(0, now.Sub(s.reportedAt)-time.Duration(r.Delay)*time.Second/65536)
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
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pub.mu.Lock()
	defer v.pub.mu.Unlock()
	for _, s := range v.streams {
		if s.video && s.track != nil && v.pub.source != nil {
			v.pub.source.wantKeyframe(s.track, now)
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
			s.reported, s.reportedAt = uint32(sr.NTPTime>>16), now
			packets = append(packets, sr,
				&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
					Source: s.ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME,
						Text: v.ufrag}}}}})
		}
	}
	v.pub.mu.Unlock()
	v.sendRTCP(packets...)
}

// forward adds the packets that must be sent now to the sender's batch. It reports whether there
// are more packets, which are not due yet.
func (v *viewer) forward(out *sender, now time.Time) (more bool) {
	k, dest := v.keys.Load(), v.address()
	if k == nil || dest == nil || v.ctx.Err() != nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	list := out.scratch[:0]
	v.pub.mu.Lock()
	v.follow(now)
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
	if v.bandwidth.transport != nil && len(list) > 0 {
		// read the clock again, because serving other viewers took time
		v.bandwidth.record(list, v.sfu.cfg.Now())
	}
	for _, o := range list {
		out.send(o, k, dest)
		v.sent.Add(uint64(len(o.packet.payload)))
	}
	clear(list)
	out.scratch = list[:0]
	return more
}
