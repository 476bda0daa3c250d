package app_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestOneHomeBehindAnyBalancer: three servers behind nginx, which sends each request elsewhere. A
// broadcast, its viewers, the events socket, and their ends all find the server that carries the stage;
// a kick on any server ends it; and when that server is killed, another one records the end and carries
// the next broadcast.
func TestOneHomeBehindAnyBalancer(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	olga := f.operator()
	clip := rtcpeer.MakeClip(t, rtcpeer.ClipOptions{})
	publish := func(at string, token web.Token) (*rtcpeer.Publisher, error) {
		return rtcpeer.Publish(t, rtcpeer.HTTP(at+"/whip", token.Token), rtcpeer.PublishOptions{Clip: clip})
	}

	first, view := olga.token("publish"), olga.token("view")
	live, err := publish(f.url, first)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f.servers {
		viewer, err := rtcpeer.View(t, rtcpeer.HTTP("http://"+m.listen+"/whep/"+string(first.ParticipantID), view.Token), rtcpeer.ViewOptions{})
		if err != nil {
			t.Fatalf("a viewer at %s: %v", m.listen, err)
		}
		if err := viewer.Wait(t.Context(), func(s rtcpeer.Stats) bool { return s.Frames > 5 }); err != nil {
			t.Errorf("a viewer at %s: %v", m.listen, err)
		}
		if err := viewer.Answer.HangUp(t.Context()); err != nil {
			t.Errorf("a viewer at %s hangs up: %v", m.listen, err)
		}
		next := join(t, "ws"+strings.TrimPrefix("http://"+m.listen, "http")+"/stage-events", olga.token("view").Token)
		if state := next(); !strings.Contains(state, string(first.ParticipantID)) {
			t.Errorf("the events socket at %s: got %s, want the broadcast", m.listen, state)
		}
	}
	if err := live.HangUp(t.Context()); err != nil {
		t.Errorf("hang up: %v", err)
	}

	for _, m := range f.servers {
		token := olga.token("publish")
		live, err := publish(f.url, token)
		if err != nil {
			t.Fatal(err)
		}
		olga.at(m).must(http.StatusNoContent, "DELETE", "/api/tokens/"+string(token.ParticipantID), nil, nil)
		select {
		case <-live.Closed():
		case <-time.After(20 * time.Second):
			t.Errorf("a token revoked at %s: its broadcast goes on", m.listen)
		}
		if _, err := publish(f.url, token); err == nil {
			t.Errorf("a revoked token publishes again")
		}
	}

	last := olga.token("publish")
	if live, err = publish(f.url, last); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "it is known to be live", func() bool { return lastEvent(olga, last) == "publishing" })
	home := strings.TrimPrefix(live.Answer.Location, f.url+"/whip/s/")
	home, _, _ = strings.Cut(home, "-")
	killed := false
	for _, m := range f.servers {
		if f.db.Value(t, f.database, "SELECT url FROM peers WHERE id = '"+home+"'") == "https://"+m.peers {
			m.kill(syscall.SIGKILL)
			killed = true
		}
	}
	if !killed {
		t.Fatalf("no server is the home %q", home)
	}
	gone := time.Now() // nine seconds, and more on a busy machine
	eventually(t, 30*time.Second, "the end is recorded", func() bool { return lastEvent(olga, last) == "ended" })
	t.Logf("the end was recorded %v after the kill", time.Since(gone))
	eventually(t, 30*time.Second, "the next broadcast finds a home", func() bool {
		_, err := publish(f.url, last)
		return err == nil
	})
}

// lastEvent is the kind of the last event of a token.
func lastEvent(c *caller, token web.Token) string {
	var state web.TokenState
	c.must(http.StatusOK, "GET", "/api/tokens/"+string(token.ParticipantID), nil, &state)
	if state.LastEvent == nil {
		return ""
	}
	return string(state.LastEvent.Kind)
}
