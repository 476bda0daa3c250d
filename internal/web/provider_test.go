package web_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/web"
)

// An oidcProvider is an OpenID Connect provider from outside this repository: the program
// oidc-provider. The provider and the server need each other's address before they start, so a
// reverse proxy opens the provider's address first.
type oidcProvider struct {
	t      *testing.T
	issuer string
	people string // the file with the provider's users
	proxy  atomic.Pointer[httputil.ReverseProxy]
}

func newOIDCProvider(t *testing.T) *oidcProvider {
	p := &oidcProvider{t: t, people: filepath.Join(t.TempDir(), "people.json")}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if proxy := p.proxy.Load(); proxy != nil {
			proxy.ServeHTTP(w, r)
			return
		}
		panic(http.ErrAbortHandler) // closes the connection, because the provider does not run yet
	}))
	t.Cleanup(s.Close)
	p.issuer = s.URL
	return p
}

// has sets the provider's users and their groups, by writing their file.
func (p *oidcProvider) has(groups map[string][]string) {
	p.t.Helper()
	text, err := json.Marshal(groups)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.people, text, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// start runs oidc-provider until the test ends.
func (p *oidcProvider) start(server string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "node",
		quick.Runs(p.t, "testdata/provider.mjs"), p.issuer, server, p.people)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("node (see make install): %v", err)
	}
	port, err := bufio.NewReader(out).ReadString('\n')
	p.t.Cleanup(func() { cmd.Wait() }) // the end of the test's context has stopped the program
	if err != nil {
		cmd.Wait()
		p.t.Fatalf("the provider printed no port: %v\n%s", err, &complaints)
	}
	p.proxy.Store(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: "127.0.0.1:" + strings.TrimSpace(port)})
		r.Out.Host = r.In.Host
	}})
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	formHidden = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)"`)
)

// A page is what a browser shows after all redirects.
type page struct {
	address *url.URL
	text    string
}

// open follows a link, or submits a form if there is one.
func open(t *testing.T, c *apptest.Client, address string, form url.Values) page {
	t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := c.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{answer.Request.URL, string(text)}
}

// submit sends the form of a page with additional fields.
func (p page) submit(t *testing.T, c *apptest.Client, fields ...string) page {
	t.Helper()
	found := formAction.FindStringSubmatch(p.text)
	if found == nil {
		t.Fatalf("there is no form at %s:\n%s", p.address, p.text)
	}
	action, err := p.address.Parse(found[1])
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{}
	for _, hidden := range formHidden.FindAllStringSubmatch(p.text, -1) {
		form.Set(hidden[1], hidden[2])
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return open(t, c, action.String(), form)
}

// asksWho reports whether the page is the provider's sign-in form.
func (p page) asksWho() bool { return strings.Contains(p.text, `name="login"`) }

// TestAForeignProvider signs in an operator and a broadcaster with oidc-provider, which does not
// run yet when the server starts.
func TestAForeignProvider(t *testing.T) {
	t.Parallel()
	provider := newOIDCProvider(t)
	provider.has(map[string][]string{"ada": {"streamers", "admins"}, "ben": {"streamers"}})
	a := apptest.Start(t, "--oidc-issuer", provider.issuer, "--oidc-client-id", "stagedoor",
		"--oidc-client-secret", "the secret of the client", "--oidc-scopes", "groups",
		"--oidc-name", "Example Login",
		"--oidc-require", "groups=streamers", "--oidc-operators", "groups=admins")
	a.Operator() // passwords work while the provider does not run
	login := a.URL + "/api/oidc/login?next=/account"
	ada := a.Browser()
	if at := open(t, ada, login, nil).address; at.Fragment != "sign-in=oidc_unavailable" {
		t.Errorf("without the provider the sign-in ends at %s", at)
	}
	if at := open(t, ada, a.URL+"/api/oidc/logout", nil).address; at.Fragment !=
		"sign-in=provider_stays" {
		t.Errorf("without the provider the log-out ends at %s", at)
	}
	if !strings.Contains(a.Output(),
		"the discovery document of the OpenID Connect provider cannot be read") {
		t.Errorf("the log does not say that the provider is away:\n%s", a.Output())
	}

	t.Log("the provider starts")
	provider.start(a.URL)
	p := open(t, ada, login, nil)
	for patience := time.Now().Add(time.Minute); !p.asksWho(); p = open(t, ada, login, nil) {
		if time.Now().After(patience) {
			t.Fatalf("the provider is there, and the sign-in ends at %s:\n%s", p.address, p.text)
		}
		time.Sleep(200 * time.Millisecond)
	}
	signIn := func(c *apptest.Client, p page, name string) page {
		t.Helper()
		return p.submit(t, c, "login", name, "password", "x").submit(t, c)
	}
	if at := signIn(ada, p, "ada").address; at.String() != a.URL+"/account" {
		t.Fatalf("the sign-in ends at %s", at)
	}
	if me := ada.Me(); me.Name != "ada" || me.Role != "operator" {
		t.Errorf("after the sign-in: %+v", me)
	}
	ben, elsewhere := a.Browser(), a.Browser()
	for _, c := range []*apptest.Client{ben, elsewhere} {
		signIn(c, open(t, c, login, nil), "ben")
		if me := c.Me(); me.Name != "ben" || me.Role != "broadcaster" {
			t.Errorf("after the sign-in: %+v", me)
		}
	}

	t.Log("a dock that a code signed in offers no sign-out at the provider")
	if got := ben.Me().Provider; got != "Example Login" {
		t.Errorf("ben can sign out at %q", got)
	}
	dock := a.Browser()
	var code web.DeviceCode
	dock.Must(http.StatusCreated, "POST", "/api/device", nil, &code)
	ben.Must(http.StatusNoContent, "POST", "/api/device/approve",
		web.UserCode{UserCode: code.UserCode}, nil)
	dock.Must(http.StatusOK, "POST", "/api/device/token",
		web.DeviceToken{DeviceCode: code.DeviceCode}, nil)
	if me := dock.Me(); me.Name != "ben" || me.Provider != "" {
		t.Errorf("the dock of ben: %+v", me)
	}

	t.Log("the provider asks nothing while the browser is signed in there")
	if at := open(t, ada, login, nil).address; at.Path != "/account" {
		t.Errorf("the second sign-in ends at %s", at)
	}
	p = open(t, ada, a.URL+"/api/oidc/logout", nil)
	if at := p.submit(t, ada, "logout", "yes").address; at.String() != a.URL+"/" {
		t.Errorf("the log-out ends at %s", at)
	}
	ada.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
	if p = open(t, ada, login, nil); !p.asksWho() {
		t.Errorf("after the log-out the sign-in goes on at %s", p.address)
	}

	t.Log("a claim that is gone ends what it gave, at the next sign-in and everywhere")
	provider.has(map[string][]string{"ben": {"viewers"}})
	if at := open(t, ben, login, nil).address; at.Fragment != "sign-in=not_admitted" {
		t.Errorf("without the claim the sign-in ends at %s", at)
	}
	for _, c := range []*apptest.Client{ben, elsewhere} {
		c.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
	}
}
