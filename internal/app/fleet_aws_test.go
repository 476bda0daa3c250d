package app_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

const eventsSecret = "posted by EventBridge"

// TestEventBridgeInAFleet: EventBridge posts each event to one of three servers. Each event reaches
// all docks, and is stored and sent to a webhook once. A kick keeps its reason. Then the leader is
// killed. The next leader handles the events that were posted meanwhile, disconnects a participant
// whose token was revoked meanwhile, and deletes an own key that was rotated meanwhile.
func TestEventBridgeInAFleet(t *testing.T) {
	t.Parallel()
	f := prepareFleet(t, 3)
	f.Flags = append(f.Flags, "--ivs-region", "us-west-2", "--ivs-events-secret", eventsSecret,
		"--webhook-networks", "127.0.0.0/8", "--ivs-endpoint",
		apptest.Emulate(t, "--events-url", f.URL+"/api/aws/events", "--events-secret",
			eventsSecret))
	f.StartAll()
	hook := startHook(t)
	olga := f.operator()
	olga.must(http.StatusCreated, "POST", "/api/v1/webhooks", map[string]any{
		"url": hook.URL, "types": []string{"participant.published", "participant.ended"},
	}, nil)
	var studio web.Stage
	olga.must(http.StatusCreated, "POST", "/api/stages",
		web.NewStage{Region: "us-west-2", Name: "studio"}, &studio)
	f.broadcasterOn(olga, "ana", string(studio.ARN))
	ana := f.callers[0]
	var docks []*apptest.EventStream
	for _, m := range f.Servers {
		docks = append(docks, f.dockAt(ana, m))
	}
	participant := func(token web.Token) string {
		return "/api/stages/" + url.PathEscape(string(studio.ARN)) + "/participants/" +
			string(token.ParticipantID)
	}

	t.Log("a broadcast begins, and a kick at each server ends it")
	for i, at := range f.Servers {
		token := ana.tokenFor(studio)
		live, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
			rtcpeer.PublishOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, dock := range docks {
			apptest.Await(dock, "stage", of(token, "publishing"))
		}
		last := i == len(f.Servers)-1
		olga.at(at).must(http.StatusNoContent, "DELETE", participant(token),
			web.Removal{Reason: "That is enough.", Bar: last}, nil)
		<-live.Closed()
		for _, dock := range docks {
			if end := apptest.Await(dock, "stage", of(token, "ended")); end.Code != "kicked" ||
				end.Detail != "That is enough." {
				t.Errorf("a dock received %+v, want the kick", end)
			}
		}
		f.happened(token, "publishing , ended kicked")
		hook.received(t, token, "participant.published participant.ended")
	}
	for _, m := range f.Servers {
		status, _, text, err := ana.at(m).do("POST", "/api/tokens",
			web.TokenRequest{Stage: studio.ARN})
		if err != nil || status != http.StatusForbidden {
			t.Errorf("a token for ana, who is barred, at %s: got %d %s %v", m.Listen, status, text,
				err)
		}
	}

	t.Log("the server that leads is killed")
	f.broadcasterOn(olga, "bea", string(studio.ARN))
	bea := f.callers[1]
	leader, left := f.leader()
	late, revoked := bea.tokenFor(studio), bea.tokenFor(studio)
	docks = []*apptest.EventStream{f.dockAt(bea, left[0]), f.dockAt(bea, left[1])}
	killed := time.Now()
	leader.Kill(syscall.SIGKILL)
	bea.at(left[0]).must(http.StatusNoContent, "DELETE",
		"/api/tokens/"+string(revoked.ParticipantID), nil, nil)
	olga.at(left[0]).must(http.StatusCreated, "POST", "/api/v1/keys/us-west-2", web.V1KeyChange{},
		nil)
	olga.at(left[1]).must(http.StatusOK, "POST", "/api/v1/keys/us-west-2/rotate", web.V1KeyChange{},
		nil)
	postEvent(t, left[0], studio, late, "the event comes twice")
	postEvent(t, left[1], studio, late, "the event comes twice")
	if again, _ := f.leader(); again != leader {
		t.Fatal("another server leads already, so this shows nothing")
	}
	for _, dock := range docks {
		apptest.Await(dock, "stage", of(late, "publishing"))
	}
	t.Logf("the event was stored %v after the kill", time.Since(killed))
	f.happened(late, "publishing ")
	hook.received(t, late, "participant.published")

	t.Log("a participant whose token was revoked meanwhile joins, and is disconnected")
	live, err := rtcpeer.Publish(t, rtcpeer.HTTP(revoked.Endpoint, revoked.Token),
		rtcpeer.PublishOptions{})
	var refused *rtcpeer.StatusError
	switch {
	case errors.As(err, &refused):
		t.Errorf("the emulator refuses whom it never saw (%v): this shows nothing", err)
	case err == nil: // otherwise the stream ended before it was ready
		select {
		case <-live.Closed():
		case <-time.After(time.Minute):
			t.Error("a revoked participant stays on the stage")
		}
	}
	eventually(t, time.Minute, "the key that was rotated is deleted", func() bool {
		var keys web.V1Keys
		olga.at(left[0]).must(http.StatusOK, "GET", "/api/v1/keys", nil, &keys)
		return len(keys.Keys) == 1 && keys.Keys[0].State == "active"
	})
}

// leader returns the server that holds the lease, and the other servers.
func (f *fleet) leader() (leads *replicas.Member, others []*replicas.Member) {
	f.t.Helper()
	at := f.DB.Value(f.t, f.Database, "SELECT peer FROM leases WHERE name = 'housekeeping'")
	for _, m := range f.Servers {
		if at == "https://"+m.Peers {
			leads = m
		} else {
			others = append(others, m)
		}
	}
	if leads == nil {
		f.t.Fatalf("no server leads: %q", at)
	}
	return leads, others
}

// dockAt opens an event stream directly at one server, without nginx.
func (f *fleet) dockAt(c *caller, m *replicas.Member) *apptest.EventStream {
	there := apptest.NewClient(f.t, "http://"+m.Listen, nil)
	there.HTTP.Jar = c.http.Jar
	return there.Events()
}

func (c *caller) tokenFor(st web.Stage) (token web.Token) {
	c.t.Helper()
	c.must(http.StatusCreated, "POST", "/api/tokens", web.TokenRequest{Stage: st.ARN}, &token)
	return token
}

// happened checks the stored events of a participant.
func (f *fleet) happened(token web.Token, want string) {
	f.t.Helper()
	got := f.DB.Value(f.t, f.Database,
		"SELECT string_agg(kind || ' ' || code, ', ' ORDER BY id) FROM events"+
			" WHERE kind <> 'connected' AND participant = '"+string(token.ParticipantID)+"'")
	if got != want {
		f.t.Errorf("stored: got %q, want %q", got, want)
	}
}

// postEvent posts the event "participant published" to a server, as EventBridge does.
func postEvent(t *testing.T, m *replicas.Member, st web.Stage, token web.Token, id string) {
	t.Helper()
	now := time.Now().UTC().Format(time.RFC3339)
	body, err := json.Marshal(map[string]any{
		"id": id, "source": "aws.ivs", "detail-type": "IVS Stage Update", "time": now,
		"resources": []string{string(st.ARN)},
		"detail": map[string]any{
			"event_name": "Participant Published", "event_time": now, "user_id": "bea",
			"participant_id": token.ParticipantID,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+m.Listen+"/api/aws/events",
		strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Stagedoor-Secret", eventsSecret)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		t.Errorf("an event of EventBridge: got %s", answer.Status)
	}
}

// A hook is an HTTP server that receives the messages of a webhook.
type hook struct {
	*httptest.Server
	mu  sync.Mutex
	got []string // guarded by mu: bodies of the messages
}

func startHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, string(body))
	}))
	t.Cleanup(h.Close)
	return h
}

// received waits for the messages about a participant, and checks that there are no others.
func (h *hook) received(t *testing.T, token web.Token, want string) {
	t.Helper()
	types := func() string {
		h.mu.Lock()
		defer h.mu.Unlock()
		var list []string
		for _, body := range h.got {
			var message struct{ Type string }
			if strings.Contains(body, string(token.ParticipantID)) &&
				json.Unmarshal([]byte(body), &message) == nil {
				list = append(list, message.Type)
			}
		}
		return strings.Join(list, " ")
	}
	eventually(t, 30*time.Second, "the webhook has "+want, func() bool {
		return len(types()) >= len(want)
	})
	if got := types(); got != want {
		t.Errorf("the webhook has %q, want %q", got, want)
	}
}
