package whip

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	wrongBurst   = 30          // wrong tokens at once: a lecture room of OBSes with yesterday's tokens behind one address
	wrongEvery   = time.Second // and then one each
	maxAddresses = 10_000
)

// throttle counts wrong tokens per address. It protects the work of checking them and the docks that are told of
// them; to guess a signature is hopeless at any rate. Its zero value is ready.
type throttle struct {
	mu      sync.Mutex
	limited map[netip.Prefix]*rate.Limiter // guarded by mu
}

// wait is how long the address has to wait before its next token is looked at.
func (t *throttle) wait(from netip.Addr, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.limited[network(from)]
	if !ok {
		return 0
	}
	missing := 1 - l.TokensAt(now)
	return max(0, time.Duration(missing*float64(wrongEvery)))
}

// failed notes a wrong token.
func (t *throttle) failed(from netip.Addr, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.limited[network(from)]
	if !ok {
		t.makeRoom(now)
		l = rate.NewLimiter(rate.Every(wrongEvery), wrongBurst)
		t.limited[network(from)] = l
	}
	l.AllowN(now, 1)
}

// makeRoom bounds the memory: it forgets the addresses that have recovered, and all if that is not enough.
func (t *throttle) makeRoom(now time.Time) {
	if t.limited != nil && len(t.limited) < maxAddresses {
		return
	}
	kept := map[netip.Prefix]*rate.Limiter{}
	for network, l := range t.limited {
		if l.TokensAt(now) < wrongBurst {
			kept[network] = l
		}
	}
	if len(kept) >= maxAddresses {
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
