package whip_test

import (
	"context"
	"net/http"
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

func (h *harness) request(name string) whip.OpenRequest {
	return whip.OpenRequest{
		Participant: stage.Participant{
			ID: stage.ParticipantID(name), Stage: studio, Capabilities: stage.Publish,
		},
		Bearer: stage.NewSecret(name + "-token"),
		Offer:  "v=0",
	}
}

// TestTwoStartsAtOnce: OBS accepts two StartStream requests and posts two offers within 50 ms. The
// later one wins.
func TestTwoStartsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	release := h.media.hold()
	first, second := make(chan error), make(chan error)
	go func() { _, err := h.Open(t.Context(), h.request("ana")); first <- err }()
	for h.Negotiating() == 0 {
		time.Sleep(time.Millisecond)
	}
	go func() { _, err := h.Open(t.Context(), h.request("ana")); second <- err }()
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
	h := newHarness(t)
	release := h.media.hold()
	defer release()
	done := make(chan error)
	go func() { _, err := h.Open(t.Context(), h.request("ana")); done <- err }()
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
	h := newHarness(t)
	h.publish(t, "bob-token")
	h.publish(t, "ana-token")
	h.send(t, "POST", "/whep/bob", "v=0", "Authorization: Bearer ana-token",
		"Content-Type: application/sdp")
	h.read()
	h.Close("ana", "kicked", "The operator ended the broadcast.")
	if got, want := h.read(), []string{"ana: ended kicked", "ana: ended kicked"}; !slices.Equal(got,
		want) {
		t.Errorf("happened: got %q, want %q", got, want)
	}
}

// TestATokenRevokedWhileTheBodyArrives: the request is refused if its token is revoked while the
// client sends the body slowly.
func TestATokenRevokedWhileTheBodyArrives(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
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
	// the client sends its body only after the token was checked
	req.Header.Set("Expect", "100-continue")
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

// TestExchangedTokenEndsTheSession: after an exchange, the new token ends the session and the old
// one does not.
func TestExchangedTokenEndsTheSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session := h.publish(t, "ana-token").header.Get("Location")
	ana := stage.Participant{ID: "ana", Stage: studio, Capabilities: stage.Publish}
	h.Exchange(ana, stage.NewSecret("ana-new-token"))
	if got := h.send(t, "DELETE", session, "",
		"Authorization: Bearer ana-token"); got.status != 403 {
		t.Errorf("old token: got %d, want 403", got.status)
	}
	if got := h.send(t, "DELETE", session, "",
		"Authorization: Bearer ana-new-token"); got.status != 200 {
		t.Errorf("new token: got %d, want 200", got.status)
	}
}

// TestExchangeForFewerCapabilities: an exchange ends the sessions that the new token does not
// allow.
func TestExchangeForFewerCapabilities(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.publish(t, "ana-token")
	h.read()
	h.Exchange(stage.Participant{ID: "ana", Stage: studio, Capabilities: stage.Subscribe},
		stage.NewSecret("ana-watch-token"))
	if got, want := h.read(), []string{"ana: ended no_capability"}; !slices.Equal(got, want) {
		t.Errorf("happened: got %q, want %q", got, want)
	}
}

// TestDeleteAfterTheEnd: DELETE succeeds after the session ended, because OBS closes its peer
// connection before it sends DELETE.
func TestDeleteAfterTheEnd(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session := h.publish(t, "ana-token").header.Get("Location")
	h.media.mu.Lock()
	f := h.media.publishing["ana"]
	h.media.mu.Unlock()
	f.Close("closed_by_peer", "")
	for h.Sessions() > 0 {
		time.Sleep(time.Millisecond)
	}
	end := func(want int, header ...string) {
		t.Helper()
		if got := h.send(t, "DELETE", session, "", header...); got.status != want {
			t.Errorf("DELETE %q: got %d %s, want %d", header, got.status, got.body, want)
		}
	}
	end(401)
	end(403, "Authorization: Bearer bob-token")
	end(200, "Authorization: Bearer ana-token")
	end(200, "Authorization: Bearer ana-token") // OBS repeats its DELETE
	beacon := h.send(t, "POST", session, `{"authorization":"ana-token"}`)
	if beacon.status != 200 {
		t.Errorf("beacon: got %d, want 200", beacon.status)
	}
	fragment := h.send(t, "PATCH", session, "", "Content-Type: application/trickle-ice-sdpfrag")
	if fragment.status != 404 {
		t.Errorf("PATCH: got %d, want 404", fragment.status)
	}
	if got, want := h.read(), []string{"ana: publishes",
		"ana: ended closed_by_peer"}; !slices.Equal(got, want) {
		t.Errorf("happened: got %q, want %q", got, want)
	}
	h.pass(10 * time.Minute)
	end(404, "Authorization: Bearer ana-token")
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
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
		t.Errorf("an offer to a closing server: got %d, want 503 with Retry-After", got.status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Errorf("a second Shutdown with nothing left: got %v, want nil", err)
	}
}

// from publishes from a certain client address.
func (h *harness) from(t testing.TB, address, bearer string) reply {
	t.Helper()
	header := []string{"Content-Type: application/sdp", "X-From: " + address}
	if bearer != "" {
		header = append(header, "Authorization: Bearer "+bearer)
	}
	return h.send(t, "POST", "/whip", "v=0", header...)
}

// TestGoodTokenAlwaysOpens: a valid token is accepted, even if many wrong tokens come from the same
// network.
func TestGoodTokenAlwaysOpens(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for n := range 60 {
		want := http.StatusUnauthorized
		if n >= 30 {
			want = http.StatusTooManyRequests
		}
		got := h.from(t, "2001:db8::"+strconv.Itoa(n+1), "ana-expired-token")
		if got.status != want {
			t.Fatalf("wrong token %d: got %d, want %d", n+1, got.status, want)
		}
	}
	got := h.from(t, "2001:db8::ffff", "ana-expired-token")
	if got.header.Get("Retry-After") != "1" || !strings.Contains(got.body,
		"The token has expired: get a new one.") {
		t.Errorf("over the limit: got Retry-After %q, %s, want 1 and the reason",
			got.header.Get("Retry-After"), got.body)
	}
	if got := h.from(t, "2001:db8::ffff", "ana-token"); got.status != 201 {
		t.Errorf("a good token of the same /64: got %d %s, want 201", got.status, got.body)
	}
	if got := h.from(t, "192.0.2.1", "wrong"); got.status != 401 {
		t.Errorf("a wrong token of another network: got %d, want 401", got.status)
	}
}

// TestRequestsWithoutTokenCountTowardsNoLimit: requests without a token do not count towards any
// rate limit, because any web page can make its visitors send them.
func TestRequestsWithoutTokenCountTowardsNoLimit(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range 100 {
		if got := h.from(t, "192.0.2.1", ""); got.status != 401 {
			t.Fatalf("without a token: got %d, want 401", got.status)
		}
	}
	if got := h.from(t, "192.0.2.1", "wrong"); got.status != 401 {
		t.Errorf("a wrong token after them: got %d, want 401", got.status)
	}
}

// TestLogHasNoLineOfAnonymousRefusals: refusals without a valid token are logged for debugging
// only, except for one warning per network.
func TestLogHasNoLineOfAnonymousRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range 200 {
		h.from(t, "192.0.2.1", "wrong")
		h.from(t, "192.0.2.1", "")
	}
	h.publish(t, "ana-watch-token")
	lines := map[string]int{}
	for line := range strings.Lines(h.log.String()) {
		level, _, _ := strings.Cut(line[strings.Index(line, "level=")+6:], " ")
		lines[level]++
	}
	if lines["WARN"] != 1 || lines["INFO"] != 1 {
		t.Errorf("got %v, want a warning of the network, and the refusal of Ana at info", lines)
	}
}

// TestRefusalsAreThrottled: the refusals of a valid token are limited per participant, and do not
// affect others of the same address.
func TestRefusalsAreThrottled(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for n := range 30 {
		if got := h.publish(t, "ana-watch-token"); got.status != 403 {
			t.Fatalf("refusal %d: got %d, want 403", n+1, got.status)
		}
	}
	if got := h.publish(t, "ana-watch-token"); got.status != 429 ||
		got.header.Get("Retry-After") != "1" {
		t.Errorf("after 30: got %d, Retry-After %q, want 429 and 1", got.status,
			got.header.Get("Retry-After"))
	}
	if got := h.publish(t, "bob-token"); got.status != 201 {
		t.Errorf("somebody else: got %d, want 201", got.status)
	}
	for range 40 { // invalid tokens with Bob's name do not count towards Bob's limit
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

// TestTakeoversAreThrottled: takeovers are limited, because each of them ends a session and causes
// an event for its owner.
func TestTakeoversAreThrottled(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for n := range 31 {
		if got := h.publish(t, "ana-token"); got.status != 201 {
			t.Fatalf("start %d: got %d, want 201", n+1, got.status)
		}
	}
	got := h.publish(t, "ana-token")
	if got.status != 429 || !strings.Contains(got.body, "opened too many sessions") {
		t.Errorf("after 30 takeovers: got %d %s, want 429 that says why", got.status, got.body)
	}
	h.pass(time.Second)
	if got := h.publish(t, "ana-token"); got.status != 201 {
		t.Errorf("a second later: got %d, want 201", got.status)
	}
}
