package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func of(token web.Token, kind string) func(web.StageEvent) bool {
	return func(e web.StageEvent) bool {
		return e.ParticipantID == token.ParticipantID && string(e.Kind) == kind
	}
}

func TestFromTokenToViewer(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish", "subscribe")
	dock := ana.Events()

	t.Log("ana publishes with the endpoint and the token that she was given; the dock says LIVE")
	token := ana.Token("publish")
	publisher, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	apptest.Await(dock, "stage", of(token, "publishing"))

	t.Log("ben may subscribe, and sees and hears ana; eve may not, and is refused")
	ben := a.Broadcaster(olga, "ben", "subscribe")
	view := ben.Token("view")
	endpoint := a.URL + "/whep/" + string(token.ParticipantID)
	viewer, err := rtcpeer.View(t, rtcpeer.HTTP(endpoint, view.Token), rtcpeer.ViewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := viewer.WaitFrames(limit(t), 30); err != nil {
		t.Error(err)
	}
	if err := viewer.WaitAudio(limit(t), 50); err != nil {
		t.Error(err)
	}
	eve := a.Broadcaster(olga, "eve", "publish").Token("publish")
	wantStatus(t, endpoint, eve.Token, http.StatusForbidden, 2003)

	t.Log("ana and the operator see what the stage receives from ana, but ben does not")
	apptest.Await(dock, "presence", func(e web.PresenceEvent) bool {
		for _, p := range e.Participants {
			if p.You && p.Reception != nil && p.Reception.Video != nil &&
				p.Reception.Video.Height > 0 && p.Reception.Audio != nil &&
				p.Reception.Audio.Valid {
				return p.Viewers == 1
			}
		}
		return false
	})
	apptest.Await(ben.Events(), "presence", func(e web.PresenceEvent) bool {
		for _, p := range e.Participants {
			if p.Name == "ana" {
				if p.Reception != nil {
					t.Error("ben is told what the stage receives of ana")
				}
				return true
			}
		}
		return false
	})

	t.Log("ana revokes the token: the session ends, the dock shows why, and the next offer is " +
		"refused and shown")
	ana.Must(http.StatusNoContent, "DELETE", "/api/tokens/"+string(token.ParticipantID), nil, nil)
	<-publisher.Closed()
	apptest.Await(dock, "stage", of(token, "ended"))
	wantStatus(t, token.Endpoint, token.Token, http.StatusForbidden, 2003)
	refused := apptest.Await(dock, "stage", of(token, "refused"))
	if refused.Code != "token_revoked" || refused.Detail == "" {
		t.Errorf("the refusal: got %+v, want token_revoked with a detail", refused)
	}
}

func TestRemovalInTheTerminalEndsALiveSession(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	ana := a.Broadcaster(a.Operator(), "ana", "publish")
	token := ana.Token("publish")
	publisher, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "users", "remove", "ana", "--data", a.Data); err != nil {
		t.Fatal(err)
	}
	select {
	case <-publisher.Closed():
	case <-limit(t).Done():
		t.Error("the removed broadcaster is still live")
	}
}

func TestWatchingEndsWithTheGrant(t *testing.T) {
	watchingEnds(t, func(olga, ben *apptest.Client) {
		olga.Must(http.StatusNoContent, "DELETE",
			"/api/users/"+string(ben.Me().ID)+"/grants/"+url.PathEscape(olga.MainStage()), nil, nil)
	})
}

func TestWatchingEndsWithTheLogin(t *testing.T) {
	for name, path := range map[string]string{"signed out": "/api/login",
		"signed out everywhere": "/api/logins"} {
		t.Run(name, func(t *testing.T) {
			watchingEnds(t, func(_, ben *apptest.Client) {
				ben.Must(http.StatusNoContent, "DELETE", path, nil, nil)
			})
		})
	}
}

// watchingEnds watches a stage with a view token of the user ben, calls the given function, and
// checks that this call has disconnected the viewer.
func watchingEnds(t *testing.T, by func(olga, ben *apptest.Client)) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	token := olga.Token("publish")
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	ben := a.Broadcaster(olga, "ben", "subscribe")
	endpoint := a.URL + "/whep/" + string(token.ParticipantID)
	if status, _, answer := ben.Send("POST", "/whep/"+string(token.ParticipantID),
		"application/sdp", strings.NewReader("v=0")); status != http.StatusUnauthorized {
		t.Errorf("watching by the cookie of a login: got %d %s, want 401", status, answer)
	}
	viewer, err := rtcpeer.View(t, rtcpeer.HTTP(endpoint, ben.Token("view").Token),
		rtcpeer.ViewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := viewer.WaitFrames(limit(t), 5); err != nil {
		t.Fatal(err)
	}
	by(olga, ben)
	select {
	case <-viewer.Closed():
	case <-limit(t).Done():
		t.Error("ben, who may not watch any more, still does")
	}
}

func TestStopEndsSessionsAndRemembersIt(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	a := apptest.StartIn(t, data)
	ana := a.Broadcaster(a.Operator(), "ana", "publish")
	token := ana.Token("publish")
	dock := ana.Events()
	publisher, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	apptest.Await(dock, "stage", of(token, "publishing"))
	a.Stop()
	<-publisher.Closed()

	t.Log("after the restart the dock is told how it ended")
	b := apptest.StartIn(t, data)
	again := b.Browser()
	again.Must(http.StatusOK, "POST", "/api/login",
		web.Credentials{Name: "ana", Password: apptest.Password}, nil)
	apptest.Await(again.Events(), "stage", of(token, "ended"))
}

// TestBadTokensAreRefused posts an offer with several kinds of bad tokens, and bad offers with a
// valid token.
func TestBadTokensAreRefused(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--token-window", "1m")
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish", "subscribe")
	good := ana.Token("publish")

	foreign := apptest.Start(t)
	other := foreign.Operator().Token("publish")
	parts := strings.Split(good.Token, ".")
	for name, c := range map[string]struct {
		token  string
		status int
		code   int
	}{
		"none":              {"", http.StatusUnauthorized, 2003},
		"garbage":           {"garbage", http.StatusUnauthorized, 2003},
		"truncated":         {good.Token[:len(good.Token)-10], http.StatusUnauthorized, 2003},
		"without signature": {parts[0] + "." + parts[1] + ".", http.StatusUnauthorized, 2003},
		"alg none": {"eyJhbGciOiJub25lIn0." + parts[1] + ".", http.StatusUnauthorized,
			2003},
		"another's key": {other.Token, http.StatusUnauthorized, 2003},
		"view only":     {ana.Token("view").Token, http.StatusForbidden, 2003},
	} {
		t.Run(name, func(t *testing.T) {
			wantStatus(t, good.Endpoint, c.token, c.status, c.code)
		})
	}
	t.Log("1 MB of token is turned away before it is read")
	r, _ := http.NewRequestWithContext(t.Context(), "POST", good.Endpoint,
		strings.NewReader("v=0\r\n"))
	r.Header.Set("Content-Type", "application/sdp")
	r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 1<<20))
	if answer, err := http.DefaultClient.Do(r); err == nil {
		answer.Body.Close()
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge &&
			answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("1 MB of token: got %s", answer.Status)
		}
	}

	t.Log("a good token with bad offers")
	for name, c := range map[string]struct {
		kind, body string
		status     int
	}{
		"garbage": {"application/sdp", "hello", http.StatusBadRequest},
		"empty":   {"application/sdp", "", http.StatusBadRequest},
		"not sdp": {"application/json", "{}", http.StatusUnsupportedMediaType},
		"10 MB": {"application/sdp", "v=0\r\n" + strings.Repeat("a=x\r\n", 2<<20),
			http.StatusRequestEntityTooLarge},
		"no media": {"application/sdp", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
			http.StatusBadRequest},
		"binary rubble": {"application/sdp", "\x00\xff\xfe" + strings.Repeat("\x80", 500),
			http.StatusBadRequest},
	} {
		status, text := post(t, good.Endpoint, good.Token, c.kind, c.body)
		if status != c.status || !strings.Contains(text, `"message"`) {
			t.Errorf("%s: got %d %s, want %d", name, status, text, c.status)
		}
	}

	t.Log("the token still works after all that, and the server is well")
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(good.Endpoint, good.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Error(err)
	}
	olga.Must(http.StatusOK, "GET", "/api/stages", nil, nil)
}

// TestAStageIsItsOwn: a token is valid only for its own stage.
func TestAStageIsItsOwn(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	var second web.Stage
	olga.Must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Name: "second"}, &second)
	token := olga.Token("publish")
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	var there web.Token
	olga.Must(http.StatusCreated, "POST", "/api/tokens",
		map[string]any{"stage": second.ARN, "for": "view"}, &there)
	_, err := rtcpeer.View(t, rtcpeer.HTTP(a.URL+"/whep/"+string(token.ParticipantID), there.Token),
		rtcpeer.ViewOptions{})
	var status *rtcpeer.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusNotFound {
		t.Errorf("a viewer of another stage: got %v, want 404", err)
	}

	t.Log("a stage that is removed takes its sessions along")
	path := "/api/stages/" + url.PathEscape(olga.MainStage())
	stream := olga.Events()
	olga.Must(http.StatusNoContent, "DELETE", path, nil, nil)
	apptest.Await(stream, "stage", of(token, "ended"))
	wantStatus(t, token.Endpoint, token.Token, http.StatusForbidden, 2003)
}

func post(t *testing.T, endpoint, token, kind, body string) (int, string) {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), "POST", endpoint, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var problem json.RawMessage
	if err := json.NewDecoder(answer.Body).Decode(&problem); err != nil {
		t.Errorf("%s: the body is not JSON: %v", answer.Status, err)
	}
	if answer.StatusCode == http.StatusUnauthorized &&
		!strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("401 without WWW-Authenticate")
	}
	return answer.StatusCode, string(problem)
}

func wantStatus(t *testing.T, endpoint, token string, status, code int) {
	t.Helper()
	got, text := post(t, endpoint, token, "application/sdp", "v=0\r\n")
	var p struct {
		Code    int
		Message string
	}
	json.Unmarshal([]byte(text), &p)
	if got != status || p.Code != code || p.Message == "" {
		t.Errorf("got %d %s, want %d with code %d and a sentence", got, text, status, code)
	}
}
