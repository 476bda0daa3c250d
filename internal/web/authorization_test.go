package web_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

//go:generate go test -run TestAuthorization -update .

// TestAuthorization sends requests to every route with every kind of credential, for the caller's
// own and for other users' objects. It compares the statuses with the table in
// testdata/authorization.txt. A route without requests in `objects` fails the test.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	rows := authorizationRows(t)
	statuses := make([][]int, len(columns)) // by column, then by row
	t.Run("columns", func(t *testing.T) {
		for i, column := range columns {
			// Each column has its own server, so that columns run in parallel, and so that a change
			// of a rule has few accounts to change.
			t.Run(column.name, func(t *testing.T) {
				t.Parallel()
				h := newHarness(t)
				for _, row := range rows {
					statuses[i] = append(statuses[i], h.try(column, row.method, row.target))
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	var table strings.Builder
	lines := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprint(lines, "route\tobject")
	for _, column := range columns {
		fmt.Fprint(lines, "\t", column.name)
	}
	fmt.Fprintln(lines)
	for r, row := range rows {
		fmt.Fprintf(lines, "%s\t%s", row.pattern, row.target.name)
		for i := range columns {
			fmt.Fprintf(lines, "\t%d", statuses[i][r])
		}
		fmt.Fprintln(lines)
	}
	lines.Flush()
	compare(t, "testdata/authorization.txt", header+byPath(table.String()))
}

// A row of the table is a route with one of its objects.
type row struct {
	pattern, method string
	target          target
}

func authorizationRows(t *testing.T) (rows []row) {
	t.Helper()
	patterns, err := web.Patterns()
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range append(patterns, mediaPatterns()...) {
		method, path, _ := strings.Cut(pattern, " ")
		targets, known := objects[pattern]
		if !known && !strings.Contains(strings.TrimSuffix(path, "{$}"), "{") &&
			method == http.MethodGet {
			// the route is a page, or a list without an object
			targets, known = []target{{request: at(path, nil)}}, true
		}
		if !known {
			t.Errorf("%s has no row: say in objects what it is about", pattern)
		}
		for _, target := range targets {
			rows = append(rows, row{pattern, method, target})
		}
	}
	return rows
}

// byPath sorts the rows of a table by path, except the header, so that the order in which routes
// are mounted does not matter. The rows of one route keep their order.
func byPath(table string) string {
	rows := strings.SplitAfter(strings.TrimSuffix(table, "\n"), "\n")
	rows[len(rows)-1] += "\n"
	slices.SortStableFunc(rows[1:], func(a, b string) int {
		fieldsA, fieldsB := strings.Fields(a), strings.Fields(b) // method, path, statuses
		return cmp.Or(
			strings.Compare(fieldsA[1], fieldsB[1]), strings.Compare(fieldsA[0], fieldsB[0]))
	})
	return strings.Join(rows, "")
}

const header = `# The status of every route with every kind of credential, for own and for foreign objects.
# Written by TestAuthorization; after a change that is meant: go generate ./internal/web
#
# none: no credential. operator, moderator, broadcaster: a login of that role, the broadcaster with publish and
# subscribe on the stage main; viewer: a login with subscribe there; stranger: a login without access to any stage.
# key, opkey: the access key of a broadcaster, of an operator. apikey: an API key with all scopes. viewkey: a viewing
# key. token: a participant token for main; viewtoken: one for watching; keytoken: one that a viewing key requested.
# expired, revoked: a participant token that expired, that was revoked. guestlink: the secret of a guest link for main.
#
# own: the caller's object, on the stage main. another's: that of another broadcaster there. foreign: that of another
# broadcaster, on a stage to which the caller has no access. guessed: one that does not exist. rehearsal: what another
# broadcaster rehearses at the moment.
#
# The URL of a session is a secret: with it, but without a credential, one can change layers and playback, and trickle.
# /stage-events refuses over its socket: its statuses are 101 and the ones that correspond to the refusals. The IDs of
# docks are per user: a request with the ID of another user's dock succeeds, and the test checks that this dock stays.
`

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(text), "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(want) || line != want[i] {
			t.Errorf("line %d of %s:\ngot  %s\nwant %s", i+1, file, line,
				append(want, make([]string, i+1)...)[i])
		}
	}
	if lines := strings.Count(got, "\n") + 1; lines < len(want) {
		t.Errorf("%s has %d lines more than there are", file, len(want)-lines)
	}
}

// TestEveryKindOfCredentialHasAColumn reads the kinds from the source of package access.
func TestEveryKindOfCredentialHasAColumn(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../access/principal.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Kind") {
			return true
		}
		found++
		kind := access.Kind(strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
		tested := slices.ContainsFunc(columns, func(c column) bool { return c.kind == kind })
		if !tested && kind != access.KindCommandLine {
			t.Errorf("no column of the authorization table has a credential of the kind %q", kind)
		}
		return true
	})
	if found < 5 {
		t.Errorf("%d kinds were found: they are not read as they should be", found)
	}
}

// A column is a kind of credential, and how the test gets one.
type column struct {
	name  string
	kind  access.Kind // "" for no credential
	role  access.Role
	can   []string // capabilities on the stage `main`
	ended bool     // the credential is not valid any more
	give  func(h *harness, owner *apptest.Client) (bearer string)
}

var columns = []column{
	{name: "none"},
	{name: "operator", kind: access.KindLogin, role: access.Operator},
	{name: "moderator", kind: access.KindLogin, role: access.Moderator, can: both},
	{name: "broadcaster", kind: access.KindLogin, can: both},
	{name: "viewer", kind: access.KindLogin, can: both[1:]},
	{name: "stranger", kind: access.KindLogin},
	{name: "key", kind: access.KindAccessKey, can: both, give: accessKey},
	{name: "opkey", kind: access.KindAccessKey, role: access.Operator, give: accessKey},
	{name: "apikey", kind: access.KindAPIKey, role: access.Operator, give: apiKey},
	{name: "viewkey", kind: access.KindViewKey, can: both, give: viewKey},
	{name: "token", kind: access.KindToken, can: both,
		give: func(h *harness, o *apptest.Client) string { return o.Token("").Token }},
	{name: "viewtoken", kind: access.KindToken, can: both,
		give: func(h *harness, o *apptest.Client) string { return o.Token("view").Token }},
	{name: "keytoken", kind: access.KindToken, can: both,
		give: func(h *harness, o *apptest.Client) string {
			source := h.Browser()
			source.Key = viewKey(h, o)
			var made web.ViewToken
			source.Must(http.StatusCreated, "POST", "/api/views/token", nil, &made)
			return made.Token.Token
		}},
	{name: "expired", kind: access.KindToken, can: both, ended: true, give: expiredToken},
	{name: "revoked", kind: access.KindToken, can: both, ended: true, give: revokedToken},
	{name: "guestlink", kind: access.KindGuestLink, can: both, give: guestLink},
}

func guestLink(h *harness, owner *apptest.Client) string {
	var made web.CreatedGuestLink
	owner.Must(http.StatusCreated, "POST", "/api/guest-links",
		web.NewGuestLink{Stage: h.main, Role: access.GuestPublishes, Uses: 1000}, &made)
	address, err := url.Parse(made.URL)
	if err != nil {
		h.t.Fatal(err)
	}
	return address.Fragment
}

var both = []string{"publish", "subscribe"}

func accessKey(h *harness, owner *apptest.Client) string {
	var made web.NewAccessKey
	owner.Must(http.StatusCreated, "POST", "/api/keys", web.NewKey{Name: "table"}, &made)
	return made.Key
}

func viewKey(h *harness, owner *apptest.Client) string {
	var made web.CreatedView
	owner.Must(http.StatusCreated, "POST", "/api/views", web.NewView{Stage: h.main, View: "grid"},
		&made)
	address, err := url.Parse(made.URL)
	if err != nil {
		h.t.Fatal(err)
	}
	return address.Fragment
}

func apiKey(h *harness, _ *apptest.Client) string {
	var made struct {
		Key string `json:"key"`
	}
	h.olga.Must(http.StatusCreated, "POST", "/api/v1/api-keys", map[string]string{"name": "table"},
		&made)
	return made.Key
}

// A caller is a client with the credential of a column. Its owner is a client with a login of the
// same user. The field `token` has the credential if it is a valid participant token.
type caller struct {
	*apptest.Client
	owner *apptest.Client
	id    access.UserID
	token string
}

// A harness is a server with two stages, an operator, and a broadcaster bea, who owns the objects
// that do not belong to the callers.
type harness struct {
	*apptest.App
	t          *testing.T
	olga       *apptest.Client
	bea        caller
	main, side stage.ARN // callers have access only to `main`
	callers    map[string]caller
	message    string            // ID of a message of another user in the chat of `main`
	tokens     map[string]string // participant tokens, by user and stage
	users      int
}

func newHarness(t *testing.T) *harness {
	app := apptest.Start(t, "--token-limit", "-1", "--trusted-proxies", "127.0.0.1")
	h := &harness{App: app, t: t, olga: app.Operator(), callers: map[string]caller{},
		tokens: map[string]string{}}
	h.main = stage.ARN(h.olga.MainStage())
	var side web.Stage
	h.olga.Must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Name: "side"}, &side)
	h.side = side.ARN
	h.bea = h.newUser("bea", "", both)
	h.grant(h.bea.id, h.side, both)
	return h
}

// Browser returns a client each of whose requests has another address, because the server limits
// wrong credentials by address, and then answers 429.
func (h *harness) Browser() *apptest.Client {
	client := h.App.Browser()
	client.HTTP.Transport = &traveller{}
	return client
}

type traveller struct{ requests atomic.Int32 }

// RoundTrip implements http.RoundTripper.
func (v *traveller) RoundTrip(r *http.Request) (*http.Response, error) {
	n := v.requests.Add(1)
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.1", n/256, n%256))
	return http.DefaultTransport.RoundTrip(r)
}

func (h *harness) grant(id access.UserID, arn stage.ARN, can []string) {
	h.olga.Must(http.StatusNoContent, "PUT",
		"/api/users/"+string(id)+"/grants/"+url.PathEscape(string(arn)),
		web.GrantRequest{Capabilities: can}, nil)
}

func (h *harness) newUser(name string, role access.Role, can []string) caller {
	h.users++
	var invited web.Invited
	h.olga.Must(http.StatusCreated, "POST", "/api/users",
		web.NewUser{Name: fmt.Sprint(name, " ", h.users), Role: role}, &invited)
	if len(can) > 0 {
		h.grant(invited.ID, h.main, can)
	}
	login := h.Browser()
	login.Must(http.StatusCreated, "POST", "/api/invite",
		web.AcceptInvite{Code: apptest.Code(invited.Invite), Password: apptest.Password}, nil)
	return caller{Client: login, owner: login, id: invited.ID}
}

func (h *harness) caller(c column) caller {
	if known, ok := h.callers[c.name]; ok {
		return known
	}
	made := h.newUser(c.name, c.role, c.can)
	switch {
	case c.kind == "":
		made.Client = h.Browser()
	case c.give != nil:
		made.Client = h.Browser()
		made.Client.Key = c.give(h, made.owner)
	}
	if c.kind == access.KindToken && !c.ended {
		made.token = made.Key
	}
	h.callers[c.name] = made
	return made
}

// try sends one request. If the request may have ended the caller's credential, the next request
// gets a new caller.
func (h *harness) try(c column, method string, target target) int {
	who := h.caller(c)
	path, body := target.request(h, who)
	status := h.status(who, method, path, body)
	if target.then != nil {
		target.then(h)
	}
	if status < 300 && target.ends {
		delete(h.callers, c.name)
	}
	if status < 300 && target.name == "another's" {
		h.message = ""
	}
	return status
}

// status sends a request and closes the body without reading it, because an event stream does not
// end.
func (h *harness) status(who caller, method, path string, body any) int {
	h.t.Helper()
	if strings.HasPrefix(path, "/"+signal.Path) {
		return h.join(who, path)
	}
	text, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	payload := raw{"application/json", string(text)}
	if other, ok := body.(raw); ok {
		payload = other
	}
	status, err := who.Status(method, path, payload.kind, payload.text)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status
}

// A target is an object for which a route can be called, with the request.
type target struct {
	name    string
	request func(h *harness, who caller) (path string, body any)
	ends    bool             // if the request succeeds, the caller's credential ends
	then    func(h *harness) // checks afterwards; may be nil
}

// at returns a request that is the same for all callers.
func at(path string, body any) func(*harness, caller) (string, any) {
	return func(*harness, caller) (string, any) { return strings.ReplaceAll(path, "{$}", ""), body }
}

// ownAndForeign returns two targets for one request: the caller's object on the stage `main`, and
// bea's object on the stage `side`.
func ownAndForeign(request func(h *harness, of caller, arn string) (string, any)) []target {
	return []target{
		{name: "own", request: func(h *harness, who caller) (string, any) {
			return request(h, who, url.PathEscape(string(h.main)))
		}},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			return request(h, h.bea, url.PathEscape(string(h.side)))
		}},
	}
}

func one(path string, body any) []target { return []target{{request: at(path, body)}} }

func ending(path string,
	body any) []target {
	return []target{{request: at(path, body), ends: true}}
}

// made creates an object as the owner and returns a member of it, such as its ID. If the owner may
// not create it, made returns an ID that does not exist.
func made(of caller, member, path string, body any) string {
	_, _, text := of.owner.Do("POST", path, body)
	var out map[string]any
	if json.Unmarshal(text, &out) == nil {
		if id, ok := out[member].(string); ok {
			return id
		}
	}
	return "nothing"
}

func arnOf(escaped string) string {
	arn, _ := url.PathUnescape(escaped)
	return arn
}

func tokenID(h *harness, of caller, arn string) string {
	return made(of, "participantId", "/api/tokens", map[string]any{"stage": arnOf(arn)})
}

// anotherLogin returns the ID of a login of the owner other than the login of the test.
func anotherLogin(h *harness, of caller) string {
	h.Browser().Must(http.StatusOK, "POST", "/api/login",
		web.Credentials{Name: of.owner.Me().Name, Password: apptest.Password}, nil)
	var all web.Logins
	of.owner.Must(http.StatusOK, "GET", "/api/logins", nil, &all)
	for _, login := range all.Logins {
		if !login.Current {
			return login.ID
		}
	}
	return "nothing"
}

// objects lists the objects of each route that has a body or a parameter.
var objects = func() map[string][]target {
	all := maps.Clone(pageObjects)
	maps.Copy(all, programObjects)
	maps.Copy(all, mediaObjects)
	return all
}()

// pageObjects lists the objects of the routes that pages use.
var pageObjects = map[string][]target{
	"POST /api/setup/check": one("/api/setup/check", web.InviteCode{Code: "used up"}),
	"POST /api/setup": one("/api/setup",
		web.SetUp{Code: "used up", Name: "eve", Password: apptest.Password}),
	"POST /api/login": one("/api/login",
		web.Credentials{Name: "olga", Password: apptest.Password}),
	"DELETE /api/login":  ending("/api/login", nil),
	"DELETE /api/logins": ending("/api/logins", nil),
	"DELETE /api/logins/{id}": ownAndForeign(func(h *harness, of caller, _ string) (string, any) {
		return "/api/logins/" + anotherLogin(h, of), nil
	}),
	"POST /api/password": ending("/api/password",
		web.PasswordChange{Current: apptest.Password, New: "another good one"}),
	"POST /api/invite/name": one("/api/invite/name", web.InviteCode{Code: "used up"}),
	"POST /api/invite": one("/api/invite",
		web.AcceptInvite{Code: "used up", Password: apptest.Password}),

	"POST /api/keys": one("/api/keys", web.NewKey{Name: "kiosk"}),
	"DELETE /api/keys/{id}": ownAndForeign(func(h *harness, of caller, _ string) (string, any) {
		return "/api/keys/" + made(of, "id", "/api/keys", web.NewKey{Name: "kiosk"}), nil
	}),

	"POST /api/tokens": append(ownAndForeign(func(h *harness, of caller, arn string) (string, any) {
		return "/api/tokens", map[string]any{"stage": arnOf(arn)}
	}), rehearsal(func(_ *harness, arn stage.ARN, _ string) (string, any) {
		return "/api/tokens", map[string]any{"stage": arn, "for": "view"}
	})),
	"GET /api/tokens/{participant}": append(ownAndForeign(
		func(h *harness, of caller, arn string) (string, any) {
			return "/api/tokens/" + tokenID(h, of, arn), nil
		}), rehearsal(func(_ *harness, _ stage.ARN, id string) (string, any) {
		return "/api/tokens/" + id, nil
	})),
	"DELETE /api/tokens/{participant}": ownAndForeign(
		func(h *harness, of caller, arn string) (string, any) {
			return "/api/tokens/" + tokenID(h, of, arn), nil
		}),

	"POST /api/rehearsals": one("/api/rehearsals", nil),
	"POST /api/rehearsals/{participant}/uplink": {
		{name: "own", request: func(h *harness, who caller) (string, any) {
			return "/api/rehearsals/" + rehearsedBy(who) + "/uplink", nil
		}},
		rehearsal(func(_ *harness, _ stage.ARN, id string) (string, any) {
			return "/api/rehearsals/" + id + "/uplink", nil
		}),
	},

	"PUT /api/docks/{dock}":    ofDock(web.DockState{}),
	"DELETE /api/docks/{dock}": ofDock(nil),

	"POST /api/users": {{request: func(h *harness, _ caller) (string, any) {
		h.users++
		return "/api/users", web.NewUser{Name: fmt.Sprint("invited ", h.users)}
	}}},
	"DELETE /api/users/{id}":        ofUser("", nil),
	"POST /api/users/{id}/invite":   ofUser("/invite", nil),
	"DELETE /api/users/{id}/logins": ofUser("/logins", nil),
	"PUT /api/users/{id}/grants/{arn}": ownAndForeign(
		func(h *harness, of caller, arn string) (string, any) {
			return "/api/users/" + string(of.id) + "/grants/" + arn,
				web.GrantRequest{Capabilities: both}
		}),
	"DELETE /api/users/{id}/grants/{arn}": ownAndForeign(
		func(h *harness, of caller, arn string) (string, any) {
			guest := h.invite()
			h.grant(guest, stage.ARN(arnOf(arn)), both)
			return "/api/users/" + string(guest) + "/grants/" + arn, nil
		}),

	"POST /api/stages": {{request: func(h *harness, _ caller) (string, any) {
		h.users++
		return "/api/stages", web.NewStage{Name: fmt.Sprint("stage ", h.users)}
	}}},
	"PATCH /api/stages/{arn}": ownAndForeign(func(h *harness, _ caller, arn string) (string, any) {
		return "/api/stages/" + arn, web.StageChange{}
	}),
	"DELETE /api/stages/{arn}": {{name: "foreign", request: func(
		h *harness, _ caller,
	) (string, any) {
		h.users++
		var made web.Stage
		h.olga.Must(http.StatusCreated, "POST", "/api/stages",
			web.NewStage{Name: fmt.Sprint("stage ", h.users)}, &made)
		return "/api/stages/" + url.PathEscape(string(made.ARN)), nil
	}}},
	"GET /api/stages/{arn}/sessions": onStage("/sessions", nil),
	"DELETE /api/stages/{arn}/participants/{participant}": ownAndForeign(
		func(h *harness, of caller, arn string) (string, any) {
			return "/api/stages/" + arn + "/participants/" + tokenID(h, h.bea, arn), web.Removal{}
		}),

	"PUT /api/stages/{arn}/participants/{participant}/role": ownAndForeign(
		func(h *harness, _ caller, arn string) (string, any) {
			return "/api/stages/" + arn + "/participants/" + h.guest(arn) + "/role",
				web.GuestRole{Role: access.GuestViews}
		}),

	"POST /api/views": ownAndForeign(func(h *harness, of caller, arn string) (string, any) {
		return "/api/views", web.NewView{Stage: stage.ARN(arnOf(arn)), View: "grid"}
	}),
	"DELETE /api/views/{id}": ownAndForeign(func(h *harness, of caller, arn string) (string, any) {
		return "/api/views/" + made(of, "id", "/api/views",
			web.NewView{Stage: stage.ARN(arnOf(arn)), View: "grid"}), nil
	}),
	"POST /api/views/token": one("/api/views/token", nil),

	"POST /api/guest": one("/api/guest", web.GuestName{Name: "gil"}),
	"POST /api/guest-links": ownAndForeign(func(h *harness, of caller, arn string) (string, any) {
		return "/api/guest-links",
			web.NewGuestLink{Stage: stage.ARN(arnOf(arn)), Role: access.GuestPublishes}
	}),
	"DELETE /api/guest-links/{id}": ownAndForeign(
		func(h *harness, of caller, arn string) (string, any) {
			return "/api/guest-links/" + made(of, "id", "/api/guest-links",
				web.NewGuestLink{Stage: stage.ARN(arnOf(arn)), Role: access.GuestPublishes}), nil
		}),

	"GET /api/stages/{arn}/events": append(onStage("/events", nil),
		rehearsal(func(_ *harness, arn stage.ARN, _ string) (string, any) {
			return "/api/stages/" + url.PathEscape(string(arn)) + "/events", nil
		})),
	"POST /api/stages/{arn}/chat": onStage("/chat", web.NewMessage{Text: "hello"}),
	"DELETE /api/stages/{arn}/chat/{message}": {
		{name: "own", request: func(h *harness, who caller) (string, any) {
			chat := "/api/stages/" + url.PathEscape(string(h.main)) + "/chat"
			return chat + "/" + made(who, "id", chat, web.NewMessage{Text: "mine"}), nil
		}},
		{name: "another's", request: func(h *harness, _ caller) (string, any) {
			chat := "/api/stages/" + url.PathEscape(string(h.main)) + "/chat"
			return chat + "/" + h.anothers(chat), nil
		}},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			return "/api/stages/" + url.PathEscape(string(h.side)) + "/chat/nothing", nil
		}},
	},
	"PUT /api/stages/{arn}/chat/muted/{user}": ownAndForeign(
		func(h *harness, of caller, arn string) (string, any) {
			return "/api/stages/" + arn + "/chat/muted/" + string(h.invite()), nil
		}),
	"DELETE /api/stages/{arn}/chat/muted/{user}": ownAndForeign(
		func(h *harness, of caller, arn string) (string, any) {
			return "/api/stages/" + arn + "/chat/muted/" + string(h.bea.id), nil
		}),

	"GET /operator/{page}": one("/operator/live", nil),

	"POST /api/aws/events":  one("/api/aws/events", map[string]string{}),
	"GET /static/{path...}": one("/static/style.css", nil),
}

func ofUser(rest string, body any) []target {
	return []target{
		{name: "own", ends: true, request: func(_ *harness, who caller) (string, any) {
			return "/api/users/" + string(who.id) + rest, body
		}},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			return "/api/users/" + string(h.invite()) + rest, body
		}},
	}
}

func onStage(rest string, body any) []target {
	return ownAndForeign(func(_ *harness, _ caller, arn string) (string, any) {
		return "/api/stages/" + arn + rest, body
	})
}

// rehearsal returns a request for a current rehearsal of bea: for her private stage and her
// participant on it.
func rehearsal(request func(h *harness, arn stage.ARN, participant string) (string, any)) target {
	return target{name: "rehearsal", request: func(h *harness, _ caller) (string, any) {
		var made web.Rehearsal
		h.bea.Must(http.StatusCreated, "POST", "/api/rehearsals", nil, &made)
		return request(h, made.Publish.Stage, string(made.Publish.ParticipantID))
	}}
}

// rehearsedBy starts a rehearsal and returns the caller's participant ID. If the caller may not
// rehearse, it returns an ID that does not exist.
func rehearsedBy(who caller) string {
	var out web.Rehearsal
	_, _, text := who.owner.Do("POST", "/api/rehearsals", nil)
	if json.Unmarshal(text, &out) != nil || out.Publish.ParticipantID == "" {
		return "nothing"
	}
	return string(out.Publish.ParticipantID)
}

// guest returns the participant ID of a guest who joined a stage by a link of bea's.
func (h *harness) guest(arn string) string {
	var link web.CreatedGuestLink
	h.bea.Must(http.StatusCreated, "POST", "/api/guest-links",
		web.NewGuestLink{Stage: stage.ARN(arnOf(arn)), Role: access.GuestPublishes}, &link)
	address, err := url.Parse(link.URL)
	if err != nil {
		h.t.Fatal(err)
	}
	var token web.Token
	guest := h.Browser()
	guest.Key = address.Fragment
	guest.Must(http.StatusCreated, "POST", "/api/guest", web.GuestName{Name: "gil"}, &token)
	return string(token.ParticipantID)
}

// invite returns the ID of a new user who has not used the invite yet.
func (h *harness) invite() access.UserID {
	h.users++
	var invited web.Invited
	h.olga.Must(http.StatusCreated, "POST", "/api/users",
		web.NewUser{Name: fmt.Sprint("guest ", h.users)}, &invited)
	return invited.ID
}

// anothers returns the ID of a message of another user in the chat of `main`.
func (h *harness) anothers(chat string) string {
	if h.message == "" {
		h.message = made(h.newUser("writer", "", both), "id", chat,
			web.NewMessage{Text: "another's"})
	}
	return h.message
}
