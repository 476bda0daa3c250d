package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// TestTheEndpointsAreAsDocumented sends OPTIONS to every endpoint of a stage in docs/http.md, which
// lists every route of package whip.
func TestTheEndpointsAreAsDocumented(t *testing.T) {
	t.Parallel()
	anybody := apptest.Start(t).Browser()
	text, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(
		"`([A-Z]+) (?:<session URL>|(/wh[ie]p))([^` ]*)`").FindAllStringSubmatch(string(text), -1)
	parameter := regexp.MustCompile(`\{[^}]*\}`)
	documented := map[string]bool{}
	for _, row := range rows {
		path := "/whip/s/{secret}"
		if row[2] != "" {
			path = row[2]
		}
		path += row[3]
		documented[row[1]+" "+parameter.ReplaceAllString(path, "{}")] = true
		path = parameter.ReplaceAllString(path, "ana")
		status, h, _ := anybody.Do("OPTIONS", path, nil)
		if status != http.StatusNoContent || !strings.Contains(h.Get("Allow"), row[1]) {
			t.Errorf("OPTIONS for %s: got %d, Allow: %s, want 204 and the method",
				row[0], status, h.Get("Allow"))
		}
	}
	for _, pattern := range whip.Patterns() {
		if !documented[parameter.ReplaceAllString(pattern, "{}")] {
			t.Errorf("%s is served and not in docs/http.md", pattern)
		}
	}
	if status, _, _ := anybody.Do("GET", "/stage-events",
		nil); status != http.StatusUpgradeRequired {
		t.Errorf("GET /stage-events without a WebSocket: got %d, want 426", status)
	}
	t.Log("an additional slash causes no redirect, since OBS would lose its offer by it")
	if status, _, _ := anybody.Do("POST", "//whip/", nil); status != http.StatusUnauthorized {
		t.Errorf("POST //whip/: got %d, want 401", status)
	}
}

func TestWhereRequestsComeFrom(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--public-url", "http://stage.example.com")
	a.Operator()
	for origin, want := range map[string]int{
		"":    http.StatusOK,
		a.URL: http.StatusOK, // the Host of the request
		// the public URL, behind a proxy that changes the Host header
		"http://stage.example.com": http.StatusOK,
		"http://evil.example.com":  http.StatusForbidden, // another site
		"null":                     http.StatusForbidden,
	} {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", a.URL+"/api/login", strings.NewReader(`{"name":"olga","password":"`+apptest.Password+`"}`))
		r.Header.Set("Content-Type", "application/json")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("a sign-in from a page of %q: got %d, want %d", origin, answer.StatusCode,
				want)
		}
	}
}

func TestEventBridgeIsToldWhatIsWrong(t *testing.T) {
	t.Parallel()
	closed := apptest.Start(t).Browser()
	closed.Refused(http.StatusNotFound, "not_found", "POST", "/api/aws/events", map[string]string{})

	taking := apptest.Start(t, "--ivs-region", "us-west-2", "--ivs-endpoint", "http://127.0.0.1:1",
		"--ivs-events-secret", "hush-hush-hush-hush")
	open := taking.Browser()
	p := open.Refused(http.StatusUnauthorized, "unauthorized", "POST", "/api/aws/events",
		map[string]string{})
	if p.Detail != "The secret is missing or wrong." {
		t.Errorf("got %q, want The secret is missing or wrong.", p.Detail)
	}
	if log := taking.Output(); !strings.Contains(log, `msg="an event of AWS was refused: wrong secret" from=127.0.0.1`) {
		t.Errorf("log: got %s, want a line that names the address", log)
	}
	open.Refused(http.StatusMethodNotAllowed, "method_not_allowed", "GET", "/api/aws/events", nil)
}

func TestAnAccessKeyIsForTokensAlone(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	var made web.NewAccessKey
	olga.Must(http.StatusCreated, "POST", "/api/keys", web.NewKey{Name: "kiosk"}, &made)
	kiosk := a.Browser()
	kiosk.Key = made.Key
	token := kiosk.Token("publish")
	kiosk.Must(http.StatusOK, "GET", "/api/tokens/"+string(token.ParticipantID), nil, nil)
	for _, c := range [][2]string{{"GET", "/api/tokens"}, {"GET", "/api/users"},
		{"POST", "/api/keys"}, {"GET", "/api/keys"}, {"DELETE", "/api/login"},
		{"GET", "/api/events"}} {
		if p := kiosk.Refused(http.StatusUnauthorized, "unauthorized", c[0], c[1],
			nil); !strings.Contains(p.Detail, "access key") {
			t.Errorf("%s %s: got %q, want the reason", c[0], c[1], p.Detail)
		}
	}
	olga.Must(http.StatusNoContent, "DELETE", "/api/keys/"+made.ID, nil, nil)
	kiosk.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
}

// TestAFaultIsWrittenToTheLog: a panic is in the log, although net/http logs panics at a level that
// the default settings hide.
func TestAFaultIsWrittenToTheLog(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	broken := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") })
	s, err := web.New(web.Config{Control: access.New(access.Config{}), WHIP: broken,
		PublicURL: &url.URL{Scheme: "http", Host: "127.0.0.1"},
		Log:       slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the connection is not given up")
		}
		if text := log.String(); !strings.Contains(text, "a bug") ||
			!strings.Contains(text, "level=ERROR") || strings.Contains(text, "secret") {
			t.Errorf("the log: got %s, want the panic as an error, without the path", text)
		}
	}()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("DELETE", "/whip/s/secret", nil))
}
