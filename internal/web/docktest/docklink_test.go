package docktest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stagedoor/stagedoor/client"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestADockLinkOpensASignedInDock: an application creates a link with its API key. In an OBS, the
// link opens a dock that is signed in without a password. The link works only once.
func TestADockLinkOpensASignedInDock(t *testing.T) {
	t.Parallel()
	for _, engine := range []browser.Engine{browser.OBS30, browser.OBS31} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			app := replicas.App(t)
			olga := app.Operator()
			olga.Must(http.StatusCreated, "POST", "/api/v1/rules", web.V1Rule{
				OwnStage: "{name}'s stage", Capabilities: []string{"publish", "subscribe"},
			}, nil)
			var key web.V1CreatedAPIKey
			olga.Must(http.StatusCreated, "POST", "/api/v1/api-keys",
				web.V1NewAPIKey{Name: "studio page"}, &key)
			studio := &client.Client{URL: app.URL, Key: key.Key}
			link, err := studio.CreateDockLink(t.Context(), "u-17", "Kim")
			if err != nil {
				t.Fatal(err)
			}

			far := fakeobs.Start(t, fakeobs.Options{Password: obsPassword, Version: fakeobs.OBS31})
			d := &dock{Page: browser.Open(t, engine, browser.Options{}), t: t, obs: far}
			d.Goto(link.URL)
			d.connect(obsPassword)
			d.state("not-set-up")
			var address string
			if d.Eval("location.href", &address); address != app.URL+"/dock" {
				t.Errorf("the address is %s, want it without the code", address)
			}
			d.poll("the server has the dock of Kim, and Kim's stage", func() bool {
				var kim web.V1UserDetail
				olga.Must(http.StatusOK, "GET", "/api/v1/users/"+link.User.ID, nil, &kim)
				return len(kim.Docks) == 1 && kim.Docks[0].OBS != nil && len(kim.Grants) == 1 &&
					kim.Grants[0].Name == "Kim's stage"
			})
			d.Reload() // still signed in: the page asks only for OBS's password
			d.connect(obsPassword)
			d.state("not-set-up")

			other := browser.Open(t, engine, browser.Options{})
			other.Goto(link.URL)
			other.WaitText("was used already")
		})
	}
}

// TestADockLinkIsKeptWhileTheServerIsAway: a dock that opens a dock link says that the server does
// not answer, keeps the code of the link, and signs in as soon as the server answers again.
func TestADockLinkIsKeptWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	var link web.V1DockLink
	a.Operator().Must(http.StatusCreated, "POST", "/api/v1/dock-links", web.V1DockLinkRequest{
		ExternalID: "17", Name: "ana",
	}, &link)
	var away atomic.Bool
	away.Store(true)
	origin := proxyOf(t, a.URL, func(r *http.Request) bool {
		return away.Load() && r.Method == http.MethodPost
	})
	opened, err := url.Parse(link.URL)
	if err != nil {
		t.Fatal(err)
	}
	d := browser.Open(t, browser.OBS30, browser.Options{Width: 250, Height: 700})
	d.Allow("net::ERR_EMPTY_RESPONSE")
	d.Goto(origin + opened.Path + "#" + opened.EscapedFragment())
	d.WaitText("The server does not answer.")
	d.WaitText("The dock tries again every few seconds.")
	if *screenshots != "" {
		for _, width := range []int{250, 320, 460} {
			d.Resize(width, 700)
			d.Screenshot(filepath.Join(*screenshots, "dock-away-"+strconv.Itoa(width)+".png"))
		}
	}
	away.Store(false)
	d.WaitText("ana")
	d.WaitNoText("The server does not answer.")
}

// proxyOf starts a proxy in front of a server. The proxy closes the connection of each request that
// `away` names, without an answer.
func proxyOf(t *testing.T, target string, away func(*http.Request) bool) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(to)
	forward.FlushInterval = -1 // event streams
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away(r) {
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
