package sfu

import (
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// A track is one RTP stream of a publisher: the sound, or one layer of the picture. Guarded by
// publication.mu.
type track struct {
	video bool
	rid   string
	ssrc  uint32
	clock uint32

	history history
	arrival arrival
	repair  repair

	keyTS       uint64    // timestamp of the last keyframe
	keyAt       time.Time // when the last keyframe arrived
	keyInterval time.Duration
	askedAt     time.Time // when a keyframe was last requested
	asked       int       // how often a keyframe was requested
	answered    int       // how many of the latest consecutive requests were answered at once
	bFrames     bool
	sets        parameterSets
	bare        bool // the last keyframe arrived without parameter sets
	picture     picture
	sound       soundCheck
	lately      measure // updated every second

	report     senderReport
	receivedAt time.Time // when the last packet arrived
	frameTS    uint64    // timestamp of the newest frame
	frameAt    time.Time // when the first packet of that frame arrived
	beforeAt   time.Time // when the first packet of the previous frame arrived
}

// A senderReport relates the publisher's clock to the track's (RFC 3550, 6.4.1).
type senderReport struct {
	ntp uint64
	rtp uint32
	at  time.Time
}

func newTrack(video bool, rid string, ssrc uint32) *track {
	t := &track{video: video, rid: rid, ssrc: ssrc, clock: 48000}
	if video {
		t.clock = 90000
	}
	return t
}

// receive processes a packet, and reports whether it was added to the history.
func (t *track) receive(h *rtp.Header, payload []byte, now time.Time) bool {
	before := t.arrival.highest
	seq, fresh := t.arrival.take(h, t.clock, now)
	if !fresh {
		return false
	}
	t.receivedAt = now
	if ts := t.arrival.highestTS; ts != t.frameTS {
		t.frameTS, t.frameAt, t.beforeAt = ts, now, t.frameAt
	}
	if before != 0 {
		t.repair.received(seq, before)
	}
	p := &packet{
		seq: seq, ts: t.arrival.unwrapTS(h.Timestamp), at: now, payload: payload, marker: h.Marker,
	}
	key := false
	if t.video {
		key = t.look(p)
	} else {
		t.sound.take(p)
	}
	t.history.add(p, key)
	return true
}

// look inspects a packet of the picture, and reports whether a keyframe starts there. Parameter
// sets and slices of one picture share a timestamp, and only the first of them starts the keyframe.
func (t *track) look(p *packet) bool {
	u := inspect(p.payload)
	t.bFrames = t.bFrames || u.bSlice
	for _, nal := range u.sets {
		t.learn(nal)
	}
	if !u.keyframe || p.ts == t.keyTS {
		return false
	}
	t.bare = !u.headed
	t.keyframe(p)
	return true
}

func (t *track) learn(nal []byte) {
	if !t.sets.learn(nal) || nalType(nal) != h264.NALUTypeSPS {
		return
	}
	if picture, err := parseSPS(nal); err == nil {
		t.picture = picture
	}
}

// header returns a packet with the parameter sets that a viewer needs before the last keyframe. The
// parameter `first` is the first packet of that keyframe. If the keyframe contains the parameter
// sets, or if none are known, `header` returns nil.
func (t *track) header(first *packet) *packet {
	if !t.video || !t.bare {
		return nil
	}
	payload := t.sets.payload()
	if payload == nil {
		return nil
	}
	return &packet{seq: first.seq - 1, ts: first.ts, at: first.at, payload: payload}
}

// answerWithin is the longest time between a request and a keyframe that counts as its answer.
const answerWithin = 400 * time.Millisecond

func (t *track) keyframe(p *packet) {
	if !t.keyAt.IsZero() {
		t.keyInterval = max(0, time.Duration(int64(p.ts-t.keyTS))*time.Second/time.Duration(
			t.clock))
	}
	t.keyTS, t.keyAt = p.ts, p.at
	if t.askedAt.IsZero() {
		return
	}
	if p.at.Sub(t.askedAt) <= answerWithin {
		t.answered++
	} else {
		t.answered = 0
	}
}

// keyframesOnRequest reports whether the publisher makes keyframes on request, as browsers do and
// OBS does not. Two requests in a row must have been answered, because a single keyframe may be a
// coincidence.
func (t *track) keyframesOnRequest() bool { return t.answered >= 2 }

// An arrival contains statistics of the received packets of a track (RFC 3550, A.1, A.3, A.8).
type arrival struct {
	started         bool
	base            uint64 // the first sequence number
	highest         uint64
	highestTS       uint64
	packets         uint64
	strays          int // consecutive packets whose number differs by more than maxJump
	jitter          float64
	transit         float64
	origin          time.Time
	reportedPackets uint64 // packets at the last report
	reportedHighest uint64
}

// maxJump is how far a sequence number may differ from the highest. After maxStrays consecutive
// packets with a larger difference, the sender counts as restarted.
const (
	maxJump   = 1 << 13
	maxStrays = 32
)

func (a *arrival) startedOver() bool { return a.strays > maxStrays }

func (a *arrival) take(h *rtp.Header, clock uint32, now time.Time) (seq uint64, fresh bool) {
	if !a.started {
		a.start(h, now)
	}
	seq = unwrap16(a.highest, h.SequenceNumber)
	if seq > a.highest+maxJump || seq+maxJump < a.highest {
		a.strays++
		return 0, false
	}
	a.strays = 0
	a.highest = max(a.highest, seq)
	a.packets++
	ts := a.unwrapTS(h.Timestamp)
	a.highestTS = max(a.highestTS, ts)
	a.updateJitter(ts, clock, now)
	return seq, true
}

func (a *arrival) start(h *rtp.Header, now time.Time) {
	a.started = true
	a.base = 1<<16 + uint64(h.SequenceNumber)
	a.highest = a.base
	a.reportedHighest = a.base - 1
	a.highestTS = 1<<32 + uint64(h.Timestamp)
	a.origin = now
}

func (a *arrival) updateJitter(ts uint64, clock uint32, now time.Time) {
	transit := now.Sub(a.origin).Seconds()*float64(clock) - float64(ts)
	if a.packets > 1 {
		a.jitter += (max(transit-a.transit, a.transit-transit) - a.jitter) / 16
	}
	a.transit = transit
}

func (a *arrival) unwrapTS(ts uint32) uint64 {
	return uint64(int64(a.highestTS) + int64(int32(ts-uint32(a.highestTS))))
}

func unwrap16(reference uint64, seq uint16) uint64 {
	return uint64(int64(reference) + int64(int16(seq-uint16(reference))))
}

// reportBlock returns the receiver report of this server about the track.
func (t *track) reportBlock(now time.Time) rtcp.ReceptionReport {
	a := &t.arrival
	expected, received := a.highest-a.reportedHighest, a.packets-a.reportedPackets
	a.reportedHighest, a.reportedPackets = a.highest, a.packets
	r := rtcp.ReceptionReport{
		SSRC:               t.ssrc,
		LastSequenceNumber: uint32(a.highest - 1<<16),
		Jitter:             uint32(a.jitter),
		TotalLost:          uint32(min(a.lost(), 1<<23-1)),
	}
	if expected > received {
		r.FractionLost = uint8(min((expected-received)*256/expected, 255))
	}
	if !t.report.at.IsZero() {
		r.LastSenderReport = uint32(t.report.ntp >> 16)
		r.Delay = uint32(now.Sub(t.report.at).Seconds() * 65536)
	}
	return r
}

func (a *arrival) lost() uint64 {
	if expected := a.highest - a.base + 1; expected > a.packets {
		return expected - a.packets
	}
	return 0
}

// A repair records which packets are missing, and when each was requested.
type repair struct {
	missing map[uint64]request
}

type request struct {
	tries int
	at    time.Time
}

const (
	maxMissing   = 256 // if more packets are missing, only a keyframe helps
	maxRequests  = 8
	requestEvery = 100 * time.Millisecond
)

// received updates the list of missing packets. It removes the packet that arrived, and adds the
// packets between it and the highest packet that arrived earlier.
func (r *repair) received(seq, highest uint64) {
	delete(r.missing, seq)
	if r.missing == nil {
		r.missing = make(map[uint64]request)
	}
	for gap := highest + 1; gap < seq && len(r.missing) < maxMissing; gap++ {
		r.missing[gap] = request{}
	}
}

// due returns the packets to request now. It is called at each tick, so that a packet which is only
// out of order may arrive before it is requested.
func (r *repair) due(now time.Time) (seqs []uint16) {
	for seq, req := range r.missing {
		if now.Sub(req.at) < requestEvery {
			continue
		}
		if req.tries == maxRequests {
			delete(r.missing, seq)
			continue
		}
		r.missing[seq] = request{req.tries + 1, now}
		seqs = append(seqs, uint16(seq))
	}
	return seqs
}
