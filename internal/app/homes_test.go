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

// TestOneHomeBehindAnyBalancer: nginx sends each request to another of three servers. All requests
// for a local stage reach its home: WHIP, WHEP and the events socket. The revocation of a token at
// any server ends its broadcast. When the home is killed, another server records the end of the
// broadcast, and the next broadcast finds a home.
func TestOneHomeBehindAnyBalancer(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	olga := f.operator()
	clip := rtcpeer.MakeClip(t, rtcpeer.ClipOptions{})
	publish := func(at string, token web.Token) (*rtcpeer.Publisher, error) {
		return rtcpeer.Publish(t, rtcpeer.HTTP(at+"/whip", token.Token),
			rtcpeer.PublishOptions{Clip: clip})
	}

	first, view := olga.token("publish"), olga.token("view")
	live, err := publish(f.URL, first)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Servers {
		viewer, err := rtcpeer.View(t,
			rtcpeer.HTTP("http://"+m.Listen+"/whep/"+string(first.ParticipantID), view.Token),
			rtcpeer.ViewOptions{})
		if err != nil {
			t.Fatalf("a viewer at %s: %v", m.Listen, err)
		}
		if err := viewer.Wait(t.Context(), func(s rtcpeer.Stats) bool {
			return s.Frames > 5
		}); err != nil {
			t.Errorf("a viewer at %s: %v", m.Listen, err)
		}
		if err := viewer.Answer.HangUp(t.Context()); err != nil {
			t.Errorf("a viewer at %s hangs up: %v", m.Listen, err)
		}
		next := join(t, "ws"+strings.TrimPrefix("http://"+m.Listen, "http")+"/stage-events",
			olga.token("view").Token)
		if state := next(); !strings.Contains(state, string(first.ParticipantID)) {
			t.Errorf("the events socket at %s: got %s, want the broadcast", m.Listen, state)
		}
	}
	if err := live.HangUp(t.Context()); err != nil {
		t.Errorf("hang up: %v", err)
	}

	for _, m := range f.Servers {
		token := olga.token("publish")
		live, err := publish(f.URL, token)
		if err != nil {
			t.Fatal(err)
		}
		olga.at(m).must(http.StatusNoContent, "DELETE", "/api/tokens/"+string(token.ParticipantID),
			nil, nil)
		select {
		case <-live.Closed():
		case <-time.After(20 * time.Second):
			t.Errorf("a token revoked at %s: its broadcast goes on", m.Listen)
		}
		if _, err := publish(f.URL, token); err == nil {
			t.Errorf("a revoked token publishes again")
		}
	}

	last := olga.token("publish")
	if live, err = publish(f.URL, last); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "it is known to be live", func() bool {
		return lastEvent(olga, last) == "publishing"
	})
	home := strings.TrimPrefix(live.Answer.Location, f.URL+"/whip/s/")
	home, _, _ = strings.Cut(home, "-")
	killed := false
	for _, m := range f.Servers {
		if f.DB.Value(t, f.Database, "SELECT url FROM peers WHERE id = '"+home+"'") == "https://"+
			m.Peers {
			m.Kill(syscall.SIGKILL)
			killed = true
		}
	}
	if !killed {
		t.Fatalf("no server is the home %q", home)
	}
	gone := time.Now() // recording the end takes nine seconds, or more on a busy machine
	eventually(t, 30*time.Second, "the end is recorded", func() bool {
		return lastEvent(olga, last) == "ended"
	})
	t.Logf("the end was recorded %v after the kill", time.Since(gone))
	eventually(t, 30*time.Second, "the next broadcast finds a home", func() bool {
		_, err := publish(f.URL, last)
		return err == nil
	})
}

// TestAServerThatCrashedIsBackAtOnce: a server that starts again after a crash knows that its last
// run has ended. It records the ends of its sessions and frees its stages at once, without waiting
// until the other servers mark that run as dead. Then the next broadcast finds a home.
func TestAServerThatCrashedIsBackAtOnce(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2)
	olga := f.operator()
	clip := rtcpeer.MakeClip(t, rtcpeer.ClipOptions{})
	first, second := olga.token("publish"), olga.token("publish")
	for _, token := range []web.Token{first, second} {
		live, err := rtcpeer.Publish(t, rtcpeer.HTTP(f.URL+"/whip", token.Token),
			rtcpeer.PublishOptions{Clip: clip})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 20*time.Second, "it is known to be live", func() bool {
			return lastEvent(olga, token) == "publishing"
		})
		m := f.Home(olga.stage())
		m.Kill(syscall.SIGKILL)
		killed := time.Now()
		m.Start()
		eventually(t, 20*time.Second, "the end is recorded", func() bool {
			return lastEvent(olga, token) == "ended"
		})
		t.Logf("the end was recorded %v after the kill", time.Since(killed))
		live.Close()
		m.Ready()
	}
	for _, m := range f.Servers {
		if out := m.Out.String(); strings.Contains(out, "a replica stopped without notice") {
			t.Errorf("a server waited for the beat of another one: %s", out)
		}
	}
}

// TestALocalBroadcastDoesNotOutliveTheDatabase: while PostgreSQL hangs, a replica cannot know
// whether the others still reach the database, so its broadcast ends. The end is stored when
// PostgreSQL answers again.
func TestALocalBroadcastDoesNotOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2)
	olga := f.operator()
	token := olga.token("publish")
	live, err := rtcpeer.Publish(t, rtcpeer.HTTP(f.URL+"/whip", token.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "it is known to be live", func() bool {
		return lastEvent(olga, token) == "publishing"
	})
	must(t, f.DB.Freeze())
	select {
	case <-live.Closed():
	case <-time.After(30 * time.Second):
		t.Error("the broadcast goes on")
	}
	must(t, f.DB.Thaw())
	eventually(t, 30*time.Second, "the end is stored with its reason", func() bool {
		return f.DB.Value(t, f.Database,
			"SELECT coalesce(string_agg(code, ', '), '') FROM events WHERE kind = 'ended'") ==
			"home_lost"
	})
	eventually(t, 30*time.Second, "the next broadcast finds a home", func() bool {
		_, err := rtcpeer.Publish(t, rtcpeer.HTTP(f.URL+"/whip", token.Token),
			rtcpeer.PublishOptions{})
		return err == nil
	})
}

// lastEvent returns the kind of the last event of a token.
func lastEvent(c *caller, token web.Token) string {
	var state web.TokenState
	c.must(http.StatusOK, "GET", "/api/tokens/"+string(token.ParticipantID), nil, &state)
	if state.LastEvent == nil {
		return ""
	}
	return string(state.LastEvent.Kind)
}
