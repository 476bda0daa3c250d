package sfu

import (
	"sync"
	"time"
)

// A bandwidth decides how much of a simulcast one viewer's network bears. It goes by what every receiver reports once a
// second (RFC 3550, 6.4): loss, and the round trip, which grows when a queue fills. Only where it sees congestion does it
// know what the link carries, namely what arrived; from below it finds out by trying the next layer after a calm while,
// and a try that fails makes it wait twice as long.
type bandwidth struct {
	mu       sync.Mutex
	level    int           // the highest layer that is tried, from 0 up
	started  bool          // level has been chosen
	highest  bool          // start at the top and not at the bottom
	calm     time.Time     // since when nothing was wrong at this level
	patience time.Duration // until the next try
	shortest time.Duration // round trip
	reported time.Time
	sent     uint64 // bytes, at the last report
	carried  int    // bit/s that arrived when the link was full; 0 while it never was
	settling bool   // a switch is under way: what is reported belongs to the old layer
	queued   int    // reports in a row that told of a long queue
}

const (
	firstPatience = 2 * time.Second
	mostPatience  = time.Minute
	lossTooHigh   = 0.08
	queueTooLong  = 120 * time.Millisecond
	queueReports  = 2 // in a row: one may be a hiccup of the viewer's machine
	settleTime    = 1500 * time.Millisecond
)

// report takes in what the viewer reports. loss is the share that was lost since the last report; roundTrip is 0 where it is not known.
func (b *bandwidth) report(sent uint64, loss float64, roundTrip time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	since, bytes := now.Sub(b.reported), sent-b.sent
	first := b.reported.IsZero()
	b.reported, b.sent = now, sent
	if roundTrip > 0 && (b.shortest == 0 || roundTrip < b.shortest) {
		b.shortest = roundTrip
	}
	if first || !b.started || b.settling || now.Sub(b.calm) < settleTime {
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
	b.patience = min(max(b.patience, firstPatience)*2, mostPatience)
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
	}
	b.settling = settling
	for b.carried > 0 && b.level > 0 && b.level <= top && rates[b.level] > b.carried {
		b.level--
	}
	b.level = max(0, min(b.level, top))
	if !settling && b.level < top && now.Sub(b.calm) > b.patience {
		b.level++
		b.calm, b.carried = now, 0
	}
	return b.level
}
