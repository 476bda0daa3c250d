package webhook

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/access/accesstest"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"93.184.216.34:443": true, "[2606:2800:220:1::1]:443": true,
		"127.0.0.1:80": false, "[::1]:80": false, "10.1.2.3:80": false, "172.16.0.1:80": false,
		"192.168.1.1:80":     false,
		"169.254.169.254:80": false, "100.64.0.1:80": false, "0.0.0.0:80": false, "[::]:80": false,
		"224.0.0.1:80": false,
		"[fe80::1]:80": false, "[fc00::1]:80": false, "[::ffff:127.0.0.1]:80": false,
		"[64:ff9b::7f00:1]:80": false,
		"[2002:7f00:1::]:80":   false, "198.18.0.1:80": false, "240.0.0.1:80": false,
		"[2001:0:7f00:1::]:80": false, "[::127.0.0.1]:80": false, "[fec0::1]:80": false,
		"nonsense": false,
	} {
		if err := permit(address, nil); (err == nil) != ok {
			t.Errorf("%s: got %v, want it permitted: %v", address, err, ok)
		}
	}
	if err := permit("10.1.2.3:80",
		[]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}); err != nil {
		t.Errorf("an allowed network: %v", err)
	}
}

// outbox is an Outbox in memory, for one webhook.
type outbox struct {
	mu      sync.Mutex
	hook    access.Webhook
	waiting []access.Delivery
	changed chan struct{}
}

func newOutbox(url string, types ...string) *outbox {
	o := &outbox{changed: make(chan struct{}, 100), hook: access.Webhook{
		ID: "hook", URL: url, Secret: stage.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
	}}
	for _, kind := range types {
		o.waiting = append(o.waiting, access.Delivery{ID: "msg_" + kind, Webhook: "hook", Type: kind, Body: []byte(`{}`)})
	}
	return o
}

func (o *outbox) Webhooks(context.Context) ([]access.Webhook, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return []access.Webhook{o.hook}, nil
}

func (o *outbox) ClaimDeliveries(
	_ context.Context, _ access.WebhookID, now, until time.Time, limit int,
) ([]access.Delivery, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var due []access.Delivery
	for i, d := range o.waiting {
		if d.DeadAt.IsZero() && !d.NextAt.After(now) && len(due) < limit {
			due = append(due, d)
			o.waiting[i].NextAt = until
		}
	}
	return due, nil
}

func (o *outbox) FinishDelivery(_ context.Context, id string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = slices.DeleteFunc(o.waiting, func(d access.Delivery) bool { return d.ID == id })
	o.changed <- struct{}{}
	return nil
}

func (o *outbox) PutDelivery(_ context.Context, put access.Delivery) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, d := range o.waiting {
		if d.ID == put.ID {
			o.waiting[i] = put
		}
	}
	o.changed <- struct{}{}
	return nil
}

func (o *outbox) NoteAttempt(
	_ context.Context, _ access.WebhookID, failedAt time.Time, failure string,
) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hook.FailedAt, o.hook.Failure = failedAt, failure
	return nil
}

func (o *outbox) state() []access.Delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.waiting)
}

// run starts a sender whose clock the test moves.
func run(t *testing.T, o *outbox, now func() time.Time) *Sender {
	t.Helper()
	s := New(Config{
		Outbox: o, Client: NewClient([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}),
		Now: now, Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-done })
	return s
}

func (o *outbox) await(t *testing.T) {
	t.Helper()
	select {
	case <-o.changed:
	case <-time.After(time.Minute):
		t.Fatal("the outbox did not change")
	}
}

func TestAReceiverThatFailsGetsItAgainLaterAndThenNeverAgain(t *testing.T) {
	t.Parallel()
	var ids []string
	var mu sync.Mutex
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		ids = append(ids, r.Header.Get("webhook-id"))
		mu.Unlock()
		w.WriteHeader(http.StatusInternalServerError)
		io.Copy(w, io.LimitReader(endless{}, 10<<20)) // this answer of 10 MB is not read to its end
	}))
	t.Cleanup(receiver.Close)
	clock := accesstest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	o := newOutbox(receiver.URL, "user.created")
	s := run(t, o, clock.Now)
	for attempt := 1; attempt <= len(pauses)+1; attempt++ {
		o.await(t)
		d := o.state()[0]
		if d.Attempts != attempt || d.Status != 500 {
			t.Fatalf("after attempt %d: got %+v, want that count and the status 500", attempt, d)
		}
		if dead := !d.DeadAt.IsZero(); dead != (attempt > len(pauses)) {
			t.Fatalf("after attempt %d it is dead: %v", attempt, dead)
		}
		clock.Pass(d.NextAt.Sub(clock.Now()))
		s.Wake()
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ids) != len(pauses)+1 || len(slices.Compact(slices.Clone(ids))) != 1 {
		t.Errorf("the receiver saw %v, want one ID %d times", ids, len(pauses)+1)
	}
}

// A receiver that hangs, or sends an invalid or long response, costs at most the time of one
// attempt.
func TestReceiversThatHangOrLie(t *testing.T) {
	t.Parallel()
	const accepted = "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n"
	for name, c := range map[string]struct {
		answer func(net.Conn)
		ok     bool
	}{
		"no answer": {func(net.Conn) {}, false},
		"not HTTP": {func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n\r\n"); c.Close() },
			false},
		"hangs up": {func(c net.Conn) { c.Close() }, false},
		"1 MB above": {func(c net.Conn) {
			io.WriteString(c,
				"HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20))
		}, false},
		// Only the status decides whether the message was accepted. The rest of the response does
		// not matter.
		"a length that is a lie": {func(c net.Conn) { io.WriteString(c, accepted+"x"); c.Close() },
			true},
		"a body that hangs": {func(c net.Conn) { io.WriteString(c, accepted+"x") }, true},
		"10 MB": {func(
			c net.Conn) {
			io.WriteString(c, accepted)
			io.Copy(c, io.LimitReader(endless{}, 10<<20))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := NewClient(nil)
				transport := client.Transport.(*http.Transport)
				transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					t.Cleanup(func() { theirs.Close() })
					go func() {
						http.ReadRequest(bufio.NewReader(theirs))
						c.answer(theirs)
					}()
					return ours, nil
				}
				t.Cleanup(transport.CloseIdleConnections)
				o := newOutbox("http://receiver.example", "user.created")
				sender := New(Config{
					Outbox: o, Client: client, Now: time.Now, Log: slog.New(slog.DiscardHandler),
				})
				began := time.Now()
				sender.SendDue(t.Context())
				if took := time.Since(began); took > sendTimeout {
					t.Errorf("the attempt took %v, want %v at most", took, sendTimeout)
				}
				left := o.state()
				if ok := len(left) == 0; ok != c.ok {
					t.Errorf("accepted: %v, want %v; left: %+v", ok, c.ok, left)
				}
			})
		})
	}
}

func TestStatus410EndsTheAttempts(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGone)
	}))
	t.Cleanup(receiver.Close)
	o := newOutbox(receiver.URL, "user.created")
	run(t, o, time.Now)
	o.await(t)
	if d := o.state()[0]; d.DeadAt.IsZero() {
		t.Errorf("after 410 it is tried again: %+v", d)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	t.Cleanup(inside.Close)
	receiver := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusTemporaryRedirect))
	t.Cleanup(receiver.Close)
	o := newOutbox(receiver.URL+"/?key=secret-of-the-receiver", "user.created")
	run(t, o, time.Now)
	o.await(t)
	if d := o.state()[0]; d.Status != http.StatusTemporaryRedirect ||
		strings.Contains(d.Reason, "secret-of") {
		t.Errorf("after a redirect: got %+v, want its status, and no part of the URL", d)
	}
}

// Hosts that can never be reached are refused before anything is sent.
func TestHostsThatAreNeverReached(t *testing.T) {
	t.Parallel()
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for host, c := range map[string]struct{ closed, open bool }{
		"hooks.example.com": {true, true}, "93.184.216.34": {true, true},
		"2606:2800:220:1::1": {true, true},
		"127.0.0.1":          {false, true}, "localhost": {false, true},
		"LocalHost.": {false, true}, "api.localhost": {false, true},
		"10.1.2.3": {false, false}, "::1": {false, false}, "169.254.169.254": {false, false},
		"fe80::1%eth0": {false, false}, "0.0.0.0": {false, false},
	} {
		err := Unreachable(nil)(host)
		if (err == nil) != c.closed {
			t.Errorf("%s: %v", host, err)
		}
		if err != nil && !strings.Contains(err.Error(), "--webhook-networks") {
			t.Errorf("%s: %v does not name the setting", host, err)
		}
		if err := Unreachable(local)(host); (err == nil) != c.open {
			t.Errorf("Unreachable says of %s with %v: %v", host, local, err)
		}
	}
}

// A private address is refused when it is dialed. The webhook keeps that failure until its receiver
// accepts a message.
func TestAWebhookKnowsWhyItsLastAttemptFailed(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	o := newOutbox(receiver.URL, "user.created")
	clock := accesstest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	send := func(networks ...netip.Prefix) access.Webhook {
		New(Config{
			Outbox: o, Client: NewClient(networks), Now: clock.Now,
			Log: slog.New(slog.DiscardHandler),
		}).SendDue(t.Context())
		clock.Pass(time.Hour)
		hooks, _ := o.Webhooks(t.Context())
		return hooks[0]
	}
	began := clock.Now()
	if w := send(); !w.FailedAt.Equal(began) || !strings.Contains(w.Failure, "private") {
		t.Errorf("after a refusal: failed at %v, %q", w.FailedAt, w.Failure)
	}
	if w := send(netip.MustParsePrefix("127.0.0.0/8")); !w.FailedAt.IsZero() || w.Failure != "" {
		t.Errorf("after a success: failed at %v, %q", w.FailedAt, w.Failure)
	}
}

func TestMessagesArriveInOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Header.Get("webhook-id"))
	}))
	t.Cleanup(receiver.Close)
	o := newOutbox(receiver.URL, "a", "b", "c")
	run(t, o, time.Now)
	for range 3 {
		o.await(t)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(got, []string{"msg_a", "msg_b", "msg_c"}) {
		t.Errorf("the receiver saw %v, want the order of the queue", got)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
