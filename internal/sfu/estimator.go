package sfu

import (
	"math"
	"time"

	"github.com/pion/rtcp"
)

// An estimator derives two things from a viewer's transport-wide feedback
// (draft-holmer-rmcat-transport-wide-cc-extensions-01): whether the link is full, and the bitrate
// that the full link carries. It follows Google Congestion Control (draft-ietf-rmcat-gcc-02): it
// groups packets into bursts, fits a line through their delays, measures loss, and returns 0.85 of
// the rate that arrived.
//
// It differs from that draft, because this server forwards packets, and neither encodes nor paces
// them. A keyframe is sent at once and causes a queue on any link. So the estimator ignores short
// queues and measures the standing queue: the least delay within a fifth of a second. It does not
// increase a rate gradually, because between the bitrates of two layers there is nothing to send.
// It has no clock of its own, and one caller at a time may use it.
type estimator struct {
	epoch time.Time // all times are microseconds since the epoch
	sent  [sentKept]sentPacket
	last  uint16 // the highest number sent
	any   bool

	// reference time of the last feedback: 64 ms units of the viewer's clock, unwrapped
	reference int64
	count     uint8 // counter of the last feedback
	fed       bool
	gap       bool // a feedback packet was lost, so the fate of some media packets is unknown

	from    int64 // packets sent earlier are not judged
	settled bool  // the queue of packets sent earlier no longer counts
	burst   burst // the burst that is being reported
	bursts  [maxBursts]burst
	filled  int
	growing int64    // since when the standing queue has been growing; 0 if it is not growing
	base    [2]int64 // least delay of this and the previous period: that of an empty queue
	baseAt  int64

	loss     lossWindow
	proven   int // bit/s that arrived without a queue
	provenAt int64
}

// A sentPacket is the record of a sent packet. Its key is the transport-wide number, which is also
// the RTP sequence number.
type sentPacket struct {
	at       int64
	seq      uint16
	size     uint16 // 0 if nothing was sent
	repeated bool   // the packet was sent twice, so its time of sending is ambiguous
	told     fate
}

// A fate is the state of a packet in the feedback.
type fate uint8

const (
	fateUnknown fate = iota
	fateMissing
	fateReceived
)

// A burst is a group of packets that were sent within burstTime.
type burst struct {
	sent, lastSent int64
	arrived        int64 // when the last packet of the burst arrived
	delay          int64 // the least delay in the burst: viewer's clock minus this server's
	packets, bytes int
	gap            bool // reports about earlier packets are missing
}

type lossWindow struct {
	from, to   int64 // when the packets were sent
	told, lost int   // packets in the feedback, and how many of them were lost
	bytes      int   // bytes that arrived
}

const (
	sentKept  = 1024 // packets; about a second of 10 Mb/s
	maxBursts = 64

	burstTime    = 5_000 // µs, like all times here
	judgeTime    = 200_000
	judgeBursts  = 6
	forgetTime   = 1_000_000
	settleMost   = 1_000_000
	baseTime     = 10_000_000
	standing     = 25_000  // µs; a queue that never becomes shorter than this is a standing queue
	longQueue    = 120_000 // µs; a queue of this length is too long even if it does not grow
	rising       = 0.02    // seconds of queue per second
	lossTime     = 300_000
	lossForget   = 2_000_000
	lossPackets  = 20
	lossHigh     = 0.1
	provenTime   = 50_000
	provenQueue  = 10_000
	provenFor    = 5_000_000
	carriesShare = 0.85
)

func newEstimator(now time.Time) *estimator {
	return &estimator{epoch: now, base: [2]int64{math.MaxInt64, math.MaxInt64}}
}

func (e *estimator) micros(now time.Time) int64 { return now.Sub(e.epoch).Microseconds() }

// record records that the packet with that number is sent. A second call with the same number means
// that the packet is repeated.
func (e *estimator) record(seq uint16, size int, now time.Time) {
	ahead := int16(seq - e.last)
	if e.any && ahead <= -sentKept {
		return // a newer packet has the place of this one in e.sent
	}
	if !e.any || ahead > 0 {
		e.last, e.any = seq, true
	}
	p := &e.sent[seq%sentKept]
	if p.size > 0 && p.seq == seq {
		p.repeated = true
		return
	}
	*p = sentPacket{at: e.micros(now), seq: seq, size: uint16(max(1, min(size, math.MaxUint16)))}
}

// restart discards the earlier packets, such as those of another layer, and judges only packets
// that are sent from now on. The function `judge` first waits until the existing queue is short,
// but at most settleMost.
func (e *estimator) restart(now time.Time) {
	e.settled = e.settled && (e.filled == 0 || e.bursts[e.filled-1].delay-e.empty() < standing)
	e.from = e.micros(now)
	e.burst, e.filled, e.growing, e.loss = burst{}, 0, 0, lossWindow{}
}

// carriesLately returns the highest rate that the link recently carried without a queue. The link
// may carry more.
func (e *estimator) carriesLately(now time.Time) int {
	if e.micros(now)-e.provenAt > provenFor {
		return 0
	}
	return e.proven
}

// feedback processes one feedback packet. If the link is full, the result `carries` is the bitrate
// of the link, and packets that were sent before this call are not judged again.
func (e *estimator) feedback(f *rtcp.TransportLayerCC, now time.Time) (carries int, full bool) {
	if f.PacketStatusCount > sentKept {
		return 0, false // it reports more packets than are recorded
	}
	e.follow(f)
	at, seq, left, deltas := e.reference*64_000, f.BaseSequenceNumber, int(
		f.PacketStatusCount), f.RecvDeltas
	take := func(symbol uint16) {
		switch {
		case symbol == rtcp.TypeTCCPacketNotReceived:
			e.missing(seq)
		case symbol != rtcp.TypeTCCPacketReceivedWithoutDelta && len(deltas) > 0:
			at += deltas[0].Delta
			deltas = deltas[1:]
			if rate, yes := e.received(seq, at); yes {
				carries, full = rate, true
			}
		}
		seq++
		left--
	}
	for _, chunk := range f.PacketChunks {
		switch c := chunk.(type) {
		case *rtcp.RunLengthChunk:
			for n := min(left, int(c.RunLength)); n > 0; n-- {
				take(c.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			for _, symbol := range c.SymbolList[:min(left, len(c.SymbolList))] {
				take(symbol)
			}
		}
	}
	if rate, yes := e.judgeLoss(); yes && !full {
		carries, full = rate, true
	}
	if full {
		e.proven = 0
		e.restart(now)
	}
	return carries, full
}

// follow extends the viewer's clock, which has 24 bits in the feedback, to 64 bits. It also detects
// lost feedback packets.
func (e *estimator) follow(f *rtcp.TransportLayerCC) {
	if !e.fed {
		e.reference, e.count, e.fed = int64(f.ReferenceTime), f.FbPktCount, true
		return
	}
	step := int32(f.ReferenceTime<<8-uint32(e.reference)<<8) >> 8
	e.reference += int64(step)
	if e.count++; e.count != f.FbPktCount {
		e.count, e.gap, e.burst = f.FbPktCount, true, burst{}
	}
}

// find returns the packet that was sent with a number, unless that packet was judged already.
func (e *estimator) find(seq uint16) *sentPacket {
	p := &e.sent[seq%sentKept]
	if p.size == 0 || p.seq != seq || p.told == fateReceived || p.at < e.from {
		return nil
	}
	return p
}

func (e *estimator) missing(seq uint16) {
	if p := e.find(seq); p != nil && p.told == fateUnknown {
		p.told = fateMissing
		e.loss.take(p, true)
	}
}

func (e *estimator) received(seq uint16, arrived int64) (carries int, full bool) {
	p := e.find(seq)
	if p == nil {
		return 0, false
	}
	e.loss.bytes += int(p.size)
	if p.told == fateUnknown {
		e.loss.take(p, p.repeated)
	} else if !p.repeated { // a packet that was reported lost has arrived late
		e.loss.lost = max(0, e.loss.lost-1)
	}
	p.told = fateReceived
	b := &e.burst
	// the packet counts as traffic, but not for the burst's times: it was sent twice or out of
	// order
	if p.repeated || b.packets > 0 && p.at < b.sent {
		b.bytes += int(p.size)
		return 0, false
	}
	if b.packets > 0 && p.at-b.sent > burstTime {
		carries, full = e.finish()
		*b = burst{}
	}
	if b.packets == 0 {
		b.sent, b.arrived, b.delay, b.gap, e.gap = p.at, arrived, arrived-p.at, e.gap, false
	}
	b.lastSent = p.at
	b.arrived = max(b.arrived, arrived)
	b.delay = min(b.delay, arrived-p.at)
	b.packets++
	b.bytes += int(p.size)
	return carries, full
}

// finish adds the current burst to the list and judges the list.
func (e *estimator) finish() (carries int, full bool) {
	b := e.burst
	if e.filled > 0 && b.sent-e.bursts[e.filled-1].sent > forgetTime {
		e.filled, e.growing = 0, 0
	}
	if e.filled == maxBursts {
		copy(e.bursts[:], e.bursts[1:])
		e.filled--
	}
	e.bursts[e.filled] = b
	e.filled++
	if b.sent-e.baseAt > baseTime {
		e.base, e.baseAt = [2]int64{b.delay, e.base[0]}, b.sent
	}
	e.base[0] = min(e.base[0], b.delay)
	e.prove()
	return e.judge()
}

func (e *estimator) empty() int64 { return min(e.base[0], e.base[1]) }

// since returns the latest bursts that cover a certain time, and at least a certain number. If
// there are too few, it returns nil, or all bursts if there is no room for more.
func (e *estimator) since(span int64, atLeast int) []burst {
	for i := e.filled - atLeast; i >= 0; i-- {
		if e.bursts[e.filled-1].sent-e.bursts[i].sent >= span {
			return e.bursts[i:e.filled]
		}
	}
	if e.filled == maxBursts {
		return e.bursts[:]
	}
	return nil
}

// prove keeps the highest bitrate whose packets arrived without a delay: the viewer's connection
// carries at least that. A stage sends most in keyframes, and to viewers who catch up.
func (e *estimator) prove() {
	list := e.since(provenTime, 2)
	if list == nil || list[len(list)-1].delay-e.empty() > provenQueue {
		return
	}
	now := list[len(list)-1].sent
	if rate := bitrate(list); rate > e.proven || now-e.provenAt > provenFor {
		e.proven, e.provenAt = rate, now
	}
}

// judge reports whether the standing queue grows or is too long.
func (e *estimator) judge() (carries int, full bool) {
	list := e.since(judgeTime, judgeBursts)
	if list == nil {
		return 0, false
	}
	now, queue := list[len(list)-1].sent, list[0].delay
	for _, b := range list {
		queue = min(queue, b.delay)
	}
	queue -= e.empty()
	if e.settled = e.settled || queue < standing || now-e.from > settleMost; !e.settled {
		return 0, false
	}
	grows := slope(list)
	if queue < standing || grows < rising {
		e.growing = 0
	} else if e.growing == 0 {
		e.growing = now
	}
	long := queue > longQueue && grows > -rising
	if !long && (e.growing == 0 || now-e.growing < judgeTime) {
		return 0, false
	}
	return int(carriesShare * float64(bitrate(list))), true
}

// slope returns the slope of the line through the delays (least squares).
func slope(list []burst) float64 {
	var x, y, xx, xy float64
	for _, b := range list {
		dx, dy := float64(b.sent-list[0].sent), float64(b.delay-list[0].delay)
		x, y, xx, xy = x+dx, y+dy, xx+dx*dx, xy+dx*dy
	}
	n := float64(len(list))
	return (n*xy - x*y) / max(1, n*xx-x*x)
}

// bitrate returns the rate at which the bursts arrived, without the first burst. If a pause of the
// network compressed the bursts, the result is at most the rate at which they were sent.
func bitrate(list []burst) int {
	bytes, sending, arriving := 0, int64(0), int64(0)
	for i, b := range list[1:] {
		if !b.gap {
			bytes += b.bytes
			sending += b.lastSent - list[i].lastSent
			arriving += b.arrived - list[i].arrived
		}
	}
	return int(float64(bytes) * 8e6 / float64(max(sending, arriving, 1)))
}

func (l *lossWindow) take(p *sentPacket, lost bool) {
	if l.told == 0 {
		l.from = p.at
	}
	l.to = max(l.to, p.at)
	l.told++
	if lost {
		l.lost++
	}
}

// judgeLoss reports whether the share of lost packets is above the limit by more than two standard
// deviations. If there are few packets, a large share of lost ones may be chance.
func (e *estimator) judgeLoss() (carries int, full bool) {
	l := e.loss
	span := l.to - l.from
	if span > lossForget {
		e.loss = lossWindow{}
	}
	if l.told < lossPackets || span < lossTime || float64(l.lost)-2*math.Sqrt(
		float64(l.lost)) < lossHigh*float64(l.told) {
		return 0, false
	}
	rate := int(float64(l.bytes) * 8e6 / float64(span))
	if list := e.since(judgeTime, judgeBursts); list != nil {
		rate = min(rate, bitrate(list)) // the loss may have begun only recently
	}
	return int(carriesShare * float64(rate)), true
}
