package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

const (
	ofOneself = "it is about one's own account, and an API key has none"
	signingIn = "it signs in, and an API key is signed in"
	ofPeople  = "it is for the holder of a token, a link or a key"
)

// counterparts maps each route of the pages to the route of the API for programs that does the
// same. It omits routes whose counterpart has the same path below /api/v1. A value that begins with
// "= " is the reason why there is no counterpart.
var counterparts = map[string]string{
	"GET /api/events":              "GET /api/v1/participants",
	"GET /api/stages/{arn}/events": "GET /api/v1/participants",
	"PUT /api/docks/{dock}":        "= a dock reports about itself; GET /api/v1/users/{id} has it",
	"DELETE /api/docks/{dock}":     "= a dock reports about itself",

	"POST /api/setup":         "= " + signingIn,
	"POST /api/setup/check":   "= " + signingIn,
	"POST /api/login":         "= " + signingIn,
	"DELETE /api/login":       "= " + ofOneself,
	"GET /api/logins":         "GET /api/v1/users/{id}/logins",
	"DELETE /api/logins":      "DELETE /api/v1/users/{id}/logins",
	"DELETE /api/logins/{id}": "DELETE /api/v1/users/{id}/logins/{login}",
	"GET /api/me":             "= " + ofOneself + "; the key itself may ask it",
	"POST /api/password":      "= " + ofOneself,
	"POST /api/invite":        "= " + signingIn,
	"POST /api/invite/name":   "= " + signingIn,
	"GET /api/sign-in":        "= " + signingIn,
	"GET /api/oidc/login":     "= " + signingIn,
	"GET /api/oidc/callback":  "= " + signingIn,
	"GET /api/oidc/logout":    "= " + signingIn,
	"POST /api/device":        "= " + signingIn,
	"POST /api/device/token":  "= " + signingIn,
	"POST /api/device/lookup": "= " + ofOneself,
	"POST /api/device/approve": "= " + ofOneself +
		"; a program signs in a dock by POST /api/v1/dock-links",
	"POST /api/device/deny": "= " + ofOneself,
	"POST /api/enrol":       "= " + signingIn,
	"POST /api/enrolments": "= " + ofOneself +
		"; a program signs in a dock by POST /api/v1/dock-links",
	"GET /api/obs/script": "= " + ofOneself +
		"; a program signs in a dock by POST /api/v1/dock-links",
	"GET /api/passkeys":          "= " + ofOneself + ", and passkeys are for browsers",
	"POST /api/passkeys/options": "= " + ofOneself + ", and passkeys are for browsers",
	"POST /api/passkeys":         "= " + ofOneself + ", and passkeys are for browsers",
	"PATCH /api/passkeys/{id}":   "= " + ofOneself + ", and passkeys are for browsers",
	"DELETE /api/passkeys/{id}":  "= " + ofOneself + ", and passkeys are for browsers",
	"GET /api/keys":              "= " + ofOneself, // /api/v1/keys has other keys: they sign tokens
	"POST /api/keys":             "= " + ofOneself,
	"DELETE /api/keys/{id}":      "= " + ofOneself,
	"POST /api/tokens":           "= " + ofOneself + ": an access key issues tokens",
	"POST /api/rehearsals":       "= " + ofOneself + ": a dock plays it back",
	"POST /api/rehearsals/{participant}/uplink": "= " + ofOneself +
		": a dock measures its line",
	"GET /api/tokens/{participant}": "GET /api/v1/tokens",
	"GET /api/views":                "= " + ofOneself,
	"POST /api/views":               "= " + ofOneself,
	"DELETE /api/views/{id}":        "= " + ofOneself,
	"GET /api/view":                 "= " + ofPeople,
	"POST /api/views/token":         "= " + ofPeople,
	"GET /api/guest":                "= " + ofPeople,
	"POST /api/guest":               "= " + ofPeople,
	"GET /api/guest/self":           "= " + ofPeople,

	"POST /api/stages/{arn}/chat": "= the chat is of those on the stage, and no " +
		"page of the console has it",
	"DELETE /api/stages/{arn}/chat/{message}": "= the chat is of those on the stage, and no " +
		"page of the console has it",
	"PUT /api/stages/{arn}/chat/muted/{user}": "= the chat is of those on the stage, and no " +
		"page of the console has it",
	"DELETE /api/stages/{arn}/chat/muted/{user}": "= the chat is of those on the stage, and no " +
		"page of the console has it",

	"POST /api/login/passkey/options": "= " + signingIn,
	"POST /api/login/passkey":         "= " + signingIn,
	"POST /api/aws/events":            "= AWS sends it",
	"GET /api/ivs":                    "= pages load a script by it",
	"GET /api/probe":                  "= it is public",
	"GET /api/branding/logo":          "= it is public",
	"GET /api/openapi.json":           "= it is public",
}

// TestTheAPIDoesWhatThePagesDo: each route below /api has a counterpart below /api/v1, or a reason
// why not.
func TestTheAPIDoesWhatThePagesDo(t *testing.T) {
	t.Parallel()
	patterns, err := web.Patterns()
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range patterns {
		method, path, _ := strings.Cut(pattern, " ")
		rest, api := strings.CutPrefix(path, "/api/")
		if !api || strings.HasPrefix(rest, "v1/") {
			continue
		}
		other, known := counterparts[pattern]
		same := method + " /api/v1/" + rest
		switch {
		case !known && slices.Contains(patterns, same):
		case !known:
			t.Errorf("%s has no counterpart %s: add it, or say in counterparts why not", pattern,
				same)
		case !strings.HasPrefix(other, "= ") && !slices.Contains(patterns, other):
			t.Errorf("the counterpart of %s is %s, which is no route", pattern, other)
		}
	}
	for pattern := range counterparts {
		if !slices.Contains(patterns, pattern) {
			t.Errorf("counterparts names %s, which is no route", pattern)
		}
	}
}

// TestWhatTheAPIAnswersIsDescribed sends every GET request of the API for programs. The test kit
// compares each response with the OpenAPI document. TestEveryChangeIsInTheTrail sends the other
// requests.
func TestWhatTheAPIAnswersIsDescribed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	patterns, err := web.Patterns()
	if err != nil {
		t.Fatal(err)
	}
	token := h.bea.Token("publish")
	door := rtcpeer.HTTP(token.Endpoint, token.Token)
	if _, err := rtcpeer.Publish(t, door, rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	h.makes("id", "/api/v1/rules", web.V1Rule{Stage: h.side, Capabilities: both})
	h.makes("id", "/api/v1/api-keys", web.V1NewAPIKey{Name: "studio", Days: 1})
	asked := 0
	for _, pattern := range patterns {
		path, get := strings.CutPrefix(pattern, "GET ")
		if !get || !strings.HasPrefix(path, "/api/v1/") {
			continue
		}
		asked++
		who := caller{Client: h.olga, owner: h.olga, id: h.bea.id}
		path, _ = targetOf(pattern, "").request(h, who)
		status, _, text := h.olga.Do("GET", path, nil)
		// The server lists the stage sessions of AWS stages only, and this server has no AWS stage.
		if status != http.StatusOK && pattern != "GET /api/v1/stages/{arn}/sessions" {
			t.Errorf("GET %s: got %d %s, want 200", path, status, text)
		}
	}
	if asked < 20 {
		t.Errorf("only %d routes were requested", asked)
	}
}

// `pagePath` matches addresses of the API in a script. `variable` matches values that the script
// inserts into an address.
var (
	pagePath = regexp.MustCompile("['\"`](api/[^'\"`?]*)")
	variable = regexp.MustCompile(`\$\{(?:[^{}]|\{[^{}]*\})*\}`)
)

// TestTheConsoleUsesTheAPI: the operator's pages request only addresses of the API for programs, so
// that a program can do the same.
func TestTheConsoleUsesTheAPI(t *testing.T) {
	t.Parallel()
	patterns, err := web.Patterns()
	if err != nil {
		t.Fatal(err)
	}
	shapes := map[string]bool{}
	parameter := regexp.MustCompile(`\{\w+\}`)
	for _, pattern := range patterns {
		_, path, _ := strings.Cut(pattern, " ")
		path = parameter.ReplaceAllString(strings.TrimPrefix(path, "/"), "*")
		for i := range path + "/" { // the script may contain only the beginning of an address
			if i == len(path) || path[i] == '/' {
				shapes[path[:i]] = true
			}
		}
	}
	files, err := filepath.Glob("../../static/operator/*.js")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pagePath.FindAllStringSubmatch(string(text), -1) {
			found++
			// A match ends at a quote or a question mark. If it ends inside a value, it contains
			// only "${…" of the value. Such a value inserts the query, so it is not a part of the
			// path.
			path, _, _ := strings.Cut(variable.ReplaceAllString(m[1], "*"), "${")
			shape := strings.TrimSuffix(path, "/")
			switch {
			case shape == "api/branding": // the branding, which every page reads
			case !strings.HasPrefix(shape, "api/v1/"):
				t.Errorf("%s requests %s, which is only for pages", filepath.Base(file), m[1])
			case !shapes[shape] && !shapes[strings.TrimSuffix(shape, "*")]:
				t.Errorf("%s requests %s, which does not exist", filepath.Base(file), m[1])
			}
		}
	}
	if found < 30 {
		t.Errorf("%d addresses were found in the console: they are not read as they should be",
			found)
	}
}
