package docktest

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
)

// A provider is mockoidc with a sign-out page, which neither redirects nor has a link back.
type provider struct {
	*mockoidc.MockOIDC
	signedOut chan url.Values // the query of each visit to that page
}

func startProvider(t *testing.T) provider {
	t.Helper()
	m, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := provider{m, make(chan url.Values, 10)}
	exit := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/logout" {
			http.NotFound(w, r)
			return
		}
		p.signedOut <- r.URL.Query()
		time.Sleep(500 * time.Millisecond) // simulates a provider that is far away
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(`<!doctype html><html lang="en"><title>Bye</title><link rel="icon" href="data:,">` +
			`<main><h1>You left Example Login</h1></main></html>`))
	}))
	t.Cleanup(exit.Close)
	discovery := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != mockoidc.DiscoveryEndpoint {
				next.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			document := object{}
			if err := json.Unmarshal(answer.Body.Bytes(), &document); err != nil {
				t.Error(err)
			}
			document["end_session_endpoint"] = exit.URL + "/logout"
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(document)
		})
	}
	if err := m.AddMiddleware(discovery); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(listener, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Shutdown() })
	return p
}

// flags returns the flags with which a server uses the provider.
func (p provider) flags() []string {
	return []string{"--oidc-issuer", p.Issuer(), "--oidc-client-id=" + p.Config().ClientID,
		"--oidc-client-secret=" + p.Config().ClientSecret, "--oidc-scopes", "groups",
		"--oidc-operators", "groups=admins", "--oidc-name", "Example Login"}
}

// left waits for a visit to the sign-out page, and checks to which address the page would send the
// browser.
func (p provider) left(t *testing.T, a *apptest.App) {
	t.Helper()
	select {
	case query := <-p.signedOut:
		if got := query.Get("post_logout_redirect_uri"); got != a.URL+"/" {
			t.Errorf("the provider would send the browser to %q, want %s/", got, a.URL)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody signed out at the provider")
	}
}

// TestTheFirstOperatorComesFromTheProvider: a new server shows the provider's button, and says that
// this sign-in creates the first operator. After passwords were switched off, an earlier setup link
// also leads to the provider. A person who signed in with the provider can sign out there.
func TestTheFirstOperatorComesFromTheProvider(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	a := apptest.Start(t, p.flags()...)
	page := browser.Open(t, browser.Current, browser.Options{Width: 320})
	page.Goto(a.URL)
	page.WaitText("There is no operator yet. Continue with Example Login")
	page.WaitText("Or open the link")
	page.WaitGone("#f-password")
	page.WaitFor(`document.querySelector('main .button, main button').matches('a.primary')`)
	page.WaitFor(`!document.body.innerText.includes('Sign in with a code')`)
	keep(page, "first-operator-320")
	page.Accessible()

	a.Stop()
	link := a.SetupURL
	a = a.Again(append([]string{"--no-passwords"}, p.flags()...)...)
	page.Goto(link)
	page.WaitText("Passwords are switched off here.")
	keep(page, "setup-provider-320")
	page.Accessible()
	p.QueueUser(&mockoidc.MockUser{Subject: "1", PreferredUsername: "ada",
		Groups: []string{"admins"}})
	page.ClickText("Continue with Example Login")
	page.WaitText("What comes next")

	t.Log("nobody is told to choose a password that would not be accepted")
	page.Goto(a.URL + "/operator/people")
	page.WaitText("People who sign in with Example Login need no link")
	page.Goto(a.URL + "/invite#code=x")
	page.WaitText("Passwords are switched off here. Sign in with the sign-in service")
	keep(page, "invite-provider-320")

	t.Log("a dock says why its link did not sign in, also where no form for a password says so")
	dock := browser.Open(t, browser.OBS30, browser.Options{Width: 250, Height: 700})
	dock.Goto(a.URL + "/dock#enrol=used")
	dock.WaitText("This sign-in link was used already")
	dock.WaitVisible("a.button")
	keep(dock, "dock-link-used-250")

	for _, path := range []string{"", "/operator", "/watch", "/device", "/account"} {
		page.Goto(a.URL + path)
		page.Click("header summary")
		page.WaitText("Sign out of Example Login, too")
		page.Press("Escape")
	}
	page.Click("header summary")
	page.ClickText("Sign out of Example Login, too")
	page.WaitText("You left Example Login")
	p.left(t, a)
	page.Goto(a.URL)
	page.WaitText("Continue with Example Login")
}

// TestADockIsNotLeftAtTheProvider: since the provider's page has no link back, the dock opens it in
// another window, and itself shows the sign-in form.
func TestADockIsNotLeftAtTheProvider(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	a := replicas.App(t, p.flags()...)
	a.Operator()
	for _, path := range []string{"/dock", "/dock/stage"} {
		p.QueueUser(&mockoidc.MockUser{Subject: "2", PreferredUsername: "ben"})
		dock := browser.Open(t, browser.OBS30, browser.Options{Width: 250, Height: 700})
		dock.Goto(a.URL + path)
		dock.ClickText("Continue with Example Login")
		dock.WaitText("ben")
		dock.Click("header summary")
		keep(dock, "menu-provider-"+strings.ReplaceAll(path[1:], "/", "-"))
		dock.ClickText("Sign out of Example Login, too")
		p.left(t, a)
		dock.WaitText("Continue with Example Login")
		dock.WaitFor(`location.pathname === '` + path + `'`)
	}
}

// TestNoCodeIsOfferedToWhomApprovesOne: the sign-in form on /device offers no sign-in by a code.
// After a sign-in at the provider, the page still has the code from the QR picture.
func TestNoCodeIsOfferedToWhomApprovesOne(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	a := replicas.App(t, p.flags()...)
	a.Operator()
	dock := browser.Open(t, browser.OBS30, browser.Options{Width: 250, Height: 700})
	dock.Goto(a.URL + "/dock")
	dock.ClickText("Sign in with a code")
	dock.WaitVisible(".qr")
	var code string
	dock.Eval(`document.querySelector('.code').innerText`, &code)
	dock.WaitFor(`document.querySelector('.ways a').href === '` + a.URL + "/device#" + code + `'`)

	phone := browser.Open(t, browser.Current, browser.Options{Width: 320, Height: 640})
	phone.Goto(a.URL + "/device#" + code)
	phone.WaitText("Continue with Example Login")
	phone.WaitText("or with name and password")
	phone.WaitNoText("Sign in with a code")
	p.QueueUser(&mockoidc.MockUser{Subject: "2", PreferredUsername: "ben"})
	phone.ClickText("Continue with Example Login")
	phone.WaitText("A dock asks to be signed in as ben.")
	phone.WaitText(code)
	phone.ClickText("Approve")
	phone.WaitText("Done.")
	dock.WaitVisible("header summary")

	t.Log("a sign-in that failed leaves no code behind that nobody typed")
	phone.Eval(`sessionStorage.clear()`, nil)
	phone.Goto(a.URL + "/device?again#sign-in=oidc_refused")
	phone.WaitVisible("#f-code")
	phone.WaitFor(`document.querySelector('#f-code').value === ''`)
}
