package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/web"
)

func TestFromSetupToToken(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()

	t.Log("the setup link was used, so nobody else becomes operator by it")
	again := web.SetUp{Code: apptest.Code(a.SetupURL), Name: "mallory", Password: apptest.Password}
	a.Browser().Refused(http.StatusConflict, "already_set_up", "POST", "/api/setup", again)

	t.Log("the operator has every capability on the stage that a new server has")
	me := olga.Me()
	if me.Name != "olga" || me.Role != "operator" || len(me.Stages) != 1 ||
		strings.Join(me.Stages[0].Capabilities, ",") != "publish,subscribe" {
		t.Errorf("me: got %+v, want the operator with both capabilities on one stage", me)
	}

	t.Log("a broadcaster who may publish gets a token that publishes and no more")
	ana := a.Broadcaster(olga, "ana", "publish")
	token := ana.Token("")
	if strings.Join(token.Capabilities, ",") != "publish" || token.Endpoint != a.URL+"/whip" ||
		strings.Count(token.Token, ".") != 2 {
		t.Errorf("token: got %+v, want one that only publishes", token)
	}
	stage := map[string]any{"stage": token.Stage, "for": "view"}
	ana.Refused(http.StatusForbidden, "no_capability", "POST", "/api/tokens", stage)

	t.Log("the record contains the token's participant, but not the token")
	_, _, text := olga.Do("GET", "/api/tokens?all=1", nil)
	if !strings.Contains(string(text), string(token.ParticipantID)) ||
		strings.Contains(string(text), token.Token) {
		t.Errorf("the operator's list: got %s, want the participant, and not the token", text)
	}

	t.Log("ana revokes her token; revoking it again is no error")
	ana.Must(http.StatusNoContent, "DELETE", "/api/tokens/"+string(token.ParticipantID), nil, nil)
	var state web.TokenState
	ana.Must(http.StatusOK, "GET", "/api/tokens/"+string(token.ParticipantID), nil, &state)
	if state.RevokedAt == nil {
		t.Error("the token is not marked as revoked")
	}
}

func TestSigningInAndOut(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish", "subscribe")

	phone := a.Browser()
	phone.Refused(http.StatusUnauthorized, "wrong_password", "POST", "/api/login",
		web.Credentials{Name: "ana", Password: "not her password"})
	phone.Refused(http.StatusUnauthorized, "wrong_password", "POST", "/api/login",
		web.Credentials{Name: "nobody", Password: "not her password"})
	phone.Must(http.StatusOK, "POST", "/api/login",
		web.Credentials{Name: "Ana", Password: apptest.Password}, nil)
	if got := phone.Me().Name; got != "ana" {
		t.Errorf("signed in as %q, want ana", got)
	}

	t.Log("a new password ends the login elsewhere and keeps this one")
	stream := phone.Events()
	ana.Must(http.StatusNoContent, "POST", "/api/password",
		web.PasswordChange{Current: apptest.Password, New: "another good one"}, nil)
	apptest.Await(stream, "bye", func(b web.Bye) bool { return b.Reason == "signed_out" })
	phone.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
	ana.Me()

	t.Log("the operator can end ana's logins; signing out ends one's own")
	olga.Must(http.StatusNoContent, "DELETE", "/api/users/"+string(ana.Me().ID)+"/logins", nil, nil)
	ana.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
	olga.Must(http.StatusNoContent, "DELETE", "/api/login", nil, nil)
	olga.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)

	t.Log("a user can end one of several logins")
	home, hall := a.Browser(), a.Browser()
	for _, b := range []*apptest.Client{home, hall} {
		b.Must(http.StatusOK, "POST", "/api/login",
			web.Credentials{Name: "ana", Password: "another good one"}, nil)
	}
	var signed web.Logins
	home.Must(http.StatusOK, "GET", "/api/logins", nil, &signed)
	if n := len(signed.Logins); n != 2 {
		t.Fatalf("the logins of ana: got %+v, want 2", signed.Logins)
	}
	for _, l := range signed.Logins {
		if l.Address != "127.0.0.1" || l.Agent == "" || l.LastUsedAt.IsZero() {
			t.Errorf("a login: got %+v, want its browser, address and last use", l)
		}
		if !l.Current {
			olga.Must(http.StatusOK, "POST", "/api/login",
				web.Credentials{Name: "olga", Password: apptest.Password}, nil)
			olga.Refused(http.StatusNotFound, "not_found", "DELETE", "/api/logins/"+l.ID, nil)
			home.Must(http.StatusNoContent, "DELETE", "/api/logins/"+l.ID, nil, nil)
		}
	}
	hall.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
	home.Must(http.StatusOK, "GET", "/api/logins", nil, &signed)
	if len(signed.Logins) != 1 || !signed.Logins[0].Current {
		t.Errorf("after that: got %+v, want this one", signed.Logins)
	}

	t.Log("a user can end all own logins, and none of others")
	here, there := a.Browser(), a.Browser()
	for _, b := range []*apptest.Client{olga, here, there} {
		b.Must(http.StatusOK, "POST", "/api/login",
			web.Credentials{Name: "olga", Password: apptest.Password}, nil)
	}
	ana.Must(http.StatusOK, "POST", "/api/login",
		web.Credentials{Name: "ana", Password: "another good one"}, nil)
	here.Must(http.StatusNoContent, "DELETE", "/api/logins", nil, nil)
	for _, b := range []*apptest.Client{olga, here, there} {
		b.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
	}
	ana.Me()
}

func TestCookie(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	a.Operator()
	_, h, _ := a.Browser().Do("POST", "/api/login",
		web.Credentials{Name: "olga", Password: apptest.Password})
	cookie := h.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Lax", "Max-Age=", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q lacks %s", cookie, want)
		}
	}
	if strings.Contains(cookie, "Secure") {
		t.Errorf("cookie %q is Secure on plain http", cookie)
	}

	t.Log("with a public URL of https, the cookie is Secure")
	b := apptest.Start(t, "--public-url", "https://stage.example.com")
	link, _ := url.Parse(b.SetupURL)
	if link.Host != "stage.example.com" {
		t.Errorf("the setup link is %s, want it on the public URL", link)
	}
	in := web.SetUp{Code: apptest.Code(b.SetupURL), Name: "olga", Password: apptest.Password}
	if status, h, text := b.Browser().Do("POST", "/api/setup", in); status != http.StatusCreated ||
		!strings.Contains(h.Get("Set-Cookie"), "Secure") {
		t.Errorf("the set-up behind https: got %d %s, cookie %q, want it Secure",
			status, text, h.Get("Set-Cookie"))
	}
}

func TestBrokenRequests(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	arn := olga.MainStage()
	for name, c := range map[string]struct {
		method, path, kind, body string
		status                   int
		code                     string
	}{
		"not json": {"POST", "/api/tokens", "application/json", "stage=main", 400,
			"bad_json"},
		"empty":            {"POST", "/api/tokens", "application/json", "", 400, "bad_json"},
		"two values":       {"POST", "/api/tokens", "application/json", `{"stage":"` + arn + `"}{}`, 400, "bad_json"},
		"an array":         {"POST", "/api/tokens", "application/json", `["` + arn + `"]`, 400, "bad_json"},
		"wrong type":       {"POST", "/api/tokens", "application/json", `{"stage":7}`, 400, "bad_json"},
		"a life in words":  {"POST", "/api/tokens", "application/json", `{"stage":"` + arn + `","ttl":"12h"}`, 400, "bad_json"},
		"half a second":    {"POST", "/api/tokens", "application/json", `{"stage":"` + arn + `","ttl":60.5}`, 400, "bad_json"},
		"too short a life": {"POST", "/api/tokens", "application/json", `{"stage":"` + arn + `","ttl":59}`, 400, "invalid"},
		"too long a life":  {"POST", "/api/tokens", "application/json", `{"stage":"` + arn + `","ttl":1209601}`, 400, "invalid"},
		"an endless life":  {"POST", "/api/tokens", "application/json", `{"stage":"` + arn + `","ttl":9223372036854775807}`, 400, "invalid"},
		"another case":     {"POST", "/api/tokens", "application/json", `{"Stage":"` + arn + `"}`, 400, "unknown_field"},
		"unknown member":   {"POST", "/api/tokens", "application/json", `{"stage":"` + arn + `","capabilities":["publish"]}`, 400, "unknown_field"},
		"unknown use":      {"POST", "/api/tokens", "application/json", `{"stage":"` + arn + `","for":"everything"}`, 400, "invalid"},
		"not an ARN":       {"POST", "/api/tokens", "application/json", `{"stage":"main"}`, 400, "invalid"},
		"no such stage":    {"POST", "/api/tokens", "application/json", `{"stage":"arn:aws:ivs:local:000000000000:stage/nowhere"}`, 404, "not_found"},
		"a form": {"POST", "/api/tokens", "application/x-www-form-urlencoded",
			"stage=main", 415, "unsupported_media_type"},
		"10 MB": {"POST", "/api/login", "application/json", `{"name":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "too_large"},
		"deep nesting": {"POST", "/api/login", "application/json",
			strings.Repeat("[", 60000), 400, "bad_json"},
		"wrong method":        {"PATCH", "/api/login", "application/json", `{}`, 405, "method_not_allowed"},
		"nowhere":             {"GET", "/api/nothing", "application/json", ``, 404, "not_found"},
		"no such page":        {"GET", "/nothing", "application/json", ``, 404, "not_found"},
		"unknown participant": {"DELETE", "/api/tokens/nobody000000", "application/json", ``, 404, "not_found"},
		"a dock's bad name":   {"PUT", "/api/docks/x", "application/json", `{"obs":null,"live":false}`, 400, "invalid"},
		"no capability":       {"PUT", "/api/users/x/grants/" + url.PathEscape(arn), "application/json", `{"capabilities":["fly"]}`, 400, "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, h, text := olga.Send(c.method, c.path, c.kind, strings.NewReader(c.body))
			if got != c.status || !strings.Contains(string(text), `"code":"`+c.code+`"`) || h.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s %s, want %d %s", got, h.Get("Content-Type"), text, c.status,
					c.code)
			}
		})
	}
}

func TestOtherOrigins(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	for _, origin := range []string{"https://evil.example", "null"} {
		r, _ := http.NewRequestWithContext(t.Context(), "DELETE", a.URL+"/api/login", nil)
		r.Header.Set("Origin", origin)
		answer, err := olga.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("DELETE from %s: got %s, want 403", origin, answer.Status)
		}
	}
	olga.Me()

	t.Log("pages of other origins may neither read with a login nor use up event streams")
	for _, c := range []struct {
		header, value, path string
		want                int
	}{
		{"Origin", "https://evil.example", "/api/me", http.StatusForbidden},
		{"Origin", "https://evil.example", "/api/events", http.StatusForbidden},
		{"Sec-Fetch-Site", "same-site", "/api/events", http.StatusForbidden},
		{"Sec-Fetch-Site", "cross-site", "/api/users", http.StatusForbidden},
		{"Sec-Fetch-Site", "same-origin", "/api/me", http.StatusOK},
		{"Sec-Fetch-Site", "none", "/api/me", http.StatusOK},
		{"Origin", a.URL, "/api/me", http.StatusOK},
		{"Sec-Fetch-Site", "cross-site", "/dock", http.StatusOK}, // a link to a page
	} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", a.URL+c.path, nil)
		r.Header.Set(c.header, c.value)
		answer, err := olga.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("GET %s with %s: %s: got %s, want %d", c.path, c.header, c.value,
				answer.Status, c.want)
		}
	}
}

func TestStrictTransportSecurity(t *testing.T) {
	t.Parallel()
	const name = "Strict-Transport-Security"
	plain, secure := apptest.Start(t), apptest.Start(t, "--public-url", "https://stage.example.com")
	for _, path := range []string{"/", "/api/me", "/whip", "/healthz"} {
		if _, h, _ := plain.Browser().Do("GET", path, nil); h.Get(name) != "" {
			t.Errorf("%s on http: got %q, want none", path, h.Get(name))
		}
		if _, h, _ := secure.Browser().Do("GET", path, nil); !strings.HasPrefix(h.Get(name),
			"max-age=") {
			t.Errorf("%s on https: got %q, want a max-age", path, h.Get(name))
		}
	}
}

func TestCompressedBodies(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	r, _ := http.NewRequestWithContext(t.Context(), "POST", a.URL+"/api/login",
		strings.NewReader("\x1f\x8b"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusUnsupportedMediaType ||
		!strings.Contains(string(text), "Content-Encoding") {
		t.Errorf("got %s %s, want 415 that names Content-Encoding", answer.Status, text)
	}
}

func TestBroadcastersAreNotOperators(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish", "subscribe")
	other := a.Broadcaster(olga, "ben", "publish")
	theirs := other.Token("publish")
	arn := url.PathEscape(ana.MainStage())
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/api/users", nil},
		{"POST", "/api/users", web.NewUser{Name: "eve"}},
		{"DELETE", "/api/users/" + string(olga.Me().ID), nil},
		{"POST", "/api/users/" + string(olga.Me().ID) + "/invite", nil},
		{"DELETE", "/api/users/" + string(olga.Me().ID) + "/logins", nil},
		{"PUT", "/api/users/" + string(ana.Me().ID) + "/grants/" + arn,
			web.GrantRequest{Capabilities: []string{"publish"}}},
		{"DELETE", "/api/users/" + string(ana.Me().ID) + "/grants/" + arn, nil},
		{"GET", "/api/stages", nil},
		{"POST", "/api/stages", web.NewStage{Name: "mine"}},
		{"PATCH", "/api/stages/" + arn, web.StageChange{Name: "mine"}},
		{"DELETE", "/api/stages/" + arn, nil},
		{"DELETE", "/api/stages/" + arn + "/participants/" + string(theirs.ParticipantID), nil},
		{"GET", "/api/tokens?all=1", nil},
	} {
		ana.Refused(http.StatusForbidden, "denied", c.method, c.path, c.body)
	}
	t.Log("a user can neither see nor end a token of another user")
	ana.Refused(http.StatusNotFound, "not_found", "DELETE",
		"/api/tokens/"+string(theirs.ParticipantID), nil)
	ana.Refused(http.StatusNotFound, "not_found", "GET",
		"/api/tokens/"+string(theirs.ParticipantID), nil)
}

func TestAccessKeysIssueAndNoMore(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	ana := a.Broadcaster(a.Operator(), "ana", "publish", "subscribe")
	var key web.NewAccessKey
	ana.Must(http.StatusCreated, "POST", "/api/keys", web.NewKey{Name: "lecture room"}, &key)

	kiosk := a.Browser()
	kiosk.Key = key.Key
	token := kiosk.Token("publish")
	kiosk.Must(http.StatusOK, "GET", "/api/tokens/"+string(token.ParticipantID), nil, nil)
	kiosk.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/keys", nil)
	kiosk.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/tokens", nil)
	kiosk.Refused(http.StatusUnauthorized, "unauthorized", "POST", "/api/password",
		web.PasswordChange{Current: apptest.Password, New: "another good one"})

	ana.Must(http.StatusNoContent, "DELETE", "/api/keys/"+key.ID, nil, nil)
	kiosk.Refused(http.StatusUnauthorized, "unauthorized", "POST", "/api/tokens",
		map[string]any{"stage": token.Stage})
}

func TestDocksOfOneAccountKnowEachOther(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish")
	first := ana.Events()
	apptest.Await(first, "docks", func(d web.DocksEvent) bool { return len(d.Docks) == 0 })
	obs := &web.OBSState{Version: "31.0.0", State: "idle",
		Findings: []web.Finding{{ID: "audio-encoder", Level: "fix", Text: "Sound is sent as AAC."}}}
	ana.Must(http.StatusNoContent, "PUT", "/api/docks/dockdock1", web.DockState{OBS: obs}, nil)
	ana.Must(http.StatusNoContent, "PUT", "/api/docks/dockdock2", web.DockState{Live: true}, nil)
	odd := &web.OBSState{Version: "31.0.0", State: "idle",
		Findings: []web.Finding{{ID: "audio-encoder", Level: "odd", Text: "Sound is sent as AAC."}}}
	ana.Refused(http.StatusBadRequest, "invalid", "PUT", "/api/docks/dockdock1",
		web.DockState{OBS: odd})
	apptest.Await(first, "dock", func(d feed.Dock) bool {
		return d.ID == "dockdock1" && d.OBS != nil
	})
	apptest.Await(first, "dock", func(d feed.Dock) bool { return d.ID == "dockdock2" && d.Live })
	apptest.Await(ana.Events(), "docks", func(d web.DocksEvent) bool {
		return len(d.Docks) == 2 && d.Docks[0].OBS != nil && d.Docks[1].Live
	})

	t.Log("the operator sees what the docks report about OBS")
	var users web.Users
	olga.Must(http.StatusOK, "GET", "/api/users", nil, &users)
	for _, u := range users.Users {
		if u.Name == "ana" && (len(u.Docks) != 2 ||
			u.Docks[0].OBS.Findings[0].ID != "audio-encoder") {
			t.Errorf("ana's docks: got %+v, want two, and the finding audio-encoder", u.Docks)
		}
	}
	t.Log("programs see it, too; a dock that has not found OBS reports none")
	var detail web.V1UserDetail
	olga.Must(http.StatusOK, "GET", "/api/v1/users/"+string(ana.Me().ID), nil, &detail)
	if len(detail.Docks) != 2 || detail.Docks[0].OBS == nil || detail.Docks[1].OBS != nil {
		t.Errorf("ana's docks: got %+v, want one with OBS and one without", detail.Docks)
	}
	ana.Must(http.StatusNoContent, "DELETE", "/api/docks/dockdock1", nil, nil)
	apptest.Await(first, "dock_closed", func(d web.DockClosed) bool { return d.ID == "dockdock1" })
}

// TestOnlyTheDockThatChangedIsSent: a change sends only the dock that changed. An account may have
// 16 docks of 32 KB and 64 open pages, so sending all docks would cost too much.
func TestOnlyTheDockThatChangedIsSent(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	ana := a.Broadcaster(a.Operator(), "ana", "publish")
	text := strings.Repeat("x", 400)
	report := func(dock int, state string) {
		t.Helper()
		obs := &web.OBSState{Version: "31.0.0", State: state}
		for range 30 {
			obs.Findings = append(obs.Findings, web.Finding{ID: "preset", Level: "fix", Text: text})
		}
		ana.Must(http.StatusNoContent, "PUT", fmt.Sprintf("/api/docks/dockdock%02d", dock),
			web.DockState{OBS: obs}, nil)
	}
	for dock := range 16 {
		report(dock, "not_set_up")
	}
	page := ana.Events()
	apptest.Await(page, "docks", func(d web.DocksEvent) bool { return len(d.Docks) == 16 })
	start := page.Bytes()
	const changes = 10
	for n := range changes {
		report(3, fmt.Sprint("state", n))
	}
	apptest.Await(page, "dock", func(d feed.Dock) bool {
		return d.OBS.State == fmt.Sprint("state", changes-1)
	})
	if got, most := page.Bytes()-start, int64(changes*30*500); got > most {
		t.Errorf("%d changes of one dock: the page received %d bytes, want %d at most", changes,
			got, most)
	}
}

func TestGrantsReachOpenPages(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish")
	page := ana.Events()
	apptest.Await(page, "me", func(me web.Me) bool { return len(me.Stages) == 1 })
	grant := "/api/users/" + string(ana.Me().ID) + "/grants/" + url.PathEscape(ana.MainStage())
	olga.Must(http.StatusNoContent, "DELETE", grant, nil, nil)
	apptest.Await(page, "me", func(me web.Me) bool { return len(me.Stages) == 0 })
	ana.Refused(http.StatusForbidden, "no_grant", "POST", "/api/tokens",
		map[string]any{"stage": olga.MainStage()})
}

func TestPages(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	for _, path := range []string{"/", "/dock", "/watch", "/setup", "/invite", "/account",
		"/operator"} {
		status, h, text := a.Browser().Do("GET", path, nil)
		if status != http.StatusOK || !strings.Contains(string(text), "<!doctype html>") &&
			!strings.Contains(string(text), "<!DOCTYPE html>") {
			t.Errorf("GET %s: got %d, want a page of HTML", path, status)
		}
		if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'self'") ||
			h.Get("X-Frame-Options") != "DENY" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("GET %s: got the headers %v, want those that protect pages", path, h)
		}
	}
	if status, _, text := a.Browser().Do("GET", "/healthz", nil); status != http.StatusOK ||
		string(text) != "ok\n" {
		t.Errorf("GET /healthz: got %d %q, want 200 and ok", status, text)
	}
}

// TestOnlyPagesThatJoinStagesAdmitTheSDK: where AWS stages are served, the policies of pages that
// join stages also permit the SDK's script and connections to AWS. Other policies do not change.
func TestOnlyPagesThatJoinStagesAdmitTheSDK(t *testing.T) {
	t.Parallel()
	policyOf := func(a *apptest.App) func(path string) string {
		return func(path string) string {
			_, h, _ := a.Browser().Do("GET", path, nil)
			return h.Get("Content-Security-Policy")
		}
	}
	local := policyOf(apptest.Start(t, "--ivs-sdk", "https://cdn.example/sdk.js"))
	policy := policyOf(apptest.Start(t, "--ivs-sdk", "https://cdn.example/sdk;1.js", "--ivs-region",
		"us-west-2", "--ivs-endpoint", apptest.Emulate(t)))
	narrow := policy("/")
	for _, path := range []string{"/dock", "/dock/stage", "/source", "/watch"} {
		if got := local(path); got != narrow {
			t.Errorf("the policy of %s where no AWS is served: got %q, want %q", path, got, narrow)
		}
	}
	if strings.Contains(narrow, "cdn.example") || strings.Contains(narrow, "live-video.net") ||
		strings.Contains(narrow, "script-src") {
		t.Errorf("the policy of /: got %q", narrow)
	}
	for _, path := range []string{"/setup", "/invite", "/account", "/operator"} {
		if got := policy(path); got != narrow {
			t.Errorf("the policy of %s: got %q, want %q", path, got, narrow)
		}
	}
	const sdk, aws = "script-src 'self' https://cdn.example/sdk%3B1.js; ",
		" https://*.live-video.net wss://*.live-video.net"
	for _, path := range []string{"/dock", "/dock/stage", "/source", "/watch"} {
		got := policy(path)
		if rest := strings.Replace(strings.Replace(got, sdk, "", 1), aws, "",
			1); !strings.Contains(got, sdk) || rest != narrow {
			t.Errorf("the policy of %s: got %q, want that of / with %q and %q", path, got, sdk, aws)
		}
	}
}

// TestManyStages: a page with 81 stages, all of them empty, receives one complete frame about
// presence, which lists no stage.
func TestManyStages(t *testing.T) {
	t.Parallel()
	olga := apptest.Start(t).Operator()
	const many = 80
	var last web.Stage
	for i := range many {
		olga.Must(http.StatusCreated, "POST", "/api/stages",
			web.NewStage{Name: "stage " + strconv.Itoa(i)}, &last)
	}
	stream := olga.Events()
	apptest.Await(stream, "me", func(me web.Me) bool { return len(me.Stages) == many+1 })
	apptest.Await(stream, "presences", func(e web.PresencesEvent) bool {
		return e.Complete && len(e.Stages) == 0
	})
}
