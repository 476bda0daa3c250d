package whip_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// hold makes negotiations wait until the returned function is called.
func (m *plane) hold() (release func()) {
	gate := make(chan struct{})
	m.gate.Store(&gate)
	return func() { m.gate.Store(nil); close(gate) }
}

func (h *house) knock(name string) whip.Knock {
	return whip.Knock{
		Participant: stage.Participant{ID: stage.ParticipantID(name), Stage: studio, Capabilities: stage.Publish},
		Bearer:      stage.NewSecret(name + "-token"),
		Offer:       "v=0",
	}
}

// TestTwoStartsAtOnce: OBS answers both of two StartStream requests and posts twice within 50 ms.
func TestTwoStartsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	release := h.media.hold()
	first, second := make(chan error), make(chan error)
	go func() { _, err := h.Open(t.Context(), h.knock("ana")); first <- err }()
	for h.Negotiating() == 0 {
		time.Sleep(time.Millisecond)
	}
	go func() { _, err := h.Open(t.Context(), h.knock("ana")); second <- err }()
	if err := <-first; code(err) != "replaced" {
		t.Errorf("first start: got %v, want replaced", err)
	}
	release()
	if err := <-second; err != nil {
		t.Errorf("second start: got %v, want nil", err)
	}
	if got, want := h.read(), []string{"ana: publishes"}; !slices.Equal(got, want) {
		t.Errorf("happened: got %q, want %q", got, want)
	}
}

func TestCloseReachesWhoNegotiates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	release := h.media.hold()
	defer release()
	done := make(chan error)
	go func() { _, err := h.Open(t.Context(), h.knock("ana")); done <- err }()
	for h.Negotiating() == 0 {
		time.Sleep(time.Millisecond)
	}
	h.Close("ana", "kicked", "The operator ended the broadcast.")
	if err := <-done; code(err) != "kicked" {
		t.Errorf("got %v, want kicked", err)
	}
}

func TestCloseEndsEverythingOfAParticipant(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish(t, "bob-token")
	h.publish(t, "ana-token")
	h.send(t, "POST", "/whep/bob", "v=0", "Authorization: Bearer ana-token", "Content-Type: application/sdp")
	h.read()
	h.Close("ana", "kicked", "The operator ended the broadcast.")
	if got, want := h.read(), []string{"ana: ended kicked", "ana: ended kicked"}; !slices.Equal(got, want) {
		t.Errorf("happened: got %q, want %q", got, want)
	}
}

// TestRevokedOnTheWay: the token is good at the door, and revoked while its owner dawdles over the body.
func TestRevokedOnTheWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := &slowBody{text: strings.NewReader("v=0"), meanwhile: func() {
		h.mu.Lock()
		h.gone["ana-token"] = true
		h.mu.Unlock()
		h.Close("ana", "revoked", "")
	}}
	req, err := http.NewRequestWithContext(t.Context(), "POST", h.URL+"/whip", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer ana-token")
	req.Header.Set("Content-Type", "application/sdp")
	req.Header.Set("Expect", "100-continue") // so that the body begins when the token has been checked
	h.client.ExpectContinueTimeout = time.Minute
	res, err := h.client.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", res.StatusCode)
	}
	if got, want := h.read(), []string{"ana: refused token_revoked"}; !slices.Equal(got, want) {
		t.Errorf("happened: got %q, want %q", got, want)
	}
}

type slowBody struct {
	text      *strings.Reader
	meanwhile func()
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.meanwhile != nil {
		b.meanwhile()
		b.meanwhile = nil
	}
	return b.text.Read(p)
}

// TestExchangedTokenEndsTheSession: after an exchange the web SDK uses its new token for everything.
func TestExchangedTokenEndsTheSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	session := h.publish(t, "ana-token").header.Get("Location")
	ana := stage.Participant{ID: "ana", Stage: studio, Capabilities: stage.Publish}
	h.Exchange(ana, stage.NewSecret("ana-new-token"))
	if got := h.send(t, "DELETE", session, "", "Authorization: Bearer ana-token"); got.status != 403 {
		t.Errorf("old token: got %d, want 403", got.status)
	}
	if got := h.send(t, "DELETE", session, "", "Authorization: Bearer ana-new-token"); got.status != 200 {
		t.Errorf("new token: got %d, want 200", got.status)
	}
}

// TestExchangeForLess: what the new token does not allow comes to its end.
func TestExchangeForLess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish(t, "ana-token")
	h.read()
	h.Exchange(stage.Participant{ID: "ana", Stage: studio, Capabilities: stage.Subscribe}, stage.NewSecret("ana-watch-token"))
	if got, want := h.read(), []string{"ana: ended no_capability"}; !slices.Equal(got, want) {
		t.Errorf("happened: got %q, want %q", got, want)
	}
}

// TestMediaEndsTheSession: the network of the publisher is gone, the media plane notices, and the URL means nothing any more.
func TestMediaEndsTheSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	session := h.publish(t, "ana-token").header.Get("Location")
	h.media.mu.Lock()
	f := h.media.publishing["ana"]
	h.media.mu.Unlock()
	f.Close("lost", "")
	for h.Sessions() > 0 {
		time.Sleep(time.Millisecond)
	}
	if got := h.send(t, "DELETE", session, "", "Authorization: Bearer ana-token"); got.status != 404 {
		t.Errorf("got %d, want 404", got.status)
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish(t, "ana-token")
	h.publish(t, "bob-token")
	h.read()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: got %v, want nil", err)
	}
	got := h.read()
	slices.Sort(got)
	if want := []string{"ana: ended shutdown", "bob: ended shutdown"}; !slices.Equal(got, want) {
		t.Errorf("happened: got %q, want %q", got, want)
	}
	if got := h.publish(t, "eva-token"); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("a knock at a closing house: got %d, want 503 with Retry-After", got.status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Errorf("a second Shutdown with nothing left: got %v, want nil", err)
	}
}

// TestWrongTokensAreThrottled by address, and a right one from elsewhere is not.
func TestWrongTokensAreThrottled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Address = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("X-From")) }
	from := func(addr, bearer string) reply {
		return h.send(t, "POST", "/whip", "v=0", "Authorization: Bearer "+bearer, "Content-Type: application/sdp", "X-From: "+addr)
	}
	for n := range 30 {
		if got := from("2001:db8::"+strconv.Itoa(n+1), "wrong"); got.status != 401 {
			t.Fatalf("wrong token %d: got %d, want 401", n+1, got.status)
		}
	}
	got := from("2001:db8::ffff", "ana-token")
	if got.status != 429 || got.header.Get("Retry-After") != "1" {
		t.Errorf("after 30 wrong tokens of one /64: got %d, Retry-After %q, want 429 and 1", got.status, got.header.Get("Retry-After"))
	}
	if got := from("192.0.2.1", "ana-token"); got.status != 201 {
		t.Errorf("from elsewhere: got %d, want 201", got.status)
	}
	h.pass(time.Second)
	if got := from("2001:db8::1", "ana-token"); got.status != 201 {
		t.Errorf("a second later: got %d, want 201", got.status)
	}
}

// TestThrottleForgets: a stranger with many addresses fills no memory.
func TestThrottleForgets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var n uint32
	h.Address = func(*http.Request) netip.Addr {
		n++
		return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	}
	for range 25_000 {
		r := httptest.NewRequest("POST", "/whip", nil)
		r.Header.Set("Authorization", "Bearer wrong")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if got := h.Addresses(); got == 0 || got > 10_000 {
		t.Errorf("addresses kept: got %d, want 1 to 10000", got)
	}
}

// TestRefusalsAreThrottled by participant: a token that was good once is refused so often and not more, and others of the
// same address are not held up.
func TestRefusalsAreThrottled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range 30 {
		if got := h.publish(t, "ana-watch-token"); got.status != 403 {
			t.Fatalf("refusal %d: got %d, want 403", n+1, got.status)
		}
	}
	if got := h.publish(t, "ana-watch-token"); got.status != 429 || got.header.Get("Retry-After") != "1" {
		t.Errorf("after 30: got %d, Retry-After %q, want 429 and 1", got.status, got.header.Get("Retry-After"))
	}
	if got := h.publish(t, "bob-token"); got.status != 201 {
		t.Errorf("somebody else: got %d, want 201", got.status)
	}
	for range 40 { // whoever claims to be Bob takes nothing from him
		h.publish(t, "bob-expired-token")
	}
	h.pass(time.Second)
	if got := h.publish(t, "bob-token"); got.status != 201 {
		t.Errorf("whose name was abused: got %d, want 201", got.status)
	}
	if got := h.publish(t, "ana-watch-token"); got.status != 403 {
		t.Errorf("a second later: got %d, want 403", got.status)
	}
}

// TestTakeoversAreThrottled: each of them ends a session, and its owner is told.
func TestTakeoversAreThrottled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range 31 {
		if got := h.publish(t, "ana-token"); got.status != 201 {
			t.Fatalf("start %d: got %d, want 201", n+1, got.status)
		}
	}
	if got := h.publish(t, "ana-token"); got.status != 429 {
		t.Errorf("after 30 takeovers: got %d, want 429", got.status)
	}
}

// TestTheSameIsNotToldAgain at once, but later, and another reason is told at once.
func TestTheSameIsNotToldAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	told := func(want ...string) {
		t.Helper()
		if got := h.read(); !slices.Equal(got, want) {
			t.Errorf("told: got %q, want %q", got, want)
		}
	}
	for range 10 {
		h.publish(t, "ana-watch-token")
	}
	told("ana: refused no_capability")
	h.publish(t, "ana-expired-token")
	h.publish(t, "bob-watch-token")
	told("ana: refused token_expired", "bob: refused no_capability")
	for range 4 { // as OBS knocks
		h.pass(2 * time.Second)
		h.publish(t, "ana-watch-token")
	}
	told("ana: refused no_capability")
}
