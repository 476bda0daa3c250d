package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/web"
)

// sharedFlags returns flags with which several servers share a new database and a local key.
func sharedFlags(t *testing.T, more ...string) []string {
	t.Helper()
	database := &pg.Server{}
	t.Cleanup(database.Stop)
	key := filepath.Join(t.TempDir(), "local-key.pem")
	if _, err := token.CreateKey(key); err != nil {
		t.Fatal(err)
	}
	return append([]string{
		"--database", database.Database(t), "--local-key", key,
		"--public-url", "http://127.0.0.1:8080",
	}, more...)
}

// A gauge forwards the calls of one server to the emulator, and counts the calls that poll.
type gauge struct {
	url   string
	polls atomic.Int64
}

func startGauge(t *testing.T, emulator string) *gauge {
	t.Helper()
	to, err := url.Parse(emulator)
	if err != nil {
		t.Fatal(err)
	}
	g := &gauge{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		if strings.HasPrefix(r.In.URL.Path, "/List") {
			g.polls.Add(1)
		}
		r.SetURL(to)
		r.Out.Host = r.In.Host // the signature covers it
	}}
	server := httptest.NewServer(forward)
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// TestThreeServersObserveAnAWSStage: only the leader polls AWS. All docks receive each event once,
// and a kick keeps its reason, no matter which server received it. When the leader stops, another
// server polls.
func TestThreeServersObserveAnAWSStage(t *testing.T) {
	t.Parallel()
	flags := sharedFlags(t, "--ivs-region", "us-west-2")
	emulator := apptest.Emulate(t)
	var gauges []*gauge
	start := func() *apptest.App {
		t.Helper()
		g := startGauge(t, emulator)
		gauges = append(gauges, g)
		return apptest.Start(t, slices.Concat(flags, []string{"--ivs-endpoint", g.url})...)
	}
	first := start() // holds the lease, because it started first
	olga := first.Operator()
	var made web.Stage
	olga.Must(http.StatusCreated, "POST", "/api/stages",
		web.NewStage{Name: "studio", Region: "us-west-2"}, &made)
	ana := first.Broadcaster(olga, "ana", "publish", "subscribe")
	grant := "/api/users/" + string(ana.Me().ID) + "/grants/" + url.PathEscape(string(made.ARN))
	olga.Must(http.StatusNoContent, "PUT", grant,
		web.GrantRequest{Capabilities: []string{"publish", "subscribe"}}, nil)
	second, third := start(), start()

	docks := []*apptest.EventStream{ana.At(second).Events(), ana.At(third).Events()}
	watchers := []*apptest.EventStream{ana.At(second).Events(), ana.At(third).Events()}
	broadcast := func(end func(web.Token)) {
		t.Helper()
		token := awsToken(t, ana.At(third), made)
		peer, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
			rtcpeer.PublishOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, dock := range docks {
			apptest.Await(dock, "stage", of(token, "publishing"))
		}
		for _, watcher := range watchers {
			apptest.Await(watcher, "presence", func(e feed.PresenceEvent) bool {
				return slices.ContainsFunc(e.Participants, func(p feed.Presence) bool {
					return p.ParticipantID == token.ParticipantID && p.Publishing
				})
			})
		}
		end(token)
		<-peer.Closed()
	}
	kick := func(at *apptest.App) func(web.Token) {
		return func(token web.Token) {
			olga.At(at).Must(http.StatusNoContent, "DELETE",
				"/api/stages/"+url.PathEscape(string(made.ARN))+"/participants/"+
					string(token.ParticipantID), web.Removal{Reason: "Your sound is off."}, nil)
			for i, dock := range docks {
				end := apptest.Await(dock, "stage", func(e web.StageEvent) bool {
					return e.Kind == stage.EventEnded && e.Code == "kicked"
				})
				if end.ParticipantID != token.ParticipantID || end.Detail != "Your sound is off." {
					t.Errorf("dock %d: got %+v, want the kick", i, end)
				}
			}
		}
	}
	t.Log("a kick at a server that does not poll")
	broadcast(kick(third))
	for i, g := range gauges {
		if polls := g.polls.Load(); polls > 0 != (i == 0) {
			t.Errorf("server %d has polled %d times; want that the first one alone polls", i, polls)
		}
	}

	t.Log("the server that polls stops")
	first.Stop()
	broadcast(kick(second))
	if a, b := gauges[1].polls.Load(), gauges[2].polls.Load(); a > 0 == (b > 0) {
		t.Errorf("the other servers have polled %d and %d times; want that one of them polls", a, b)
	}

	t.Log("each event was stored once")
	var seen []string
	all := ana.At(second).EventsAfter("0")
	apptest.Await(all, "stage", func(e web.StageEvent) bool {
		if e.Kind == stage.EventPublishing || e.Kind == stage.EventEnded {
			seen = append(seen, string(e.Kind)+" "+e.Code)
		}
		return len(seen) == 4
	})
	if want := []string{"publishing ", "ended kicked", "publishing ",
		"ended kicked"}; !slices.Equal(seen, want) {
		t.Errorf("stored: got %q, want %q", seen, want)
	}
}

// TestAReadAfterAWriteAtAnotherServer: a load balancer may send each request of a page to another
// server, so every server returns at once what was written at another server. Open pages of every
// server receive the change, too.
func TestAReadAfterAWriteAtAnotherServer(t *testing.T) {
	t.Parallel()
	flags := sharedFlags(t, "--token-limit=-1")
	first := apptest.Start(t, flags...)
	olga := first.Operator()
	second := apptest.Start(t, flags...)
	there := olga.At(second)
	page := there.Events()
	for i := range 10 {
		name := fmt.Sprint("stage ", i)
		// This read fills the cache of the other server just before the write.
		there.Must(http.StatusOK, "GET", "/api/stages", nil, nil)
		var made web.Stage
		olga.Must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Name: name}, &made)
		if me := there.Me(); !slices.ContainsFunc(me.Stages, func(s web.MyStage) bool {
			return s.Name == name
		}) {
			t.Errorf("/api/me at the other server lacks %q: %+v", name, me.Stages)
		}
		var list web.Stages
		there.Must(http.StatusOK, "GET", "/api/stages", nil, &list)
		if !slices.ContainsFunc(list.Stages, func(s web.Stage) bool { return s.ARN == made.ARN }) {
			t.Errorf("/api/stages at the other server lacks %q", name)
		}
		there.Must(http.StatusCreated, "POST", "/api/tokens", web.TokenRequest{Stage: made.ARN},
			nil)
		there.Must(http.StatusCreated, "POST",
			"/api/stages/"+url.PathEscape(string(made.ARN))+"/chat",
			map[string]any{"text": "hello"}, nil)
		apptest.Await(page, "me", func(me web.Me) bool {
			return slices.ContainsFunc(me.Stages, func(s web.MyStage) bool {
				return s.Name == name
			})
		})
	}
}
