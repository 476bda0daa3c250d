package signal_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestTwoMeetAndOneLeaves(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	ana := h.join(t, "ana.Ana")
	ana.sees("ana:Ana")
	bob := h.join(t, "bob.Bob")
	bob.sees("ana:Ana", "bob:Bob")
	ana.sees("ana:Ana", "bob:Bob")
	bob.leaves()
	ana.sees("ana:Ana")
}

func TestRefusedOverTheSocket(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	for bearer, want := range map[string]string{
		"":                     "TOKEN_MISSING",
		"ana.!token_expired":   "TOKEN_EXPIRED",
		"ana.!token_malformed": "TOKEN_INVALID",
		"ana.!token_version":   "TOKEN_INVALID",
		"ana.!token_signature": "TOKEN_INVALID_SIGNATURE",
		"ana.!stage_gone":      "STAGE_DELETED",
		"ana.!token_revoked":   "PARTICIPANT_DISCONNECTED",
		"ana.!broken":          "INTERNAL",
	} {
		g := h.join(t, bearer)
		var got struct{ Code, Message string }
		if err := json.Unmarshal(g.hears("aws:ivs:JOIN_ERROR"), &got); err != nil {
			t.Fatal(err)
		}
		if got.Code != want || got.Message == "" || strings.Contains(got.Message, "database") {
			t.Errorf("%q: got %q (%s), want %q", bearer, got.Code, got.Message, want)
		}
		g.isClosed()
	}
	other := h.joinAt(t, "?topic=another/publishers", "ana.Ana")
	if got := string(other.hears("aws:ivs:JOIN_ERROR")); !strings.Contains(got, `"BAD_REQUEST"`) {
		t.Errorf("topic of another stage: got %s, want BAD_REQUEST", got)
	}
	if got := h.refusals(); !slices.Contains(got, "ana token_expired") {
		t.Errorf("the dock was told %q, want the expired token among it", got)
	}
}

// TestPublishersByPlainWHIPAreInTheState: a participant who publishes by plain WHIP has no socket,
// but is in the state.
func TestPublishersByPlainWHIPAreInTheState(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	ana := h.join(t, "ana.Ana")
	h.publish(t, "obs.Studio")
	ana.sees("ana:Ana", "obs:Studio publishes")
	h.handler.Close("obs", "deleted", "")
	ana.sees("ana:Ana")
}

func TestMuting(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	bob := h.join(t, "bob.Bob")
	ana := h.join(t, "ana.Ana")
	ana.tell(`{"audioMuted":false,"type":"SET_STATE","version":"0","videoStopped":true}`)
	h.publish(t, "ana.Ana")
	bob.sees("ana:Ana publishes unseen", "bob:Bob")
	ana.tell(`{"audioMuted":true,"type":"SET_STATE","version":"0","videoStopped":false}`)
	bob.sees("ana:Ana publishes muted", "bob:Bob")
	ana.tell(`{"type":"aws:ivs:SET_STATE","payload":{"audioMuted":false,"videoStopped":false,"requestId":"r-1","traceId":"t"}}`)
	if got := string(ana.hears("aws:ivs:SET_STATE")); got != `{"requestId":"r-1"}` {
		t.Errorf("the acknowledgement: got %s, want the ID of the request", got)
	}
	bob.sees("ana:Ana publishes", "bob:Bob")

	present, err := h.Participants(t.Context(), studio)
	if err != nil || len(present) != 2 {
		t.Fatalf("Participants: got %v, %v, want two", present, err)
	}
}

func TestKeepAliveAndNoise(t *testing.T) {
	t.Parallel()
	ana := newHarness(t, nil).join(t, "ana.Ana")
	for _, noise := range []string{"", "null", "[]", "7", `"PING"`, "{", `{"type":7}`, `{"type":"aws:ivs:SDP_OFFER"}`, `{"type":"aws:ivs:SDP_OFFER","payload":[]}`, `{"type":"aws:ivs:UNKNOWN","payload":{}}`} {
		ana.tell(noise)
	}
	ana.tell(`{"type":"PING"}`)
	ana.hears("PONG")
}

// TestOffersOverTheSocket: offers over the socket are handled like offers over HTTP. V2 of the SDK
// sends all its offers over the socket.
func TestOffersOverTheSocket(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	ana, bob := h.join(t, "ana.Ana"), h.join(t, "bob.!watch")
	offer := func(g *guest, id, url, content string) (answer struct {
		RequestID, Content, ContentType, Location, SessionDeleteLink, SubscriberControlLink,
		VideoLayersLink, ErrorMessage string
		HTTPStatusCode, ErrorCode int
	}) {
		t.Helper()
		g.tell(`{"type":"aws:ivs:SDP_OFFER","payload":{"whipUrl":"` + url + `","requestId":"` + id + `","platform":"web","content":"` + content + `","contentType":"application/sdp"}}`)
		if err := json.Unmarshal(g.hears("aws:ivs:SDP_ANSWER"), &answer); err != nil {
			t.Fatal(err)
		}
		if answer.RequestID != id {
			t.Errorf("requestId: got %q, want %q", answer.RequestID, id)
		}
		return answer
	}

	got := offer(ana, "1", "https://stage.example/whip/publish/ana", "v=0")
	if got.HTTPStatusCode != 201 || got.Content != "v=0 receives" ||
		got.ContentType != "application/sdp" ||
		!strings.HasPrefix(got.Location, "https://stage.example/whip/s/") ||
		got.SessionDeleteLink != got.Location {
		t.Errorf("the answer to the offer: got %+v, want 201 with the session's URL", got)
	}
	bob.sees("ana:Ana publishes", "bob:!watch")

	got = offer(bob, "2", "https://stage.example/whip/subscribe/ana", "v=0")
	if got.HTTPStatusCode != 201 || got.SubscriberControlLink != got.Location+"/playback" ||
		got.VideoLayersLink != "" {
		t.Errorf("subscribe: got %+v, want the links of what the session can do", got)
	}
	for _, c := range []struct {
		guest        *guest
		url, offer   string
		status, code int
	}{
		{ana, "https://stage.example/whip/publish/ana", "VP8 only", 400, 2014},
		{ana, "https://stage.example/whip/publish/bob", "v=0", 403, 2003},
		{ana, "https://stage.example/whip", "v=0", 403, 2003},
		{ana, "::", "v=0", 403, 2003},
		{bob, "https://stage.example/whip/publish/bob", "v=0", 403, 2003},
	} {
		if got := offer(c.guest, "3", c.url, c.offer); got.HTTPStatusCode != c.status ||
			got.ErrorCode != c.code || got.ErrorMessage == "" || got.Content != "" {
			t.Errorf("%s: got %+v, want %d %d", c.url, got, c.status, c.code)
		}
	}
	if got := h.refusals(); !slices.Contains(got, "ana no_h264") ||
		!slices.Contains(got, "bob no_capability") {
		t.Errorf("the docks were told %q", got)
	}
}

// TestTheHighestLayerFirst: a viewer may request the highest layer in its offer.
func TestTheHighestLayerFirst(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	h.publish(t, "obs.Studio")
	for id, preference := range map[stage.ParticipantID]string{"ana": "highest", "bob": "lowest"} {
		g := h.join(t, string(id)+".!watch")
		g.tell(`{"type":"aws:ivs:SDP_OFFER","payload":{"whipUrl":"https://stage.example/whip/subscribe/obs","requestId":"r","content":"v=0","initialLayerPref":"` + preference + `"}}`)
		g.hears("aws:ivs:SDP_ANSWER")
		flows := h.media.of(studio, id)
		if len(flows) != 1 || flows[0].highest != (preference == "highest") {
			t.Errorf("%s: got %+v, want %s", id, flows, preference)
		}
	}
}

// TestStatesInBothSpellings: each state is sent with two message types, because some clients know
// only the type with the prefix, and some only the type without.
func TestStatesInBothSpellings(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	for range 3 {
		ana := h.join(t, "ana.Ana")
		prefixed := string(ana.raw("aws:ivs:STAGE_STATE"))
		bare := string(ana.raw("STAGE_STATE"))
		if prefixed != bare || !strings.Contains(bare, `"id":"ana"`) {
			t.Errorf("got %s and %s, want the same state twice", prefixed, bare)
		}
		ana.leaves()
	}
}

func TestTokenExchange(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	ana, bob := h.join(t, "ana.Ana"), h.join(t, "bob.Bob")
	exchange := func(old, fresh string) string {
		t.Helper()
		ana.tell(`{"type":"aws:ivs:EXCHANGE_TOKEN","payload":{"oldToken":"` + old + `","newToken":"` + fresh + `","requestId":"r","traceId":"t"}}`)
		return string(ana.hears("aws:ivs:EXCHANGE_TOKEN"))
	}
	if got, want := exchange("ana.Ana", "ana.Anna"), `{"requestId":"r","traceId":"t"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	bob.sees("ana:Anna", "bob:Bob")
	for name, tokens := range map[string][2]string{
		"an old token that is not the last": {"ana.Ana", "ana.Anne"},
		"a token of somebody else":          {"ana.Anna", "eva.Eva"},
		"a token that has expired":          {"ana.Anna", "ana.!token_expired"},
	} {
		if got := exchange(tokens[0], tokens[1]); !strings.Contains(got, `"error":{"message":"`) || strings.Contains(got, tokens[1]) {
			t.Errorf("%s: got %s, want an error", name, got)
		}
	}
}

// TestExchangeForFewerCapabilities: an exchange ends a session that the new token does not allow.
func TestExchangeForFewerCapabilities(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	ana, bob := h.join(t, "ana.Ana"), h.join(t, "bob.Bob")
	h.publish(t, "ana.Ana")
	bob.sees("ana:Ana publishes", "bob:Bob")
	ana.tell(`{"type":"aws:ivs:EXCHANGE_TOKEN","payload":{"oldToken":"ana.Ana","newToken":"ana.!watch","requestId":"r","traceId":"t"}}`)
	bob.sees("ana:!watch", "bob:Bob")
}

func TestKicked(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	ana, bob := h.join(t, "ana.Ana"), h.join(t, "bob.Bob")
	h.publish(t, "ana.Ana")
	h.publish(t, "obs.Studio")
	everybody := []string{"ana:Ana publishes", "bob:Bob", "obs:Studio publishes"}
	bob.sees(everybody...)
	ana.sees(everybody...) // Bob sees her even if the server has not read her socket's request yet
	if err := h.Disconnect(t.Context(), studio, "ana", "Not your turn."); err != nil {
		t.Fatalf("Disconnect: %v", err)
	}
	if got, want := string(ana.hears("aws:ivs:DISCONNECT")), `{"code":"PARTICIPANT_DISCONNECTED","reason":"Not your turn."}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	ana.isClosed()
	bob.sees("bob:Bob", "obs:Studio publishes")
	// A participant without a socket can be kicked, too.
	if err := h.Disconnect(t.Context(), studio, "obs", ""); err != nil {
		t.Errorf("OBS: got %v, want nil", err)
	}
	bob.sees("bob:Bob")
	if err := h.Disconnect(t.Context(), studio, "nobody", ""); err == nil {
		t.Error("somebody who is not there: got nil, want an error")
	}
}

// TestKickedWhileJoining: a participant who is kicked between the check of the token and the
// joining is still refused.
func TestKickedWhileJoining(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *signal.Config) { c.Sessions = &fickle{Sessions: c.Sessions} })
	ana := h.join(t, "ana.Ana")
	if got := string(ana.hears("aws:ivs:JOIN_ERROR")); !strings.Contains(got, `"PARTICIPANT_DISCONNECTED"`) {
		t.Errorf("got %s, want PARTICIPANT_DISCONNECTED", got)
	}
	ana.isClosed()
	if present, err := h.Participants(t.Context(), studio); err != nil || len(present) != 0 {
		t.Errorf("on the stage: got %v (%v), want nobody", present, err)
	}
}

// fickle accepts a token at the first check and refuses it afterwards.
type fickle struct {
	signal.Sessions
	asked atomic.Bool
}

func (d *fickle) Check(r *http.Request, bearer stage.Secret) (stage.Participant, error) {
	p, err := d.Sessions.Check(r, bearer)
	if d.asked.Swap(true) {
		return stage.Participant{ID: p.ID, Stage: p.Stage},
			stage.Errorf(stage.ErrDenied, "You were sent away.").WithCode("token_revoked")
	}
	return p, err
}

func TestStageDeleted(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	ana := h.join(t, "ana.Ana")
	h.publish(t, "obs.Studio")
	ana.sees("ana:Ana", "obs:Studio publishes")
	if err := h.CloseStage(t.Context(), studio); err != nil {
		t.Fatal(err)
	}
	if got := string(ana.hears("aws:ivs:DISCONNECT")); !strings.Contains(got, `"STAGE_DELETED"`) {
		t.Errorf("got %s, want STAGE_DELETED", got)
	}
	if present, err := h.Participants(t.Context(), studio); err != nil || len(present) != 0 {
		t.Errorf("on the stage: got %v (%v), want nobody", present, err)
	}
}

func TestSameTokenTwice(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	first := h.join(t, "ana.Ana")
	first.sees("ana:Ana")
	second := h.join(t, "ana.Ana")
	if got := string(first.hears("aws:ivs:DISCONNECT")); !strings.Contains(got, `"TOKEN_REUSED"`) {
		t.Errorf("got %s, want TOKEN_REUSED", got)
	}
	first.isClosed()
	second.tell(`{"type":"PING"}`)
	second.hears("PONG")
	if present, err := h.Participants(t.Context(), studio); err != nil || len(present) != 1 {
		t.Errorf("on the stage: got %v (%v), want ana once", present, err)
	}
}

// TestLostSocket: a participant whose socket is lost and who reconnects has not left. The others
// receive no event.
func TestLostSocket(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	bob := h.join(t, "bob.Bob")
	ana := h.join(t, "ana.Ana")
	bob.sees("ana:Ana", "bob:Bob")
	ana.conn.CloseNow()
	ana = h.join(t, "ana.Ana")
	ana.sees("ana:Ana", "bob:Bob")
	h.publish(t, "obs.Studio")
	// The next state has all three participants, so no state was sent in between.
	if got, want := people(bob.inOrder(bob.raw("aws:ivs:STAGE_STATE"))),
		[]string{"ana:Ana", "bob:Bob", "obs:Studio publishes"}; !slices.Equal(got, want) {
		t.Errorf("next state: got %q, want %q", got, want)
	}
}

func TestALostSocketThatDoesNotReconnect(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	h.SetGrace(50 * time.Millisecond)
	bob, ana := h.join(t, "bob.Bob"), h.join(t, "ana.Ana")
	bob.sees("ana:Ana", "bob:Bob")
	ana.conn.CloseNow()
	bob.sees("bob:Bob")
}

func TestSubscriberCount(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	ana := h.join(t, "ana.Ana")
	h.join(t, "bob.Bob")
	var got struct{ SequenceNumber, Count int }
	last := 0
	for got.Count != 2 {
		if err := json.Unmarshal(ana.hears("aws:ivs:SUBSCRIBER_COUNT"), &got); err != nil {
			t.Fatal(err)
		}
		if got.SequenceNumber <= last {
			t.Errorf("the sequence number: got %d after %d, want a greater one",
				got.SequenceNumber, last)
		}
		last = got.SequenceNumber
	}
}

// TestStatesComeInOrder: states arrive in order while all clients send messages. Each guest of the
// test checks the sequence of the states that it receives.
func TestStatesComeInOrder(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	watcher := h.join(t, "eva.Eva")
	var wg sync.WaitGroup
	want := []string{"eva:Eva"}
	for n := range 8 {
		id := "p" + strconv.Itoa(n)
		want = append(want, id+":last")
		wg.Go(func() {
			g := h.join(t, id+".first")
			for range 10 {
				g.tell(`{"type":"SET_STATE","audioMuted":true,"videoStopped":true}`)
			}
			g.tell(`{"type":"aws:ivs:EXCHANGE_TOKEN","payload":{"oldToken":"` + id + `.first","newToken":"` + id + `.last","requestId":"r","traceId":"t"}}`)
			g.hears("aws:ivs:EXCHANGE_TOKEN")
		})
	}
	wg.Wait()
	watcher.sees(want...)
}

// TestTheServerStops: a stopping server sends no DISCONNECT, so that clients reconnect to another
// server by themselves.
func TestTheServerStops(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	ana := h.join(t, "ana.Ana")
	ana.sees("ana:Ana")
	go h.stop()
	ctx := t.Context()
	for {
		_, text, err := ana.conn.Read(ctx)
		if err != nil {
			break
		}
		if strings.Contains(string(text), "DISCONNECT") {
			t.Errorf("got %s, want the end of the socket", text)
		}
	}
	h.stop()
	late := h.join(t, "bob.Bob")
	if got := string(late.hears("aws:ivs:JOIN_ERROR")); !strings.Contains(got, `"INTERNAL"`) {
		t.Errorf("who comes now: got %s, want INTERNAL, which makes the SDK try again", got)
	}
}

func TestChangedIsCalled(t *testing.T) {
	t.Parallel()
	told := make(chan stage.ARN, 100)
	h := newHarness(t, func(c *signal.Config) { c.Changed = func(arn stage.ARN) { told <- arn } })
	h.join(t, "ana.Ana")
	select {
	case arn := <-told:
		if arn != studio {
			t.Errorf("got %s, want %s", arn, studio)
		}
	case <-time.After(soon):
		t.Error("nobody was told that ana joined")
	}
}

func TestAViewingKeyIsToldOfItsViewAlone(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	h.publish(t, "bob.Bob")
	eve := h.join(t, "eve.Eve")
	eve.sees("bob:Bob publishes", "eve:Eve")
	source := h.join(t, "source.!view") // its view is Ana
	source.sees("source:!view")
	h.publish(t, "ana.Ana")
	source.sees("ana:Ana publishes", "source:!view")
	eve.sees("ana:Ana publishes", "bob:Bob publishes", "eve:Eve", "source:!view")

	t.Log("an offer over the socket does not let a viewing key receive more")
	for id, want := range map[string]string{"bob": `"httpStatusCode":403`, "ana": `"httpStatusCode":201`} {
		source.tell(`{"type":"aws:ivs:SDP_OFFER","payload":{"whipUrl":"https://stage.example/whip/subscribe/` + id + `","requestId":"r","content":"v=0"}}`)
		if got := string(source.hears("aws:ivs:SDP_ANSWER")); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", id, got, want)
		}
	}
}
