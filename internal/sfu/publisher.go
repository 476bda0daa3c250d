package sfu

import (
	"slices"
	"sync"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const (
	reportEvery   = time.Second            // interval of receiver reports
	feedbackEvery = 100 * time.Millisecond // interval of transport-wide feedback
	keyframeEvery = 500 * time.Millisecond // shortest interval between requests for a keyframe
	// after this time, a publisher that has never sent media may lose its place on a full stage
	idleAfter = 10 * time.Second
	maxTracks = 8 // RTP streams of one publisher
)

// A publisher is a session that sends media.
type publisher struct {
	*peer
	pub  *publication
	plan *plan

	eventMu sync.Mutex // keeps events in order
	ended   bool

	// The IDs of the negotiated extensions, or 0.
	twccID uint8
	ridID  uint8

	// Guarded by pub.mu.
	bySSRC     map[uint32]*track
	twcc       *twcc.Recorder // nil without transport-wide feedback
	audio      *track
	layers     []*track // of the picture: one track for each layer
	publishing bool     // EventPublishing was sent
	firstMedia time.Time
	reported   time.Time
	fedBack    time.Time
	examined   time.Time
	bytes      int   // bytes received since the last examination
	rates      []int // bit/s of the last seconds
	warned     map[string]bool
}

func newPublisher(s *SFU, who stage.Participant, o *offer, plan *plan) *publisher {
	p := &publisher{
		peer: newPeer(s, who, o), plan: plan, bySSRC: make(map[uint32]*track),
		warned: make(map[string]bool),
	}
	p.peer.role = p
	for _, m := range []*planned{plan.audio, plan.video} {
		if m == nil {
			continue
		}
		if id := m.transportCC(plan); id != 0 {
			p.twccID = id
			p.twcc = twcc.NewRecorder(p.ssrc)
		}
	}
	p.ridID = plan.video.ext(extRID)
	return p
}

func (p *publisher) event(kind stage.EventKind, code, detail string) {
	p.eventMu.Lock()
	defer p.eventMu.Unlock()
	if p.ended {
		return
	}
	p.ended = kind == stage.EventEnded
	p.sfu.cfg.Events(stage.Event{
		Time: p.sfu.cfg.Now(), Kind: kind, Stage: p.who.Stage, Participant: p.who.ID,
		UserID: p.who.UserID, Code: code, Detail: detail,
	})
}

// idle reports whether the publisher has never sent media, although it has had time to begin.
func (p *publisher) idle(now time.Time) bool {
	p.pub.mu.Lock()
	defer p.pub.mu.Unlock()
	return p.firstMedia.IsZero() && now.Sub(p.since) > idleAfter
}

func (p *publisher) onReady() {
	p.event(stage.EventConnected, "connected", words.English("said.event.connected", nil))
}

func (p *publisher) onOpen() {}

func (p *publisher) onEnd(code, detail string) {
	p.pub.dropSource(p)
	p.event(stage.EventEnded, code, detail)
}

// onRTP processes a packet.
func (p *publisher) onRTP(h *rtp.Header, payload []byte, now time.Time) {
	p.pub.mu.Lock()
	p.recordTransport(h, now)
	t := p.trackOf(h)
	fresh := t != nil && t.receive(h, payload, now)
	p.bytes += len(payload)
	announce := fresh && p.announces(now)
	p.pub.mu.Unlock()
	if announce {
		p.announce()
	}
	if fresh {
		p.sfu.markDirty(p.pub)
	}
}

func (p *publisher) recordTransport(h *rtp.Header, now time.Time) {
	if p.twcc == nil {
		return
	}
	var ext rtp.TransportCCExtension
	if b := h.GetExtension(p.twccID); b != nil && ext.Unmarshal(b) == nil {
		p.twcc.Record(h.SSRC, ext.TransportSequence, now.Sub(p.since).Microseconds())
	}
}

// trackOf returns the track of a packet by its SSRC. It recognizes a new track by its payload type,
// and a layer also by its rid.
func (p *publisher) trackOf(h *rtp.Header) *track {
	if t := p.bySSRC[h.SSRC]; t != nil && t.arrival.startedOver() {
		delete(p.bySSRC, h.SSRC) // the restarted stream becomes a new track
	} else if t != nil {
		if h.PayloadType != p.payloadType(t.video) {
			return nil
		}
		return t
	}
	if len(p.bySSRC) == maxTracks {
		return nil
	}
	switch audio := p.plan.audio; {
	case audio != nil && audio.active && h.PayloadType == audio.codec.payloadType:
		p.audio = newTrack(false, "", h.SSRC)
		p.bySSRC[h.SSRC] = p.audio
		return p.audio
	case p.plan.video.active && h.PayloadType == p.plan.video.codec.payloadType:
		return p.newLayer(h)
	}
	return nil
}

func (p *publisher) payloadType(video bool) uint8 {
	if video {
		return p.plan.video.codec.payloadType
	}
	return p.plan.audio.codec.payloadType
}

func (p *publisher) newLayer(h *rtp.Header) *track {
	rid := ""
	if rids := p.plan.video.rids(); len(rids) > 0 {
		rid = string(h.GetExtension(p.ridID))
		if !slices.Contains(rids, rid) {
			return nil // its layer is not known yet, but a later packet will name it
		}
	}
	t := newTrack(true, rid, h.SSRC)
	if rid == "" {
		for _, nal := range offeredSets(p.plan.video.codec.fmtp["sprop-parameter-sets"]) {
			t.learn(nal)
		}
	}
	p.bySSRC[h.SSRC] = t
	p.layers = slices.DeleteFunc(slices.Clone(p.layers),
		func(old *track) bool { return old.rid == rid })
	p.layers = append(p.layers, t)
	return t
}

// announces reports whether the publisher counts as live from now on: when a picture can be
// decoded, or when media without a picture has arrived for a second.
func (p *publisher) announces(now time.Time) bool {
	if p.publishing {
		return false
	}
	if p.firstMedia.IsZero() {
		p.firstMedia = now
	}
	keyed := slices.ContainsFunc(p.layers, func(t *track) bool { return t.history.keyed })
	p.publishing = keyed || now.Sub(p.firstMedia) > time.Second
	return p.publishing
}

func (p *publisher) announce() {
	p.pub.mu.Lock()
	sound, picture := p.audio != nil, len(p.layers)
	p.pub.mu.Unlock()
	p.event(stage.EventPublishing, "publishing", words.English(receives(sound, picture), nil))
	p.sfu.changed(p.who.Stage)
}

// receives returns the key of the sentence about what has arrived.
func receives(sound bool, layers int) string {
	switch {
	case sound && layers > 0:
		return "said.event.publishing"
	case layers > 0:
		return "said.event.picture"
	}
	return "said.event.sound"
}

// onRTCP reads sender reports, which synchronize the viewers' sound and picture.
func (p *publisher) onRTCP(packets []rtcp.Packet, now time.Time) {
	p.pub.mu.Lock()
	defer p.pub.mu.Unlock()
	for _, packet := range packets {
		if sr, ok := packet.(*rtcp.SenderReport); ok {
			if t := p.bySSRC[sr.SSRC]; t != nil {
				t.report = senderReport{ntp: sr.NTPTime, rtp: sr.RTPTime, at: now}
			}
		}
	}
}

// onTick sends the requests for lost packets, the transport-wide feedback and the receiver reports
// that are due. It also examines the media: it reports warnings, and ends the session after a fatal
// finding.
func (p *publisher) onTick(now time.Time) {
	if packets := p.duePackets(now); len(packets) > 0 {
		p.sendRTCP(packets...)
	}
	warnings, fatal := p.examine(now)
	for _, w := range warnings {
		p.event(stage.EventWarning, w.code, w.detail)
	}
	if fatal != nil {
		p.end(fatal.code, fatal.detail)
	}
}

func (p *publisher) duePackets(now time.Time) (packets []rtcp.Packet) {
	p.pub.mu.Lock()
	defer p.pub.mu.Unlock()
	if now.Sub(p.reported) >= reportEvery && len(p.bySSRC) > 0 {
		p.reported = now
		packets = append(packets, p.receiverReport(now))
	}
	for _, t := range p.bySSRC {
		if seqs := t.repair.due(now); len(seqs) > 0 && p.repeats(t.video) {
			slices.SortFunc(seqs, func(a, b uint16) int { return int(int16(a - b)) })
			packets = append(packets, &rtcp.TransportLayerNack{
				SenderSSRC: p.ssrc, MediaSSRC: t.ssrc,
				Nacks: rtcp.NackPairsFromSequenceNumbers(seqs),
			})
		}
	}
	if p.twcc != nil && now.Sub(p.fedBack) >= feedbackEvery {
		p.fedBack = now
		packets = append(packets, p.twcc.BuildFeedbackPacket()...)
	}
	return packets
}

func (p *publisher) repeats(video bool) bool {
	m := p.plan.audio
	if video {
		m = p.plan.video
	}
	return m.feedback("nack")
}

func (p *publisher) receiverReport(now time.Time) *rtcp.ReceiverReport {
	rr := &rtcp.ReceiverReport{SSRC: p.ssrc}
	for _, t := range p.bySSRC {
		rr.Reports = append(rr.Reports, t.reportBlock(now))
	}
	return rr
}

// wantKeyframe requests a keyframe from the publisher, at most once per keyframeEvery. The caller
// holds pub.mu.
func (p *publisher) wantKeyframe(t *track, now time.Time) {
	if now.Sub(t.askedAt) < keyframeEvery {
		return
	}
	if t.asked++; t.keyAt.Before(t.askedAt) {
		t.answered = 0 // the last request was not answered
	}
	t.askedAt = now
	p.sendRTCP(&rtcp.PictureLossIndication{SenderSSRC: p.ssrc, MediaSSRC: t.ssrc})
}
