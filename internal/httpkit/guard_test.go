package httpkit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func wrong() error {
	return stage.Errorf(stage.ErrUnauthorized, "The token has expired: get a new one.")
}

func right() error { return nil }

func newGuard() *httpkit.Guard {
	return httpkit.NewGuard(time.Now, slog.New(slog.DiscardHandler))
}

func TestGuardLimitsWrongCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		at := func(address string, verify func() error) error {
			return g.Verify(t.Context(), netip.MustParseAddr(address), verify)
		}
		for range 100 { // right credentials use up no free failures
			if err := at("2001:db8::1", right); err != nil {
				t.Fatalf("right: got %v", err)
			}
		}
		for i := range 30 {
			if err := at("2001:db8::2", wrong); !errors.Is(err, stage.ErrUnauthorized) {
				t.Fatalf("wrong one %d: got %v, want ErrUnauthorized", i+1, err)
			}
		}
		err := at("2001:db8::3", wrong)
		var known *stage.Error
		const want = "The token has expired: get a new one. " +
			"Many wrong tokens come from this address; wait 1 s before the next try."
		if !errors.As(err, &known) || known.Kind != stage.ErrTooMany ||
			errors.Is(err, stage.ErrUnauthorized) || known.RetryAfter != time.Second ||
			known.Detail != want {
			t.Errorf("wrong one 31: got %#v, want ErrTooMany, %q", known, want)
		}
		if err := at("2001:db8::4", right); err != nil {
			t.Errorf("a right one behind the same address: got %v, want nil", err)
		}
		if err := at("2001:db8:0:1::1", wrong); !errors.Is(err, stage.ErrUnauthorized) {
			t.Errorf("another network: got %v, want ErrUnauthorized", err)
		}
		denied := func() error { return stage.Errorf(stage.ErrDenied, "Revoked.") }
		if err := at("2001:db8::4", denied); !errors.Is(err, stage.ErrDenied) {
			t.Errorf("not a wrong one: got %v, want ErrDenied", err)
		}
		time.Sleep(time.Second)
		if err := at("2001:db8::5", wrong); !errors.Is(err, stage.ErrUnauthorized) {
			t.Errorf("a second later: got %v, want ErrUnauthorized", err)
		}
		if err := at("2001:db8::5", wrong); !errors.Is(err, stage.ErrTooMany) {
			t.Errorf("and one more: got %v, want ErrTooMany", err)
		}
	})
}

// TestGuardVerifiesOneAtATime: wrong credentials from one network occupy at most one processor, and
// right credentials from the same network are still accepted.
func TestGuardVerifiesOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		flooded, quiet := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		var running, most atomic.Int32
		slowly := func(result func() error) func() error {
			return func() error {
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Millisecond)
				running.Add(-1)
				return result()
			}
		}
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() { g.Verify(t.Context(), flooded, slowly(wrong)) })
		}
		all.Wait()
		if got := most.Load(); got != 30 {
			t.Fatalf("free ones at the same time: got %d, want 30", got)
		}
		most.Store(0)
		for range 200 {
			all.Go(func() { g.Verify(t.Context(), flooded, slowly(wrong)) })
		}
		synctest.Wait()
		start := time.Now()
		if err := g.Verify(t.Context(), quiet, slowly(right)); err != nil {
			t.Errorf("another address: got %v, want nil", err)
		}
		if took := time.Since(start); took > time.Millisecond {
			t.Errorf("another address: waited %v beside the flood, want none",
				took-time.Millisecond)
		}
		if err := g.Verify(t.Context(), flooded, slowly(right)); err != nil {
			t.Errorf("a right one in the flood: got %v, want nil", err)
		}
		all.Wait()
		// at most one request of the flood, and the request from the other address
		if got := most.Load(); got > 2 {
			t.Errorf("at the same time: got %d, want one of the flooded address", got)
		}

		held := make(chan struct{})
		all.Go(func() { g.Verify(t.Context(), flooded, func() error { <-held; return wrong() }) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Verify(ctx, flooded, right); !errors.Is(err, stage.ErrUnavailable) {
			t.Errorf("a request that ends while it waits: got %v, want ErrUnavailable", err)
		}
		close(held)
		all.Wait()
		if err := g.Verify(t.Context(), flooded, right); err != nil {
			t.Errorf("after it: got %v, want nil", err)
		}
	})
}

func TestGuardWarnsOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := httpkit.NewGuard(time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		for range 1000 {
			g.Verify(t.Context(), netip.MustParseAddr("192.0.2.1"), wrong)
		}
		if got := strings.Count(log.String(), "\n"); got != 1 ||
			!strings.Contains(log.String(), "network=192.0.2.1/32") {
			t.Errorf("log: got %d lines, want 1 that names the network:\n%s", got, &log)
		}
		time.Sleep(time.Minute)
		for range 40 {
			g.Verify(t.Context(), netip.MustParseAddr("192.0.2.1"), wrong)
		}
		if !strings.Contains(log.String(), "refused=970") {
			t.Errorf("the log does not count the failures since its first line:\n%s", &log)
		}
	})
}
