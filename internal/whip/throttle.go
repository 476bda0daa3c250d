package whip

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	wrongBurst    = 30              // wrong tokens at once: a lecture room of OBSes with yesterday's tokens behind one address
	wrongEvery    = time.Second     // and then one each
	toldEvery     = 5 * time.Second // the same refusal of the same participant; OBS knocks every 2 s and slower
	maxRemembered = 10_000
)

// throttle counts what went wrong, by address or by participant. It protects the work of checking and the docks that are
// told; to guess a signature is hopeless at any rate. Its zero value is ready.
type throttle[K comparable] struct {
	mu      sync.Mutex
	limited map[K]*rate.Limiter // guarded by mu
}

// wait is how long the next try has to wait until it is looked at.
func (t *throttle[K]) wait(from K, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.limited[from]
	if !ok {
		return 0
	}
	missing := 1 - l.TokensAt(now)
	return max(0, time.Duration(missing*float64(wrongEvery)))
}

// failed notes one that went wrong.
func (t *throttle[K]) failed(from K, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.limited[from]
	if !ok {
		t.makeRoom(now)
		l = rate.NewLimiter(rate.Every(wrongEvery), wrongBurst)
		t.limited[from] = l
	}
	l.AllowN(now, 1)
}

// makeRoom bounds the memory: it forgets those who have recovered, and all if that is not enough.
func (t *throttle[K]) makeRoom(now time.Time) {
	if t.limited != nil && len(t.limited) < maxRemembered {
		return
	}
	kept := map[K]*rate.Limiter{}
	for from, l := range t.limited {
		if l.TokensAt(now) < wrongBurst {
			kept[from] = l
		}
	}
	if len(kept) >= maxRemembered {
		clear(kept)
	}
	t.limited = kept
}

// network is the address, or the /64 that one customer has under IPv6.
func network(a netip.Addr) netip.Prefix {
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// A refusal is what somebody is told of.
type refusal struct {
	stage       stage.ARN
	participant stage.ParticipantID
	code        string
}

// echoes keeps those who are told from being told the same thing over and over. Its zero value is ready.
type echoes struct {
	mu   sync.Mutex
	last map[refusal]time.Time // guarded by mu
}

// again says whether the same was told a moment ago; if not, it is told now.
func (e *echoes) again(what refusal, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at, ok := e.last[what]; ok && now.Sub(at) < toldEvery {
		return true
	}
	if e.last == nil || len(e.last) >= maxRemembered {
		e.makeRoom(now)
	}
	e.last[what] = now
	return false
}

func (e *echoes) makeRoom(now time.Time) {
	maps.DeleteFunc(e.last, func(_ refusal, at time.Time) bool { return now.Sub(at) >= toldEvery })
	if e.last == nil || len(e.last) >= maxRemembered {
		e.last = map[refusal]time.Time{}
	}
}
