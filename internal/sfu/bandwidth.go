package sfu

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// A bandwidth decides which layer of a simulcast fits the network of one viewer. It uses the
// viewer's transport-wide feedback (see estimator). Without that feedback, it uses what every
// receiver reports once a second (RFC 3550, 6.4): loss and round trip. The round trip grows when a
// queue fills.
// The capacity of a link is known only while the link is congested: then it is the rate that
// arrives. At other times, only a try can show the capacity: after some time without congestion,
// the next layer is tried. Each failed try doubles that time.
type bandwidth struct {
	mu       sync.Mutex
	level    int           // the highest allowed layer, from 0 up
	chosen   int           // the last result of `choose`
	started  bool          // level was initialized
	highest  bool          // start with the highest layer instead of the lowest
	calm     time.Time     // since when there was no congestion at this level
	patience time.Duration // wait before the next try
	tried    bool          // the level is a try, which has not held long enough yet
	carried  int           // bit/s that arrived when the link was last full; 0 if it was never full
	settling bool          // the layer is being switched, and reports still describe the old one

	transport *estimator // nil if the viewer does not support the feedback
	fedBack   time.Time

	// From receiver reports.
	shortest time.Duration // shortest round trip
	reported time.Time
	sent     uint64 // bytes, as of the last report
	queued   int    // consecutive reports whose round trip shows a long queue
}

const (
	firstPatience = 2 * time.Second
	mostPatience  = time.Minute
	quickPatience = 300 * time.Millisecond // the wait if the next layer is known to fit
	holdTime      = 10 * time.Second       // a try that holds for this long has succeeded
	fitsWell      = 1.25
	feedbackStale = 2 * time.Second // after this time without feedback, receiver reports are used
	lossTooHigh   = 0.08
	queueTooLong  = 120 * time.Millisecond
	// A single report may be late because the viewer's computer paused.
	queueReports = 2
	settleTime   = 1500 * time.Millisecond
)

// record records the sequence numbers of packets that are sent now.
func (b *bandwidth) record(list []outgoing, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range list {
		if o.stream.transportCC != 0 {
			b.transport.record(o.seq, len(o.packet.payload), now)
		}
	}
}

// feedback processes the viewer's transport-wide feedback.
func (b *bandwidth) feedback(f *rtcp.TransportLayerCC, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.transport == nil {
		return
	}
	b.fedBack = now
	if carries, full := b.transport.feedback(f, now); full {
		b.carried, b.calm = carries, now
	}
}

// report processes a receiver report. The parameter `loss` is the share of packets that were lost
// since the last report. The parameter `roundTrip` is 0 if the round trip is not known.
func (b *bandwidth) report(sent uint64, loss float64, roundTrip time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	since, bytes := now.Sub(b.reported), sent-b.sent
	first := b.reported.IsZero()
	b.reported, b.sent = now, sent
	if roundTrip > 0 && (b.shortest == 0 || roundTrip < b.shortest) {
		b.shortest = roundTrip
	}
	if first || !b.started || b.settling || now.Sub(b.calm) < settleTime ||
		now.Sub(b.fedBack) < feedbackStale {
		return
	}
	if b.queued++; roundTrip-b.shortest < queueTooLong {
		b.queued = 0
	}
	if loss < lossTooHigh && b.queued < queueReports {
		return
	}
	b.queued = 0
	b.carried = int(float64(bytes*8) * (1 - loss) / max(since.Seconds(), 0.1))
	b.calm = now
	b.level--
}

// choose returns the layer to send. The parameter `rates` has the bitrate of each layer, lowest
// first.
func (b *bandwidth) choose(rates []int, settling bool, now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	top := len(rates) - 1
	if !b.started {
		b.started, b.calm, b.patience = true, now, firstPatience
		if b.highest {
			b.level = top
		}
		b.chosen = b.level
	}
	if b.settling && !settling && b.transport != nil {
		b.transport.restart(now)
	}
	if b.settling = settling; settling {
		b.calm = now
	}
	b.level = max(0, min(b.level, top))
	b.lower(rates)
	b.raise(rates, now)
	b.chosen = b.level
	return b.level
}

// lower moves down to a layer whose bitrate the link carries.
func (b *bandwidth) lower(rates []int) {
	for b.carried > 0 && b.level > 0 && rates[b.level] > b.carried {
		b.level--
	}
	if b.level < min(b.chosen, len(rates)-1) && !b.settling {
		b.patience = min(b.patience*2, mostPatience)
		b.tried = false
	}
}

// raise tries the next layer if the time without congestion is long enough.
func (b *bandwidth) raise(rates []int, now time.Time) {
	calm := now.Sub(b.calm)
	if b.tried && calm > holdTime {
		b.tried, b.patience = false, firstPatience
	}
	if b.settling || b.level == len(rates)-1 || calm <= quickPatience ||
		calm <= b.patience && !b.knownToFit(rates[b.level+1], now) {
		return
	}
	b.level++
	b.calm, b.carried, b.tried = now, 0, true
}

// knownToFit reports whether the link has recently carried clearly more than a certain rate. After
// a failed try it returns false, because a link may carry a short burst at a rate that it cannot
// sustain.
func (b *bandwidth) knownToFit(rate int, now time.Time) bool {
	return b.transport != nil && b.patience == firstPatience && rate > 0 &&
		float64(b.transport.carriesLately(now)) > fitsWell*float64(rate)
}
