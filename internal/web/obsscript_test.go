package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

var (
	codeIn = regexp.MustCompile(`local code, code_expires = "([^"]*)"`)
	idIn   = regexp.MustCompile(`local id = "([0-9a-f]{32})"`)
)

// downloaded returns the text of the script for OBS, and the enrolment code in it.
func downloaded(t *testing.T, c *apptest.Client, query string) (text, code string) {
	t.Helper()
	status, header, body := c.Do(http.MethodGet, "/api/obs/script"+query, nil)
	if status != http.StatusOK ||
		header.Get("Content-Disposition") != "attachment; filename=stagedoor.lua" {
		t.Fatalf("the script: got %d, %v, %s, want 200 and a file to save", status, header, body)
	}
	if header.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(header.Get("Content-Type"), "text/x-lua") {
		t.Errorf("header %v, want a script that no cache keeps", header)
	}
	found := codeIn.FindStringSubmatch(string(body))
	if found == nil || found[1] == "" {
		t.Fatalf("there is no code in\n%s", body)
	}
	return string(body), found[1]
}

func TestTheScriptSignsInADockOnce(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	ada := a.Broadcaster(a.Operator(), "Ada", "publish")
	text, code := downloaded(t, ada, "")
	if !strings.Contains(text, "made for Ada by "+a.URL) || !strings.Contains(text, `local server = "`+a.URL+`"`) {
		t.Errorf("the script begins\n%s\nwant Ada and %s in it", text[:200], a.URL)
	}
	if german, _ := downloaded(t, ada, "?lang=de"); !strings.Contains(german, "Neu koppeln") {
		t.Error("the German script speaks no German")
	}
	dock := a.Browser()
	dock.Must(http.StatusCreated, "POST", "/api/enrol", web.EnrolCode{Code: code}, nil)
	if me := dock.Me(); me.Name != "Ada" {
		t.Errorf("the dock is %s's, want Ada", me.Name)
	}
	dock.Refused(http.StatusUnauthorized, "bad_code", "POST", "/api/enrol",
		web.EnrolCode{Code: code})

	a.Browser().Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/obs/script", nil)
	if status, _, body := ada.Do(http.MethodHead, "/api/obs/script",
		nil); status != http.StatusOK || len(body) > 0 {
		t.Errorf("HEAD of the script: got %d %q, want 200 without a body", status, body)
	}
	again, _ := downloaded(t, ada, "")
	if one, two := idIn.FindString(text), idIn.FindString(again); one == "" || one != two {
		t.Errorf("the server's ID is %q and then %q", one, two)
	}
}

func TestAnAccessKeyGetsAScriptToo(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	operator := a.Operator()
	var key web.NewAccessKey
	operator.Must(http.StatusCreated, "POST", "/api/keys", web.NewKey{Name: "kiosk"}, &key)
	program := a.Browser()
	program.Key = key.Key
	_, code := downloaded(t, program, "")
	dock := a.Browser()
	dock.Must(http.StatusCreated, "POST", "/api/enrol", web.EnrolCode{Code: code}, nil)
	if me := dock.Me(); me.Role != "broadcaster" {
		t.Errorf("the dock of an operator's key is %s's, want broadcaster", me.Role)
	}
	dock.Refused(http.StatusForbidden, "denied", "GET", "/api/users", nil)
	dock.Refused(http.StatusForbidden, "sign_in_yourself", "POST", "/api/keys",
		web.NewKey{Name: "more"})
	var signedIn web.Logins
	dock.Must(http.StatusOK, "GET", "/api/logins", nil, &signedIn)
	for _, l := range signedIn.Logins {
		if !l.Current {
			dock.Refused(http.StatusForbidden, "sign_in_yourself", "DELETE", "/api/logins/"+l.ID,
				nil)
		}
	}
	if len(signedIn.Logins) != 2 {
		t.Errorf("%d logins, want those of the operator and of the dock", len(signedIn.Logins))
	}
	operator.Must(http.StatusNoContent, "DELETE", "/api/keys/"+key.ID, nil, nil)
	dock.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
}

func TestNoScriptForAServerWithoutTLS(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--public-url", "http://stage.example:8080")
	ada := a.Broadcaster(a.Operator(), "Ada", "publish")
	ada.Refused(http.StatusConflict, "needs_https", "GET", "/api/obs/script", nil)
}

func TestThePagesSayHowLongAScriptSignsIn(t *testing.T) {
	t.Parallel()
	figure := fmt.Sprintf(" %.0f ", web.ScriptLife.Minutes())
	for _, language := range []string{"en", "de", "es"} {
		text, err := os.ReadFile("../../static/strings/" + language + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var sentences map[string]string
		if err := json.Unmarshal(text, &sentences); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"pair.once", "pair.codeOver"} {
			if !strings.Contains(sentences[key], figure) {
				t.Errorf("%s: %s is %q, want %s minutes", language, key, sentences[key], figure)
			}
		}
	}
}
