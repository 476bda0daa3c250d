package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

// provider starts an OpenID Connect provider in this process. It returns the flags for a server
// that uses this provider.
func provider(t *testing.T, flags ...string) (*mockoidc.MockOIDC, []string) {
	t.Helper()
	m, err := mockoidc.Run()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Shutdown() })
	return m, append([]string{
		// use "=", because the client's ID and secret may begin with a dash
		"--oidc-issuer", m.Issuer(), "--oidc-client-id=" + m.Config().ClientID,
		"--oidc-client-secret=" + m.Config().ClientSecret, "--oidc-scopes", "groups",
	}, flags...)
}

// follow opens a path of the server, and follows redirects to the provider and back.
func follow(t *testing.T, c *apptest.Client, address string) *url.URL {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.Request.URL
}

// TestAMissingScopeIsNamed: the provider sends groups only if the server requests the scope.
// Without it, the log and the doctor name the missing claim.
func TestAMissingScopeIsNamed(t *testing.T) {
	t.Parallel()
	m, flags := provider(t, "--oidc-operators", "groups=admins")
	a := apptest.Start(t, without(flags, "--oidc-scopes", "groups")...)
	olga := a.Operator()
	signIn := func(c web.V1Diagnosis) bool { return c.Check == "sign-in" }
	examined := func() web.V1Diagnosis {
		t.Helper()
		var got web.V1Doctor
		olga.Must(http.StatusOK, "GET", "/api/v1/doctor", nil, &got)
		i := slices.IndexFunc(got.Checks, signIn)
		if i < 0 {
			t.Fatalf("the checks are %+v, want one of sign-in", got.Checks)
		}
		return got.Checks[i]
	}
	if c := examined(); c.Level != "ok" {
		t.Errorf("before anybody signed in: %+v", c)
	}
	for _, name := range []string{"ann", "ben"} {
		m.QueueUser(&mockoidc.MockUser{
			Subject: name, PreferredUsername: name, Groups: []string{"admins"},
		})
		follow(t, a.Browser(), a.URL+"/api/oidc/login?next=/account")
	}
	const found = "the provider sent no claim `groups`, which --oidc-operators names"
	if c := examined(); c.Level != "warning" || c.Detail != found ||
		!strings.Contains(c.Advice, "--oidc-scopes") {
		t.Errorf("after two sign-ins: %+v", c)
	}
	if n := strings.Count(a.Output(), "the provider sent no claim"); n != 1 {
		t.Errorf("the log names the claim %d times, want once", n)
	}
}

// without returns the flags without a certain flag and its value.
func without(flags []string, flag, value string) []string {
	i := slices.Index(flags, flag)
	if i < 0 || flags[i+1] != value {
		panic("the flags have no " + flag)
	}
	return slices.Delete(slices.Clone(flags), i, i+2)
}

func TestSignInWithAProvider(t *testing.T) {
	t.Parallel()
	m, flags := provider(t, "--oidc-require", "groups=streamers", "--oidc-operators",
		"groups=admins")
	a := apptest.Start(t, flags...)
	operator := a.Operator()
	stage := operator.MainStage()
	operator.Must(http.StatusCreated, "POST", "/api/v1/rules", web.V1Rule{
		Claim: "groups", Value: "streamers", Stage: "", OwnStage: "{name}'s stage",
		Capabilities: []string{"publish", "subscribe"},
	}, nil)

	m.QueueUser(&mockoidc.MockUser{Subject: "1", PreferredUsername: "ben",
		Groups: []string{"streamers"}})
	ben := a.Browser()
	if back := follow(t, ben, a.URL+"/api/oidc/login?next=/account"); back.Path != "/account" ||
		back.Fragment != "" {
		t.Errorf("the sign-in ends at %s", back)
	}
	me := ben.Me()
	if me.Name != "ben" || me.Role != "broadcaster" || len(me.Stages) != 1 ||
		me.Stages[0].Name != "ben's stage" {
		t.Errorf("after the sign-in: %+v", me)
	}
	ben.Must(http.StatusCreated, "POST", "/api/tokens", web.TokenRequest{Stage: me.Stages[0].ARN},
		nil)
	ben.Refused(http.StatusForbidden, "no_grant", "POST", "/api/tokens",
		map[string]string{"stage": stage})

	t.Log("a person without the claim is redirected to the page with a code that the page explains")
	m.QueueUser(&mockoidc.MockUser{Subject: "2", PreferredUsername: "eve",
		Groups: []string{"viewers"}})
	if back := follow(t, a.Browser(), a.URL+"/api/oidc/login?next=/dock"); back.Path != "/dock" ||
		back.Fragment != "sign-in=not_admitted" {
		t.Errorf("the sign-in without the claim ends at %s", back)
	}

	t.Log("a claim makes an operator")
	m.QueueUser(&mockoidc.MockUser{Subject: "3", PreferredUsername: "ada",
		Groups: []string{"streamers", "admins"}})
	ada := a.Browser()
	follow(t, ada, a.URL+"/api/oidc/login")
	if got := ada.Me().Role; got != "operator" {
		t.Errorf("ada is %s, want operator", got)
	}

	t.Log("a return from the provider is refused a second time, with and without the cookie")
	m.QueueUser(&mockoidc.MockUser{Subject: "1", PreferredUsername: "ben",
		Groups: []string{"streamers"}})
	replayed := a.Browser()
	var pending *http.Cookie
	var used *url.URL
	replayed.HTTP.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/api/oidc/callback" {
			used = r.URL
			for _, c := range replayed.HTTP.Jar.Cookies(r.URL) {
				if c.Name == "stagedoor_oidc" {
					pending = c
				}
			}
		}
		return nil
	}
	follow(t, replayed, a.URL+"/api/oidc/login")
	if used == nil || pending == nil {
		t.Fatalf("the sign-in came back with %v and the cookie %v", used, pending)
	}
	thief := a.Browser()
	for range 2 {
		if back := follow(t, thief, used.String()); back.Fragment != "sign-in=oidc_refused" {
			t.Errorf("the replayed return ends at %s", back)
		}
		pending.Path = "/api/oidc"
		thief.HTTP.Jar.SetCookies(used, []*http.Cookie{pending})
	}

	t.Log("a return not begun here is refused; a sign-in leads back to its page on this server")
	for address, want := range map[string]string{
		"/api/oidc/callback?code=x&state=y":                  "/dock#sign-in=oidc_refused",
		"/api/oidc/login?next=https://evil.example/":         "/dock",
		"/api/oidc/login?next=//evil.example/x":              "/dock",
		"/api/oidc/login?next=/%5Cevil.example":              "/dock",
		"/api/oidc/login?next=/watch%0d%0aSet-Cookie:x=":     "/dock",
		"/api/oidc/login?next=/watch%3Fstage%3Da%2526b":      "/watch?stage=a%26b",
		"/api/oidc/login?next=/watch%3Fx%23y":                "/watch?x",
		"/api/oidc/login?next=/" + strings.Repeat("x", 5000): "/dock",
	} {
		m.QueueUser(&mockoidc.MockUser{Subject: "1", PreferredUsername: "ben",
			Groups: []string{"streamers"}})
		back := follow(t, a.Browser(), a.URL+address)
		if got := strings.TrimPrefix(back.String(), a.URL); got != want {
			t.Errorf("%s ends at %s, want %s", address, got, want)
		}
	}
}

func TestPasswordsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	_, flags := provider(t, "--no-passwords", "--oidc-operators", "groups=admins")
	a := apptest.Start(t, flags...)
	b := a.Browser()
	b.Refused(http.StatusForbidden, "no_passwords", "POST", "/api/login",
		web.Credentials{Name: "olga", Password: apptest.Password})
	var ways web.SignInWays
	b.Must(http.StatusOK, "GET", "/api/sign-in", nil, &ways)
	if ways.Passwords || ways.Provider == "" || !ways.Codes {
		t.Errorf("the ways to sign in: got %+v, want the provider and codes", ways)
	}
}

// TestTheProviderMakesTheFirstOperator: the first operator of a new server may sign in with the
// provider. If passwords are switched off, a setup link is invalid, even one that was printed
// before.
func TestTheProviderMakesTheFirstOperator(t *testing.T) {
	t.Parallel()
	m, flags := provider(t, "--oidc-operators", "groups=admins", "--oidc-name", "Example Login")
	a := apptest.Start(t, flags...)
	ways := func() (w web.SignInWays) {
		t.Helper()
		a.Browser().Must(http.StatusOK, "GET", "/api/sign-in", nil, &w)
		return w
	}
	const or = "Or sign in at"
	if w := ways(); !w.SetUp || !w.ProviderSetsUp || !strings.Contains(a.Output(), or) {
		t.Errorf("the ways are %+v, and the server printed\n%s", w, a.Output())
	}
	link := web.SetUp{Code: apptest.Code(a.SetupURL), Name: "eve", Password: apptest.Password}
	a.Stop()
	a = a.Again(append([]string{"--no-passwords"}, flags...)...)
	const instead = "with Example Login, with an account that --oidc-operators names"
	if a.SetupURL != "" || !strings.Contains(a.Output(), instead) {
		t.Errorf("without passwords the server printed\n%s", a.Output())
	}
	b := a.Browser()
	b.Refused(http.StatusForbidden, "no_passwords", "POST", "/api/setup/check",
		web.InviteCode{Code: link.Code})
	b.Refused(http.StatusForbidden, "no_passwords", "POST", "/api/setup", link)
	m.QueueUser(&mockoidc.MockUser{Subject: "3", PreferredUsername: "ada",
		Groups: []string{"admins"}})
	follow(t, b, a.URL+"/api/oidc/login")
	if got := b.Me().Role; got != "operator" {
		t.Errorf("ada is %s, want operator", got)
	}
	if w := ways(); w.SetUp || w.ProviderSetsUp {
		t.Errorf("with an operator the ways are %+v", w)
	}
}

func TestADockIsSignedInWithACode(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	operator := a.Operator()
	dock := a.Browser()
	var code web.DeviceCode
	dock.Must(http.StatusCreated, "POST", "/api/device", nil, &code)
	if !strings.HasSuffix(code.VerificationURIComplete, "/device#"+code.UserCode) ||
		!strings.HasPrefix(code.QR, "data:image/png;base64,") || code.ExpiresIn != 600 {
		t.Errorf("the code is %+v", code)
	}
	token := web.DeviceToken{DeviceCode: code.DeviceCode}
	dock.Refused(http.StatusBadRequest, "authorization_pending", "POST", "/api/device/token", token)
	dock.Refused(http.StatusUnauthorized, "unauthorized", "POST", "/api/device/approve",
		web.UserCode{UserCode: code.UserCode})
	var asked web.DeviceRequest
	operator.Must(http.StatusOK, "POST", "/api/device/lookup",
		web.UserCode{UserCode: code.UserCode}, &asked)
	operator.Must(http.StatusNoContent, "POST", "/api/device/approve",
		web.UserCode{UserCode: code.UserCode}, nil)
	dock.Must(http.StatusOK, "POST", "/api/device/token", token, nil)
	if got := dock.Me().Name; got != "olga" {
		t.Errorf("the dock is %s, want olga", got)
	}
	a.Browser().Refused(http.StatusForbidden, "access_denied", "POST", "/api/device/token", token)
}

func TestTheAPIForPrograms(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--token-limit=-1")
	operator := a.Operator()
	var key web.V1CreatedAPIKey
	operator.Must(http.StatusCreated, "POST", "/api/v1/api-keys",
		web.V1NewAPIKey{Name: "studio", Days: 1}, &key)
	program := a.Browser()
	program.Key = key.Key

	t.Log("users")
	var made web.Invited
	program.Must(201, "POST", "/api/v1/users", web.NewUser{Name: "Kim"}, &made)
	program.Must(201, "POST", "/api/v1/users", web.NewUser{Name: "Lee", Role: "moderator"}, nil)
	kim := "/api/v1/users/" + string(made.ID)
	var page web.V1Users
	program.Must(200, "GET", "/api/v1/users?limit=1", nil, &page)
	names := []string{page.Users[0].Name}
	for page.Next != "" {
		next := page.Next
		page = web.V1Users{}
		program.Must(200, "GET", "/api/v1/users?limit=1&after="+url.QueryEscape(next), nil, &page)
		for _, u := range page.Users {
			names = append(names, u.Name)
		}
	}
	if !slices.Equal(names, []string{"Kim", "Lee", "olga"}) {
		t.Errorf("the users page by page: got %v, want Kim, Lee and olga", names)
	}
	program.Must(200, "GET", "/api/v1/users?q=ki", nil, &page)
	if len(page.Users) != 1 {
		t.Errorf("the search for ki: got %+v, want only Kim", page.Users)
	}
	program.Must(200, "PATCH", kim, web.V1UserChange{Name: "Kimberly"}, nil)
	stage := operator.MainStage()
	program.Must(204, "PUT", kim+"/grants/"+url.PathEscape(stage),
		web.GrantRequest{Capabilities: []string{"publish"}}, nil)
	var detail web.V1UserDetail
	program.Must(200, "GET", kim, nil, &detail)
	if detail.Name != "Kimberly" || len(detail.Grants) != 1 || detail.Grants[0].ByRule {
		t.Errorf("Kim: got %+v, want the new name and one grant by hand", detail)
	}
	program.Must(204, "POST", kim+"/suspend", web.V1Reason{Reason: "unpaid"}, nil)
	program.Must(204, "POST", kim+"/restore", nil, nil)

	t.Log("stages, tokens, events")
	program.Must(201, "POST", "/api/v1/stages", web.NewStage{Name: "hall"}, nil)
	program.Must(200, "GET", "/api/v1/stages?q=hall", nil, nil)
	token := operator.Token("publish")
	program.Must(200, "GET", "/api/v1/tokens?state=active", nil, nil)
	program.Must(204, "DELETE", "/api/v1/tokens/"+string(token.ParticipantID), nil, nil)
	program.Must(200, "GET", "/api/v1/events", nil, nil)

	t.Log("rules")
	var rule web.V1Rule
	program.Must(201, "POST", "/api/v1/rules",
		web.V1Rule{OwnStage: "{name}", Capabilities: []string{"publish"}}, &rule)
	program.Must(200, "PUT", "/api/v1/rules/"+string(rule.ID),
		web.V1Rule{OwnStage: "{name} live", Capabilities: []string{"publish"}}, nil)
	program.Must(200, "GET", "/api/v1/rules", nil, nil)
	program.Must(204, "DELETE", "/api/v1/rules/"+string(rule.ID), nil, nil)

	t.Log("the trail, in three forms")
	var trail web.V1Audit
	program.Must(200, "GET", "/api/v1/audit?limit=5", nil, &trail)
	if len(trail.Entries) != 5 || trail.Next == "" || trail.Entries[0].Actor.Name != "studio" ||
		trail.Entries[0].Credential != "api" {
		t.Errorf("the trail begins with %+v", trail.Entries)
	}
	trail = web.V1Audit{}
	program.Must(200, "GET", "/api/v1/audit?limit=&after=&q=unpaid", nil, &trail)
	if len(trail.Entries) != 1 || trail.Entries[0].TargetName != "Kimberly" {
		t.Errorf("the search in the trail finds %+v", trail.Entries)
	}
	for kind, first := range map[string]string{"text/csv": "time,action,", "application/x-ndjson": `{"id":`} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", a.URL+"/api/v1/audit", nil)
		r.Header.Set("Accept", kind)
		r.Header.Set("Authorization", "Bearer "+key.Key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if !strings.HasPrefix(string(text), first) ||
			!strings.HasPrefix(answer.Header.Get("Content-Type"), kind) {
			t.Errorf("the list as %s: got %s", kind, text)
		}
	}

	t.Log("bad input")
	for path, code := range map[string]string{
		"/api/v1/users?limit=0": "invalid", "/api/v1/users?limit=x": "invalid",
		"/api/v1/users?limit=501": "invalid",
		"/api/v1/users?after=x":   "bad_cursor", "/api/v1/audit?since=yesterday": "invalid",
		"/api/v1/tokens?state=new": "invalid",
	} {
		program.Refused(http.StatusBadRequest, code, "GET", path, nil)
	}

	t.Log("no API key can create another one, and a revoked key is refused at once")
	program.Refused(http.StatusForbidden, "scope", "POST", "/api/v1/api-keys",
		web.V1NewAPIKey{Name: "more"})
	operator.Must(http.StatusNoContent, "DELETE", "/api/v1/api-keys/"+key.ID, nil, nil)
	program.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/v1/users", nil)
}

// TestAKeyIsRevokedWhileItsRequestIsUnderWay: a request is refused if its API key is revoked before
// the body is complete.
func TestAKeyIsRevokedWhileItsRequestIsUnderWay(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	operator := a.Operator()
	var key web.V1CreatedAPIKey
	operator.Must(http.StatusCreated, "POST", "/api/v1/api-keys", web.V1NewAPIKey{Name: "studio"},
		&key)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	const body = `{"name":"Mallory"}`
	fmt.Fprintf(conn, "POST /api/v1/users HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer "+
		"%s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", strings.TrimPrefix(a.URL, "http://"),
		key.Key, len(body))
	from := bufio.NewReader(conn)
	interim, err := http.ReadResponse(from, nil)
	// 100 Continue: the server has authenticated the request, and reads the body.
	if err != nil || interim.StatusCode != http.StatusContinue {
		t.Fatalf("the server answers %+v, %v, want 100 Continue", interim, err)
	}
	fmt.Fprint(conn, body[:5])
	operator.Must(http.StatusNoContent, "DELETE", "/api/v1/api-keys/"+key.ID, nil, nil)
	time.Sleep(300 * time.Millisecond) // longer than bodyPatience
	fmt.Fprint(conn, body[5:])
	answer, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the key was revoked, the request is answered %s", answer.Status)
	}
	var found web.V1Users
	operator.Must(http.StatusOK, "GET", "/api/v1/users?q=mallory", nil, &found)
	if len(found.Users) != 0 {
		t.Errorf("the request created %+v", found.Users)
	}
}

// TestAServicePutsASignedInDockIntoOBS: an application with its own users creates a link that opens
// a signed-in dock.
func TestAServicePutsASignedInDockIntoOBS(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	operator := a.Operator()
	var key web.V1CreatedAPIKey
	operator.Must(http.StatusCreated, "POST", "/api/v1/api-keys",
		map[string]any{"name": "studio", "scopes": []string{"users"}}, &key)
	program := a.Browser()
	program.Key = key.Key
	var link web.V1DockLink
	program.Must(201, "POST", "/api/v1/dock-links", map[string]any{
		"externalId": "u-17", "name": "Kim",
		"stages": []map[string]any{{"arn": operator.MainStage(),
			"capabilities": []string{"publish"}}},
	}, &link)
	address, err := url.Parse(link.URL)
	if err != nil || address.Path != "/dock" || address.RawQuery != "" ||
		!strings.HasPrefix(address.Fragment, "enrol=") {
		t.Fatalf("the link: got %s, want the dock with a code in the fragment", link.URL)
	}
	if left := time.Until(link.ExpiresAt); left > 10*time.Minute || left < 5*time.Minute {
		t.Errorf("the link is good for %v", left)
	}
	code, _ := url.QueryUnescape(strings.TrimPrefix(address.Fragment, "enrol="))
	dock := a.Browser()
	dock.Must(http.StatusCreated, "POST", "/api/enrol", web.EnrolCode{Code: code}, nil)
	if me := dock.Me(); me.Name != "Kim" || len(me.Stages) != 1 {
		t.Errorf("the dock: got %+v, want Kim with one stage", me)
	}
	a.Browser().Refused(http.StatusUnauthorized, "bad_code", "POST", "/api/enrol",
		web.EnrolCode{Code: code})
	program.Refused(http.StatusForbidden, "scope", "GET", "/api/v1/stages", nil)

	t.Log("an empty list of capabilities is not all of them")
	program.Refused(http.StatusBadRequest, "invalid", "POST", "/api/v1/dock-links", map[string]any{
		"externalId": "u-18", "name": "Lee",
		"stages": []map[string]any{{"arn": operator.MainStage(), "capabilities": []string{}}},
	})
}

func TestWebhooksArrive(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--webhook-networks", "127.0.0.0/8")
	operator := a.Operator()
	type message struct {
		header http.Header
		body   []byte
	}
	arrived := make(chan message, 100)
	var failures atomic.Int32
	failures.Store(1) // the first attempt fails
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if failures.Add(-1) >= 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		arrived <- message{r.Header, body}
	}))
	t.Cleanup(receiver.Close)
	hang := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		<-hang
	}))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(hang) })

	var hook web.V1CreatedWebhook
	for _, target := range []string{hanging.URL, receiver.URL} { // a dead webhook delays no other
		operator.Must(http.StatusCreated, "POST", "/api/v1/webhooks",
			web.V1NewWebhook{URL: target, Types: []string{"user.created"}}, &hook)
	}
	operator.Must(http.StatusCreated, "POST", "/api/users", web.NewUser{Name: "Kim"}, nil)
	verifier, err := standardwebhooks.NewWebhook(hook.Secret)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-arrived:
		if err := verifier.Verify(got.body, got.header); err != nil {
			t.Errorf("the signature: %v", err)
		}
		if text := string(got.body); !strings.Contains(text, `"type":"user.created"`) || !strings.Contains(text, `"name":"Kim"`) {
			t.Errorf("the message is %s", text)
		}
	case <-time.After(time.Minute):
		t.Fatal("no message arrived after a failure")
	}
	var queued web.V1Queued
	operator.Must(http.StatusAccepted, "POST", fmt.Sprintf("/api/v1/webhooks/%s/test", hook.ID),
		nil, &queued)
	select {
	case got := <-arrived:
		if id := got.header.Get("webhook-id"); id != queued.Delivery {
			t.Errorf("the test message is %s, want %s", id, queued.Delivery)
		}
	case <-time.After(time.Minute):
		t.Fatal("the test message did not arrive")
	}
}
