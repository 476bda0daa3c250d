package web_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

// A tokenEndpoint is a request to an endpoint that accepts bearer tokens, and the status for a
// valid participant token.
type tokenEndpoint struct {
	name, method, path, contentType, body string
	ok                                    int
}

func tokenEndpoints(t *testing.T, arn string) []tokenEndpoint {
	t.Helper()
	offer, err := os.ReadFile("../sfu/testdata/offers/publish-firefox-like.sdp")
	if err != nil {
		t.Fatal(err)
	}
	stage := "/api/stages/" + url.PathEscape(arn)
	return []tokenEndpoint{
		{"WHIP", "POST", "/whip", "application/sdp", string(offer), http.StatusCreated},
		// The publisher does not exist, so 404 means that the token was accepted.
		{"WHEP", "POST", "/whep/nobody", "application/sdp", string(offer), http.StatusNotFound},
		{"chat", "POST", stage + "/chat", "application/json", `{"text":"hi"}`, http.StatusCreated},
		{"stage events", "GET", stage + "/events", "", "", http.StatusOK},
		{"tokens by key", "POST", "/api/tokens", "application/json", `{}`, http.StatusUnauthorized},
	}
}

func (d tokenEndpoint) try(
	t *testing.T, a *apptest.App, from, bearer string,
) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, d.method, a.URL+d.path, strings.NewReader(d.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", d.contentType)
	r.Header.Set("X-Forwarded-For", from)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return res.StatusCode, "" // an event stream does not end
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// TestGoodTokenAlwaysOpens: all endpoints share one limit on wrong tokens, and a valid token is
// accepted no matter what other clients of its address send.
func TestGoodTokenAlwaysOpens(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--trusted-proxies", "127.0.0.1")
	olga := a.Operator()
	arn := olga.MainStage()
	token := olga.Token("").Token
	wrong := token[:len(token)-4] + "AAAA"
	endpoints := tokenEndpoints(t, arn)
	for round := range 9 {
		for i, d := range endpoints { // sends 45 wrong tokens, each from another port
			status, body := d.try(t, a, "198.51.100.21:"+strconv.Itoa(40000+10*round+i), wrong)
			if round < 6 && status != http.StatusUnauthorized {
				t.Fatalf("%s, wrong token %d: got %d %s, want 401", d.name, 5*round+i+1, status,
					body)
			}
			// The status may also be 401, because the limit recovers by one attempt per second and
			// the machine may be slow.
			if status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
				t.Fatalf("%s, wrong token %d: got %d %s, want 401 or 429", d.name, 5*round+i+1,
					status, body)
			}
		}
	}
	flood := func(stop <-chan struct{}, done chan<- int) {
		limited := 0
		for {
			select {
			case <-stop:
				done <- limited
				return
			default:
				if status, _ := endpoints[0].try(t, a, "198.51.100.21",
					wrong); status == http.StatusTooManyRequests {
					limited++
				}
			}
		}
	}
	stop, done := make(chan struct{}), make(chan int)
	for range 4 {
		go flood(stop, done)
	}
	for _, from := range []string{"198.51.100.21", "198.51.100.22"} {
		for _, d := range endpoints[:4] {
			if status, body := d.try(t, a, from, token); status != d.ok {
				t.Errorf("%s, a good token from %s: got %d %s, want %d", d.name, from, status, body,
					d.ok)
			}
		}
		joinEvents(t, a, from, token)
	}
	close(stop)
	limited := 0
	for range 4 {
		limited += <-done
	}
	if limited == 0 {
		t.Error("no wrong token of the flood was limited")
	}
}

// joinEvents joins a stage on its events socket, and waits for the state of the stage.
func joinEvents(t *testing.T, a *apptest.App, from, token string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	address := "ws" + strings.TrimPrefix(a.URL, "http") + "/stage-events"
	conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		Subprotocols: []string{token}, HTTPHeader: http.Header{"X-Forwarded-For": {from}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	_, text, err := conn.Read(ctx)
	if err != nil || !strings.Contains(string(text), "STAGE_STATE") {
		t.Errorf("events socket, a good token from %s: got %s, %v, want the state", from, text, err)
	}
}

// TestRequestsWithoutTokenHarmNobody: requests without a token do not count as wrong tokens,
// because any web page can send them from the address of its visitors.
func TestRequestsWithoutTokenHarmNobody(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	token := olga.Token("publish").Token
	publish := tokenEndpoints(t, olga.MainStage())[0]
	for n := range 100 {
		if status, body := publish.try(t, a, "", ""); status != http.StatusUnauthorized {
			t.Fatalf("request %d without a token: got %d %s, want 401", n+1, status, body)
		}
	}
	if status, body := publish.try(t, a, "", token); status != http.StatusCreated {
		t.Errorf("a good token from there: got %d %s, want 201", status, body)
	}
}

// TestANeighbourLocksNoBrowserOut: another person at Olga's address guesses her password.
// Afterwards Olga can still sign in with her own browser.
func TestANeighbourLocksNoBrowserOut(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	neighbour := a.Browser()
	guess := web.Credentials{Name: "olga", Password: "a guess at it"}
	// On a busy machine the delay may pass between two guesses, but each further guess doubles it.
	for guesses, throttled := 1, false; !throttled; guesses++ {
		status, _, text := neighbour.Do("POST", "/api/login", guess)
		throttled = status == http.StatusTooManyRequests &&
			bytes.Contains(text, []byte(`"too_many_attempts"`))
		if !throttled && (status != http.StatusUnauthorized || guesses == 20) {
			t.Fatalf("guess %d: got %d %s, want 401, and after a few guesses too_many_attempts",
				guesses, status, text)
		}
	}
	right := web.Credentials{Name: "olga", Password: apptest.Password}
	// Olga's browser is recognized by its cookie, so it is not throttled.
	olga.Must(http.StatusNoContent, "DELETE", "/api/login", nil, nil)
	olga.Must(http.StatusOK, "POST", "/api/login", right, nil)

	base, err := url.Parse(a.URL + "/api/login")
	if err != nil {
		t.Fatal(err)
	}
	_, header, _ := olga.Do("POST", "/api/login", right)
	for _, line := range header.Values("Set-Cookie") {
		cookie, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatal(err)
		}
		if cookie.Name == "stagedoor_browser" &&
			(!cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode ||
				cookie.Path != "/api" || cookie.MaxAge < 365*24*3600) {
			t.Errorf("the cookie of the browser: got %q, want HttpOnly, Lax, for /api, for a year",
				line)
		}
	}
	if got := olga.HTTP.Jar.Cookies(base); len(got) != 2 {
		t.Errorf("got %v, want the cookies of the login and of the browser", got)
	}
}
