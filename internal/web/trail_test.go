package web_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/web"
)

// A trace describes the entry of the audit trail that a route adds, or the reason why it adds none.
type trace struct {
	action  access.Action
	by      string // the caller's column in the authorization table; "" for operator
	object  string // the target's name in that table; "" for the first target
	request func(h *harness, who caller) (path string, body any)
	actor   string // the actor's name, if it is not the account of the caller
	before  bool   // newHarness sent the request already
	// FILE:FUNCTION of another test that checks the entry, if one request is not enough
	test string
	none string // why there is no entry
}

func leaves(action access.Action) trace { return trace{action: action} }

func none(why string) trace { return trace{none: why} }

const (
	trailTests = "../access/accesstest/trail.go:"
	ownKeys    = "docktest/aws_test.go:TestAnAWSStageFromTheOperatorsPageToLive"
	asks       = "it asks and changes nothing"
	ofEvents   = "what happens on a stage is in the record of events"
)

// trail maps each route that changes something to the entry that it adds to the audit trail.
var trail = map[string]trace{
	"POST /api/setup":       {action: access.ActionSetUp, before: true},
	"POST /api/setup/check": none(asks),
	"POST /api/invite":      {action: access.ActionLogin, before: true},
	"POST /api/invite/name": none(asks),
	"POST /api/login":       {action: access.ActionLogin, actor: "olga"},
	"DELETE /api/login":     {action: access.ActionLoginEnded, actor: "olga"},
	"DELETE /api/logins":    leaves(access.ActionLoginEnded),
	"DELETE /api/logins/{id}": {
		action: access.ActionLoginEnded, by: "broadcaster",
	},
	"POST /api/password": {action: access.ActionPasswordChanged, by: "broadcaster"},

	"GET /api/oidc/callback": {test: "road_test.go:TestTheRoadOfANewOperator"},
	"GET /api/obs/script": {action: access.ActionEnrolment,
		request: at("/api/obs/script", nil)},
	"POST /api/enrolments":     {action: access.ActionEnrolment, by: "broadcaster"},
	"POST /api/device":         none("nobody is known yet; the approval has an entry"),
	"POST /api/device/lookup":  none(asks),
	"POST /api/device/token":   {test: trailTests + "TestEveryWayToSignInIsInTheTrail"},
	"POST /api/device/approve": leaves(access.ActionDeviceApproved),
	"POST /api/device/deny":    leaves(access.ActionDeviceDenied),
	"POST /api/enrol":          {test: trailTests + "TestEveryWayToSignInIsInTheTrail"},

	"POST /api/passkeys/options":      none(asks),
	"POST /api/passkeys":              {test: trailTests + "TestPasskeysAreInTheTrail"},
	"PATCH /api/passkeys/{id}":        {test: trailTests + "TestPasskeysAreInTheTrail"},
	"DELETE /api/passkeys/{id}":       {test: trailTests + "TestPasskeysAreInTheTrail"},
	"POST /api/login/passkey/options": none(asks),
	"POST /api/login/passkey":         {test: trailTests + "TestEveryWayToSignInIsInTheTrail"},

	"POST /api/rehearsals": {action: access.ActionRehearsed, by: "broadcaster"},
	"POST /api/rehearsals/{participant}/uplink": none(
		"the rehearsal has an entry; this measures the line"),

	"POST /api/keys":        leaves(access.ActionKeyCreated),
	"DELETE /api/keys/{id}": leaves(access.ActionKeyRevoked),
	"POST /api/views":       leaves(access.ActionKeyCreated),
	"DELETE /api/views/{id}": {
		action: access.ActionKeyRevoked, by: "broadcaster",
	},
	"POST /api/tokens":                 leaves(access.ActionTokenIssued),
	"POST /api/views/token":            {action: access.ActionTokenIssued, by: "viewkey"},
	"DELETE /api/tokens/{participant}": leaves(access.ActionTokenRevoked),

	"PUT /api/docks/{dock}":    none("a dock reports what its OBS says"),
	"DELETE /api/docks/{dock}": none("a dock reports that it is closed"),

	"POST /api/users":                     leaves(access.ActionUserCreated),
	"DELETE /api/users/{id}":              {action: access.ActionUserRemoved, object: "foreign"},
	"POST /api/users/{id}/invite":         {action: access.ActionUserInvited, object: "foreign"},
	"DELETE /api/users/{id}/logins":       {action: access.ActionLoginEnded, object: "foreign"},
	"PUT /api/users/{id}/grants/{arn}":    leaves(access.ActionAccessGiven),
	"DELETE /api/users/{id}/grants/{arn}": leaves(access.ActionAccessRemoved),

	"POST /api/stages":         leaves(access.ActionStageCreated),
	"PATCH /api/stages/{arn}":  leaves(access.ActionStageChanged),
	"DELETE /api/stages/{arn}": leaves(access.ActionStageRemoved),
	"DELETE /api/stages/{arn}/participants/{participant}": {
		action: access.ActionKicked, by: "moderator",
	},
	"PUT /api/stages/{arn}/participants/{participant}/role": {
		action: access.ActionDemoted, by: "moderator",
	},

	"POST /api/guest":              {action: access.ActionGuestAdmitted, by: "guestlink"},
	"POST /api/guest-links":        leaves(access.ActionGuestLinkMade),
	"DELETE /api/guest-links/{id}": leaves(access.ActionGuestLinkEnded),

	"POST /api/stages/{arn}/chat": none("what people write to each other is in the chat"),
	"DELETE /api/stages/{arn}/chat/{message}": {
		action: access.ActionMessageRemoved, by: "moderator", object: "another's",
	},
	"PUT /api/stages/{arn}/chat/muted/{user}":    {action: access.ActionMuted, by: "moderator"},
	"DELETE /api/stages/{arn}/chat/muted/{user}": {action: access.ActionUnmuted, by: "moderator"},

	"POST /api/aws/events": none(ofEvents),

	"POST /api/v1/users":              leaves(access.ActionUserCreated),
	"PATCH /api/v1/users/{id}":        {action: access.ActionUserChanged, object: "foreign"},
	"DELETE /api/v1/users/{id}":       {action: access.ActionUserRemoved, object: "foreign"},
	"POST /api/v1/users/{id}/invite":  {action: access.ActionUserInvited, object: "foreign"},
	"POST /api/v1/users/{id}/suspend": {action: access.ActionUserSuspended, object: "foreign"},
	"POST /api/v1/users/{id}/restore": {
		action: access.ActionUserRestored, request: func(h *harness, _ caller) (string, any) {
			user := "/api/v1/users/" + string(h.invite())
			h.olga.Must(http.StatusNoContent, "POST", user+"/suspend", nil, nil)
			return user + "/restore", nil
		},
	},
	"DELETE /api/v1/users/{id}/logins/{login}": leaves(access.ActionLoginEnded),
	"POST /api/v1/rules/effect":                none(asks),
	"DELETE /api/v1/users/{id}/logins": {action: access.ActionLoginEnded,
		object: "foreign"},
	"PUT /api/v1/users/{id}/grants/{arn}":    leaves(access.ActionAccessGiven),
	"DELETE /api/v1/users/{id}/grants/{arn}": leaves(access.ActionAccessRemoved),
	"DELETE /api/v1/users/{id}/grants/{arn}/bar": {
		action: access.ActionUnbarred, by: "moderator",
		request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/users/" + string(h.bea.id) + "/grants/" +
				url.PathEscape(string(h.main)) + "/bar", nil
		},
	},
	"POST /api/v1/stages":         leaves(access.ActionStageCreated),
	"PATCH /api/v1/stages/{arn}":  leaves(access.ActionStageChanged),
	"DELETE /api/v1/stages/{arn}": leaves(access.ActionStageRemoved),
	"DELETE /api/v1/stages/{arn}/participants/{participant}": {
		action: access.ActionBarred, request: func(h *harness, _ caller) (string, any) {
			arn := url.PathEscape(string(h.side))
			return "/api/v1/stages/" + arn + "/participants/" + tokenID(h, h.bea, arn),
				web.Removal{Bar: true}
		},
	},
	"PUT /api/v1/stages/{arn}/participants/{participant}/role": leaves(access.ActionDemoted),
	"DELETE /api/v1/tokens/{participant}":                      leaves(access.ActionTokenRevoked),
	"POST /api/v1/guest-links":                                 leaves(access.ActionGuestLinkMade),
	"DELETE /api/v1/guest-links/{id}":                          leaves(access.ActionGuestLinkEnded),

	"POST /api/v1/dock-links":   {action: access.ActionEnrolment, by: "apikey", actor: "table"},
	"POST /api/v1/rules":        leaves(access.ActionRuleCreated),
	"PUT /api/v1/rules/{id}":    leaves(access.ActionRuleChanged),
	"DELETE /api/v1/rules/{id}": leaves(access.ActionRuleRemoved),

	"POST /api/v1/api-keys":        leaves(access.ActionKeyCreated),
	"DELETE /api/v1/api-keys/{id}": leaves(access.ActionKeyRevoked),

	"POST /api/v1/webhooks":             leaves(access.ActionWebhookCreated),
	"DELETE /api/v1/webhooks/{id}":      leaves(access.ActionWebhookDeleted),
	"POST /api/v1/webhooks/{id}/test":   leaves(access.ActionWebhookTested),
	"POST /api/v1/webhooks/{id}/replay": leaves(access.ActionWebhookReplayed),

	"PUT /api/v1/branding":              leaves(access.ActionSettingChanged),
	"POST /api/v1/keys/{region}":        {test: ownKeys},
	"POST /api/v1/keys/{region}/rotate": {test: ownKeys},
	"DELETE /api/v1/keys/{region}":      {test: ownKeys},
}

// TestEveryChangeIsInTheTrail sends a request to every route that changes something, and looks for
// its entry. A route without a row in `trail` fails the test.
func TestEveryChangeIsInTheTrail(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.message = ""
	patterns, err := web.Patterns()
	if err != nil {
		t.Fatal(err)
	}
	for pattern := range trail {
		if !slices.Contains(patterns, pattern) {
			t.Errorf("there is no route %s, but it has a row", pattern)
		}
	}
	for _, pattern := range patterns {
		row, known := trail[pattern]
		switch {
		case strings.HasPrefix(pattern, "GET ") && !known:
		case !known:
			t.Errorf("%s has no row: say in trail which entry it leaves", pattern)
		case row.test != "":
			testExists(t, row.test)
		case row.none == "":
			h.traced(pattern, row)
		}
	}
}

// traced sends the request of a route and looks for its entry.
func (h *harness) traced(pattern string, row trace) {
	h.t.Helper()
	if row.before {
		if len(h.entries(row.action)) == 0 {
			h.t.Errorf("%s left no entry %s", pattern, row.action)
		}
		return
	}
	name := row.by
	if name == "" {
		name = "operator"
	}
	for _, c := range columns {
		if c.name != name {
			continue
		}
		asked := target{request: row.request}
		if row.request == nil {
			asked = targetOf(pattern, row.object)
		}
		who := h.caller(c)
		path, body := asked.request(h, who)
		before := h.entries(row.action)
		method, _, _ := strings.Cut(pattern, " ")
		if status, _, text := who.Do(method, path, body); status >= 300 {
			h.t.Errorf("%s by %s: got %d %s, want success", pattern, name, status, text)
		}
		if asked.ends {
			delete(h.callers, c.name)
		}
		h.wrote(pattern, row.actor, who, before, h.entries(row.action))
	}
}

// wrote checks that a request added an entry with the caller, or with the given name, as the actor.
func (h *harness) wrote(
	pattern, actor string, who caller, before, after []web.V1Entry,
) {
	h.t.Helper()
	if len(after) <= len(before) {
		h.t.Errorf("%s left no entry", pattern)
		return
	}
	e := after[0]
	if e.Address == "" || e.Actor.Name == "" || e.Time.IsZero() || e.Credential == "" {
		h.t.Errorf("%s does not say who acted from where by what: %+v", pattern, e)
	}
	got, want := e.Actor.Name, actor
	if actor == "" {
		got, want = string(e.Actor.ID), string(who.id)
	}
	if got != want {
		h.t.Errorf("%s: the entry names %+v as the actor, want %s", pattern, e.Actor, want)
	}
}

func targetOf(pattern, name string) target {
	for _, one := range objects[pattern] {
		if name == "" || one.name == name {
			return one
		}
	}
	method, path, _ := strings.Cut(pattern, " ")
	return target{request: at(path, nil), name: method}
}

// entries returns the entries for an action, newest first.
func (h *harness) entries(action access.Action) []web.V1Entry {
	h.t.Helper()
	var page web.V1Audit
	h.olga.Must(http.StatusOK, "GET", "/api/v1/audit?limit=500&action="+string(action), nil, &page)
	return page.Entries
}

// testExists checks that a name of the form FILE:FUNCTION is that of a test.
func testExists(t *testing.T, name string) {
	t.Helper()
	file, function, _ := strings.Cut(name, ":")
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Error(err)
		return
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == function {
			return
		}
	}
	t.Errorf("there is no test %s", name)
}

// TestThePageOfRecordsOffersEveryAction compares the filter of the page with the actions in package
// access.
func TestThePageOfRecordsOffersEveryAction(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../static/operator/records.js")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), "../access/audit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Action") {
			return true
		}
		found++
		action := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
		if !strings.Contains(string(page), fmt.Sprintf("'%s'", action)) {
			t.Errorf("the page of records does not offer %s", action)
		}
		return true
	})
	if found < 40 {
		t.Errorf("%d actions were found: they are not read as they should be", found)
	}
}
