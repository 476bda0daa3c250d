package app_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestAKickWithoutTheDatabase: while PostgreSQL hangs, a kick and a revocation end sessions. Both
// are stored as soon as PostgreSQL answers again.
func TestAKickWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	server := &pg.Server{}
	t.Cleanup(server.Stop)
	a := apptest.Start(t, "--database", server.Database(t))
	t.Cleanup(func() { server.Thaw() })
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish")
	arn := url.PathEscape(olga.MainStage())
	kicked, revoked := ana.Token("publish"), ana.Token("publish")
	clip := rtcpeer.MakeClip(t, rtcpeer.ClipOptions{})
	publish := func(token web.Token) (*rtcpeer.Publisher, error) {
		return rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
			rtcpeer.PublishOptions{Clip: clip})
	}
	var live []*rtcpeer.Publisher
	for _, token := range []web.Token{kicked, revoked} {
		one, err := publish(token)
		if err != nil {
			t.Fatal(err)
		}
		live = append(live, one)
	}
	must(t, server.Freeze())
	time.AfterFunc(time.Minute, func() { server.Thaw() })

	ana.Must(http.StatusNoContent, "DELETE", "/api/tokens/"+string(revoked.ParticipantID), nil, nil)
	olga.Must(http.StatusNoContent, "DELETE",
		"/api/stages/"+arn+"/participants/"+string(kicked.ParticipantID), nil, nil)
	for _, one := range live {
		select {
		case <-one.Closed():
		case <-time.After(20 * time.Second):
			t.Error("a session goes on after it was to end")
		}
	}
	if status, _, _ := ana.Do("DELETE",
		"/api/stages/"+arn+"/participants/"+string(kicked.ParticipantID),
		nil); status == http.StatusNoContent {
		t.Error("a broadcaster kicks while the database does not answer")
	}

	must(t, server.Thaw())
	for _, token := range []web.Token{kicked, revoked} {
		eventually(t, 30*time.Second, "the revocation is stored", func() bool {
			var state web.TokenState
			status, _, _ := olga.Do("GET", "/api/tokens/"+string(token.ParticipantID), nil)
			if status != http.StatusOK {
				return false
			}
			olga.Must(http.StatusOK, "GET", "/api/tokens/"+string(token.ParticipantID), nil, &state)
			return state.RevokedAt != nil && state.LastEvent != nil &&
				state.LastEvent.Kind == "ended"
		})
		if _, err := publish(token); err == nil {
			t.Error("a revoked token publishes again")
		}
	}
}
