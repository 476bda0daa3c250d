package sfu

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// A bandwidth decides how much of a simulcast one viewer's network bears. It goes by the viewer's
// transport-wide feedback (an estimator), or, without it, by what every receiver reports once a
// second (RFC 3550, 6.4): loss, and the round trip, which grows when a queue fills. Only where
// there is congestion is it known what the link carries, namely what arrived; from below it is
// found out by trying the next layer after a calm while, and a try that fails makes the wait twice
// as long.
type bandwidth struct {
	mu       sync.Mutex
	level    int           // the highest layer that is tried, from 0 up
	chosen   int           // what choose said last
	started  bool          // level has been chosen
	highest  bool          // start at the top and not at the bottom
	calm     time.Time     // since when nothing was wrong at this level
	patience time.Duration // until the next try
	tried    bool          // the level was reached by a try, which has not yet held long enough
	carried  int           // bit/s that the link bears, from when it was full; 0 while it never was
	settling bool          // a switch is under way: what is reported belongs to the old layer

	transport *estimator // nil if not agreed on
	fedBack   time.Time

	// Of the receiver reports.
	shortest time.Duration // round trip
	reported time.Time
	sent     uint64 // bytes, at the last report
	queued   int    // reports in a row that showed a long queue
}

const (
	firstPatience = 2 * time.Second
	mostPatience  = time.Minute
	quickPatience = 300 * time.Millisecond // when the next layer is known to fit
	holdTime      = 10 * time.Second       // a try that holds so long is no failure any more
	fitsWell      = 1.25
	feedbackStale = 2 * time.Second // then reports must do
	lossTooHigh   = 0.08
	queueTooLong  = 120 * time.Millisecond
	queueReports  = 2 // in a row: one may be a hiccup of the viewer's machine
	settleTime    = 1500 * time.Millisecond
)

// record notes the numbers of what is sent now.
func (b *bandwidth) record(list []outgoing, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range list {
		if o.stream.transportCC != 0 {
			b.transport.record(o.seq, len(o.packet.payload), now)
		}
	}
}

// feedback takes in the viewer's transport-wide feedback.
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

// report takes in what the viewer reports. loss is the share that was lost since the last report;
// roundTrip is 0 where it is not known.
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

// choose picks among layers by their bit rates, lowest first.
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

// lower goes down to what the link bears.
func (b *bandwidth) lower(rates []int) {
	for b.carried > 0 && b.level > 0 && rates[b.level] > b.carried {
		b.level--
	}
	if b.level < min(b.chosen, len(rates)-1) && !b.settling {
		b.patience = min(b.patience*2, mostPatience)
		b.tried = false
	}
}

// raise tries the next layer when it is time to.
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

// knownToFit reports whether the link has carried more than that. What failed once is not known: a
// link may bear a burst and no more.
func (b *bandwidth) knownToFit(rate int, now time.Time) bool {
	return b.transport != nil && b.patience == firstPatience && rate > 0 &&
		float64(b.transport.carriesLately(now)) > fitsWell*float64(rate)
}
