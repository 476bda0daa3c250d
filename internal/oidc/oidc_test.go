package oidc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"

	"github.com/stagedoor/stagedoor/internal/oidc"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const back = "http://127.0.0.1/api/oidc/callback"

// service starts a provider in this process.
func service(t *testing.T) *mockoidc.MockOIDC {
	t.Helper()
	m, err := mockoidc.Run() // on a free port of the loopback
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Shutdown() })
	return m
}

func client(m *mockoidc.MockOIDC, change func(*oidc.Config)) *oidc.Provider {
	c := oidc.Config{
		Issuer: m.Issuer(), ClientID: m.Config().ClientID,
		ClientSecret: stage.NewSecret(m.Config().ClientSecret),
		RedirectURL:  back, Scopes: []string{"groups"}, Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	return oidc.New(c)
}

// visit signs in at the provider as a browser does, and returns the query of the redirect back to
// the server.
func visit(t *testing.T, address string) url.Values {
	t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request,
		[]*http.Request) error {
		return http.ErrUseLastResponse
	}}
	answer, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	location, err := answer.Location()
	if err != nil {
		t.Fatalf("the provider answered %s: %v", answer.Status, err)
	}
	return location.Query()
}

func begin(t *testing.T, p *oidc.Provider) (oidc.Pending, url.Values) {
	t.Helper()
	address, pending, err := p.Begin(t.Context(), "/dock")
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	// A browser keeps the pending sign-in in a cookie.
	return oidc.DecodePending(pending.Encode()), visit(t, address)
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	m := service(t)
	m.QueueUser(&mockoidc.MockUser{
		Subject: "4711", Email: "ana@example.com", EmailVerified: true, PreferredUsername: "ana",
		Groups: []string{"streamers", "staff"},
	})
	p := client(m, nil)
	pending, query := begin(t, p)
	got, err := p.Finish(t.Context(), pending, query)
	if err != nil {
		t.Fatalf("Finish: %v", err)
	}
	if got.Issuer != m.Issuer() || got.Subject != "4711" || got.Name != "ana" ||
		got.Email != "ana@example.com" || !got.EmailVerified {
		t.Errorf("the identity is %+v", got)
	}
	if groups := got.Values("groups"); !slices.Equal(groups, []string{"streamers", "staff"}) {
		t.Errorf("the groups are %q", groups)
	}
	if pending.Next != "/dock" {
		t.Errorf("the path to open afterwards is %q, want /dock", pending.Next)
	}
}

func TestValuesOfClaims(t *testing.T) {
	t.Parallel()
	var claims map[string]any
	err := json.Unmarshal([]byte(`{
		"groups": ["staff", 7, null, {"name": "admins"}, ["admins"]], "number": 7, "none": null,
		"realm": {"roles": ["admins"]}, "one": "staff", "yes": true, "empty": [],
		"tenant": 1234567890, "below": -3, "share": 0.5, "rounded": 9007199254740993
	}`), &claims)
	if err != nil {
		t.Fatal(err)
	}
	who := oidc.Identity{Claims: claims}
	for claim, want := range map[string][]string{
		"groups": {"staff", "7"}, "one": {"staff"}, "yes": {"true"}, "number": {"7"},
		"tenant": {"1234567890"}, "below": {"-3"}, "share": nil, "rounded": nil,
		"none": nil, "realm": nil, "empty": nil, "unknown": nil,
	} {
		if got := who.Values(claim); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", claim, got, want)
		}
	}
}

// PKCE: an intercepted authorization code is useless without the code verifier, which only the
// server and its browser have.
func TestAnInterceptedCodeIsUseless(t *testing.T) {
	t.Parallel()
	p := client(service(t), nil)
	pending, query := begin(t, p)
	pending.Verifier = strings.Repeat("x", 43)
	refuse(t, p, pending, query, "oidc_refused")
}

func TestReturnsFromTheProviderThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*oidc.Pending, url.Values){
		"state of another browser": func(_ *oidc.Pending, q url.Values) { q.Set("state", "other") },
		"no state":                 func(_ *oidc.Pending, q url.Values) { q.Del("state") },
		"no cookie": func(p *oidc.Pending,
			_ url.Values) {
			*p = oidc.DecodePending("")
		},
		"no cookie and no state": func(p *oidc.Pending,
			q url.Values) {
			*p = oidc.Pending{}
			q.Set("state", "")
		},
		"other nonce": func(p *oidc.Pending, _ url.Values) { p.Nonce = "other" },
		"too late": func(p *oidc.Pending,
			_ url.Values) {
			p.Until = time.Now().Add(-time.Second)
		},
		"no code": func(_ *oidc.Pending, q url.Values) { q.Del("code") },
		"unknown code": func(_ *oidc.Pending,
			q url.Values) {
			q.Set("code", "guessed")
		},
		"cancelled": func(_ *oidc.Pending,
			q url.Values) {
			q.Set("error", "access_denied")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := client(service(t), nil)
			pending, query := begin(t, p)
			spoil(&pending, query)
			refuse(t, p, pending, query, "oidc_refused")
		})
	}
}

func TestACodeIsUsedOnce(t *testing.T) {
	t.Parallel()
	p := client(service(t), nil)
	pending, query := begin(t, p)
	if _, err := p.Finish(t.Context(), pending, query); err != nil {
		t.Fatal(err)
	}
	refuse(t, p, pending, query, "oidc_refused")
}

// TestAnOutageIsNoRefusal: the provider answers the discovery, but fails later in the sign-in.
func TestAnOutageIsNoRefusal(t *testing.T) {
	t.Parallel()
	for _, down := range []string{mockoidc.TokenEndpoint, mockoidc.JWKSEndpoint} {
		for _, status := range []int{http.StatusBadGateway, http.StatusTooManyRequests} {
			t.Run(fmt.Sprint(down, " ", status), func(t *testing.T) {
				t.Parallel()
				p := client(failing(t, down, status), nil)
				pending, query := begin(t, p)
				refuse(t, p, pending, query, "oidc_unavailable")
			})
		}
	}
	for _, reason := range []string{"server_error", "temporarily_unavailable"} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			p := client(service(t), nil)
			pending, query := begin(t, p)
			query.Set("error", reason)
			refuse(t, p, pending, query, "oidc_unavailable")
		})
	}
}

// failing starts a provider, one path of which answers only with a status.
func failing(t *testing.T, path string, status int) *mockoidc.MockOIDC {
	t.Helper()
	m, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = m.AddMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				w.WriteHeader(status)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(l, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Shutdown() })
	return m
}

func TestWrongClientSecret(t *testing.T) {
	t.Parallel()
	p := client(service(t), func(c *oidc.Config) { c.ClientSecret = stage.NewSecret("wrong") })
	pending, query := begin(t, p)
	refuse(t, p, pending, query, "oidc_refused")
}

func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		ahead time.Duration // how far the provider's clock is ahead
		code  string
	}{
		{"a little behind", -time.Duration(10*time.Minute + 30*time.Second), ""},
		{"far behind", -time.Hour, "oidc_refused"},
		{"a little ahead", 30 * time.Second, ""},
		{"far ahead", time.Hour, "oidc_refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := service(t)
			p := client(m, nil)
			pending, query := begin(t, p)
			m.FastForward(c.ahead)
			if c.code == "" {
				if _, err := p.Finish(t.Context(), pending, query); err != nil {
					t.Errorf("Finish: %v", err)
				}
				return
			}
			refuse(t, p, pending, query, c.code)
		})
	}
}

func TestAnAnswerWithoutEndIsNotRead(t *testing.T) {
	t.Parallel()
	sent := make(chan int64, 1)
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		n, _ := io.Copy(w, io.LimitReader(zeros{}, 1<<30))
		sent <- n
	}))
	t.Cleanup(endless.Close)
	p := oidc.New(oidc.Config{
		Issuer: endless.URL, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err := p.Check(t.Context()); code(err) != "oidc_unavailable" {
		t.Errorf("Check: got %v, want oidc_unavailable", err)
	}
	if n := <-sent; n == 1<<30 {
		t.Error("the client read a gigabyte")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestAProviderThatComesLater: the provider is unavailable when the server starts, and becomes
// available later.
func TestAProviderThatComesLater(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	now := time.Now()
	m, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := oidc.New(oidc.Config{
		Issuer: "http://" + address + "/oidc", ClientID: m.Config().ClientID, RedirectURL: back,
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	})
	if _, _, err := p.Begin(t.Context(), ""); code(err) != "oidc_unavailable" {
		t.Fatalf("with no provider, Begin says %v", err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("another program took the port meanwhile: %v", err)
	}
	if err := m.Start(l, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Shutdown() })
	if err := p.Check(t.Context()); code(err) != "oidc_unavailable" {
		t.Errorf("a provider that failed is asked again at once: %v", err)
	}
	now = now.Add(10 * time.Second)
	if err := p.Check(t.Context()); err != nil {
		t.Errorf("the provider is back: %v", err)
	}
}

func refuse(t *testing.T, p *oidc.Provider, pending oidc.Pending, query url.Values, want string) {
	t.Helper()
	got, err := p.Finish(t.Context(), pending, query)
	if err == nil {
		t.Fatalf("Finish accepts a sign-in that must be refused: %+v", got)
	}
	if code(err) != want {
		t.Errorf("Finish says %v, want the code %s", err, want)
	}
	if strings.Contains(err.Error(), query.Get("code")) && query.Get("code") != "" {
		t.Errorf("the error holds the code: %v", err)
	}
}

func code(err error) string {
	for ; err != nil; err = unwrap(err) {
		if e, ok := err.(*stage.Error); ok {
			return e.Code
		}
	}
	return ""
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

// A fakeProvider is a provider that consists only of its discovery document. It is an
// http.RoundTripper, so its host name need not exist.
type fakeProvider map[string]string

func (p fakeProvider) RoundTrip(*http.Request) (*http.Response, error) {
	text, err := json.Marshal(p)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(text)),
		Header: http.Header{"Content-Type": {"application/json"}}}, err
}

func TestEachProviderSignsOutInItsWay(t *testing.T) {
	t.Parallel()
	const home = "https://stage.example.com/"
	for _, c := range []struct{ issuer, page, want string }{
		{"https://login.example.com/realms/tv", "https://login.example.com/logout?realm=tv",
			"https://login.example.com/logout?client_id=stagedoor&post_logout_redirect_uri=" +
				url.QueryEscape(home) + "&realm=tv"},
		{"https://cognito-idp.us-west-2.amazonaws.com/us-west-2_pool",
			"https://tv.auth.us-west-2.amazoncognito.com/logout",
			"https://tv.auth.us-west-2.amazoncognito.com/logout?client_id=stagedoor&logout_uri=" +
				url.QueryEscape(home)},
		{"https://accounts.google.com", "", ""},
	} {
		p := oidc.New(oidc.Config{
			Issuer: c.issuer, ClientID: "stagedoor", Now: time.Now,
			Log: slog.New(slog.DiscardHandler),
			HTTP: &http.Client{Transport: fakeProvider{"issuer": c.issuer,
				"end_session_endpoint": c.page}},
		})
		got, err := p.LogoutURL(t.Context(), home)
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.issuer, got, err, c.want)
		}
		if got := p.OffersLogout(); got != (c.want != "") {
			t.Errorf("%s: OffersLogout is %v, want the opposite", c.issuer, got)
		}
	}
}
