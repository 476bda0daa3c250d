package httpkit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	freeFailures  = 30 // at once, for example for many OBSes behind one address with expired tokens
	failureEvery  = time.Second
	maxNetworks   = 10_000
	forgetNetwork = 10 * time.Minute
	warnEvery     = time.Minute
)

// A Guard limits the CPU time that wrong credentials cost, by the network of the client. It
// verifies every credential and never refuses a right one, no matter what other clients of the
// network send.
//
// A network has 30 free failures, and gets one more per second. After that, the credentials of this
// network are verified one at a time. All such networks together use at most half of the
// processors, or the only one. The error for a wrong credential is then ErrTooMany with a time to
// retry. The Guard does not prevent guessing, which is hopeless for signatures anyway.
//
// A Guard is safe for concurrent use.
type Guard struct {
	now      func() time.Time
	log      *slog.Logger
	networks bounded.Map[netip.Prefix, *network]
	slots    chan struct{}
}

// A network is the Guard's record of one network prefix. The lock of Guard.networks guards all
// fields except turn.
type network struct {
	free    float64 // free failures that are left; a running verification has taken one
	at      time.Time
	refused int // wrong credentials since the last warning
	warned  time.Time
	turn    chan struct{} // full while a credential is verified without a free failure
}

// NewGuard returns a Guard. It logs a warning for networks with many wrong credentials.
func NewGuard(now func() time.Time, log *slog.Logger) *Guard {
	return &Guard{
		now: now, log: log,
		networks: bounded.Map[netip.Prefix, *network]{Max: maxNetworks, Life: forgetNetwork},
		slots:    make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// Verify returns the error of the function `verify`, which returns ErrUnauthorized for a wrong
// credential. If the network has no free failure left (see Guard), Verify may wait before it calls
// `verify`, and returns ErrTooMany instead of ErrUnauthorized.
func (g *Guard) Verify(ctx context.Context, from netip.Addr, verify func() error) error {
	prefix := Network(from)
	turn, free := g.begin(prefix)
	if !free {
		leave, err := g.enter(ctx, turn)
		if err != nil {
			return err
		}
		defer leave()
	}
	err := verify()
	wrong := errors.Is(err, stage.ErrUnauthorized)
	if free && !wrong {
		g.giveBack(prefix)
	}
	if free || !wrong {
		return err
	}
	return tooMany(err, g.refused(ctx, prefix))
}

// begin takes a free failure of a network before the credential is verified, so that concurrent
// requests get no more free failures than sequential ones. It reports whether there was one.
func (g *Guard) begin(prefix netip.Prefix) (turn chan struct{}, free bool) {
	g.change(prefix, func(n *network) {
		if free = n.free >= 1; free {
			n.free--
		}
		turn = n.turn
	})
	return turn, free
}

func (g *Guard) giveBack(prefix netip.Prefix) {
	g.change(prefix, func(n *network) { n.free = min(freeFailures, n.free+1) })
}

// refused counts a wrong credential for the log, and returns the time until the network has a free
// failure again.
func (g *Guard) refused(ctx context.Context, prefix netip.Prefix) (wait time.Duration) {
	g.change(prefix, func(n *network) {
		wait = time.Duration((1 - n.free) * float64(failureEvery))
		n.refused++
		if now := g.now(); now.Sub(n.warned) >= warnEvery || now.Before(n.warned) {
			g.log.WarnContext(ctx, "many wrong credentials from one network", "network", prefix,
				"refused", n.refused)
			n.warned, n.refused = now, 0
		}
	})
	return max(0, wait)
}

func (g *Guard) change(prefix netip.Prefix, do func(*network)) {
	now := g.now()
	g.networks.Update(prefix, now, func(n *network, known bool) *network {
		if !known {
			n = &network{free: freeFailures, turn: make(chan struct{}, 1)}
		} else if passed := now.Sub(n.at); passed > 0 {
			n.free = min(freeFailures, n.free+passed.Seconds()/failureEvery.Seconds())
		}
		n.at = now
		do(n)
		return n
	})
}

// enter waits until no other credential of the network is being verified, and then for one of the
// slots that all networks share.
func (g *Guard) enter(ctx context.Context, turn chan struct{}) (leave func(), err error) {
	for _, gate := range []chan struct{}{turn, g.slots} {
		select {
		case gate <- struct{}{}:
			defer func() {
				if err != nil {
					<-gate
				}
			}()
		case <-ctx.Done():
			return nil, stage.Errorf(stage.ErrUnavailable,
				"The request ended before it was verified.").
				WithCause(context.Cause(ctx))
		}
	}
	return func() { <-g.slots; <-turn }, nil
}

// tooMany returns an ErrTooMany with the detail of err, so that a client with an expired token
// still learns that it needs a new token. It does not wrap err, since the result would also be an
// ErrUnauthorized.
func tooMany(err error, wait time.Duration) error {
	detail := ""
	var known *stage.Error
	if errors.As(err, &known) && known.Detail != "" {
		detail = strings.TrimSuffix(known.Detail, ".") + ". "
	}
	wait = max(wait.Round(time.Second), time.Second)
	return stage.Errorf(stage.ErrTooMany, "%s", detail+fmt.Sprintf(
		"Many wrong tokens come from this address; wait %d s before the next try.",
		int(wait.Seconds()))).
		WithCode("too_many_attempts").WithRetry(wait)
}
