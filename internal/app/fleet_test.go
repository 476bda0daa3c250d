package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/web"
)

// A fleet is several servers behind nginx, with clients that have accounts.
type fleet struct {
	*replicas.Fleet
	t       testing.TB
	callers []*caller // the broadcasters that broadcasterOn added

	mu       sync.Mutex
	troubles []string // guarded by mu: failures of open pages
}

func (f *fleet) failed(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.troubles = append(f.troubles, what)
}

func (f *fleet) failures() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.troubles)
}

// startFleet starts n servers behind nginx.
func startFleet(t testing.TB, n int, flags ...string) *fleet {
	t.Helper()
	f := prepareFleet(t, n, flags...)
	f.StartAll()
	return f
}

// prepareFleet prepares a fleet of n servers, and starts none of them.
func prepareFleet(t testing.TB, n int, flags ...string) *fleet {
	t.Helper()
	return &fleet{Fleet: replicas.Prepare(t, n, append(flags, "--token-limit=-1")...), t: t}
}

// operator creates the operator "olga" by the setup link of the server that started last, and
// returns a client that is signed in as olga.
func (f *fleet) operator() *caller {
	f.t.Helper()
	c := f.caller()
	c.must(http.StatusCreated, "POST", "/api/setup", web.SetUp{
		Code: apptest.Code(f.SetupURL()), Name: "olga", Password: apptest.Password,
	}, nil)
	return c
}

// broadcasterOn adds a broadcaster with access to a stage.
func (f *fleet) broadcasterOn(olga *caller, name, arn string) {
	f.t.Helper()
	var invited web.Invited
	olga.must(http.StatusCreated, "POST", "/api/users", web.NewUser{Name: name}, &invited)
	grant := "/api/users/" + string(invited.ID) + "/grants/" + url.PathEscape(arn)
	olga.must(http.StatusNoContent, "PUT", grant,
		web.GrantRequest{Capabilities: []string{"publish", "subscribe"}}, nil)
	c := f.caller()
	c.must(http.StatusCreated, "POST", "/api/invite",
		web.AcceptInvite{Code: apptest.Code(invited.Invite), Password: apptest.Password}, nil)
	f.callers = append(f.callers, c)
}

// A caller is a client of the fleet with a cookie jar.
type caller struct {
	t    testing.TB
	base string
	http *http.Client
	main string // the ARN of the stage "main", once the method `stage` has read it
}

func (f *fleet) caller() *caller {
	jar, _ := cookiejar.New(nil)
	return &caller{t: f.t, base: f.URL, http: &http.Client{Jar: jar, Timeout: 40 * time.Second}}
}

// at returns a caller with the same login that sends requests directly to one server. Cookies are
// valid for all ports of a host.
func (c *caller) at(m *replicas.Member) *caller {
	other := *c
	other.base = "http://" + m.Listen
	return &other
}

func (c *caller) do(method, path string, body any) (int, http.Header, []byte, error) {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, nil, err
		}
		payload = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(c.t.Context()), method, c.base+path,
		payload)
	if err != nil {
		return 0, nil, nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, text, err
}

func (c *caller) must(status int, method, path string, body, out any) {
	c.t.Helper()
	got, _, text, err := c.do(method, path, body)
	if err != nil || got != status {
		c.t.Fatalf("%s %s: got %d %s %v, want %d", method, path, got, text, err, status)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

// token issues a token for the stage "main".
func (c *caller) token(use string) (token web.Token) {
	c.t.Helper()
	c.must(http.StatusCreated, "POST", "/api/tokens",
		map[string]any{"stage": c.stage(), "for": use}, &token)
	return token
}

// requestTokens requests one token after the other until the flag `stop` is true, and counts the
// issued tokens.
func (c *caller) requestTokens(stop *atomic.Bool, issued *atomic.Int64) {
	for !stop.Load() {
		status, _, text, err := c.do("POST", "/api/tokens",
			map[string]any{"stage": c.stage(), "for": "view"})
		if err != nil || status != http.StatusCreated {
			c.t.Errorf("a token: got %d %s %v", status, text, err)
		} else {
			issued.Add(1)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stage returns the ARN of the stage "main".
func (c *caller) stage() string {
	c.t.Helper()
	if c.main != "" {
		return c.main
	}
	var me web.Me
	c.must(http.StatusOK, "GET", "/api/me", nil, &me)
	for _, s := range me.Stages {
		if s.Name == "main" {
			c.main = string(s.ARN)
		}
	}
	return c.main
}

// eventually waits until the given function returns true. It fails the test after the time limit.
func eventually(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not happen within %v: %s", limit, what)
		}
	}
}
