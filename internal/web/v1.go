package web

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// v1 is the API for programs. The table below is all that describes it: the routes, the OpenAPI
// document and the check of both come from it.
type v1 struct{ *Server }

// An operation is one row of the API: a route and what a program has to know about it.
type operation struct {
	method  string
	path    string
	scope   access.Scope
	summary string
	query   []parameter
	in      any // the zero value of the request's body; nil: there is none
	out     any // the zero value of the answer's body; nil: 204
	status  int // 0: 200, or 204 without a body
	serve   endpoint
}

// A parameter is one of the query.
type parameter struct{ name, about string }

var (
	pageQuery = []parameter{
		{"limit", "Items on a page, 1 to 500; 50 by default."},
		{"after", "The member \"next\" of the page before."},
	}
	searchQuery = append([]parameter{{"q", "A part of the name."}}, pageQuery...)
)

func with(more []parameter, own ...parameter) []parameter { return append(own, more...) }

func (v v1) operations() []operation {
	return slices.Concat(v.lists(), v.console())
}

// console are the operations behind the pages of the console, beside the lists.
func (v v1) console() []operation {
	brand, watch := branding{v.Control}, moderation{v.Control}
	sys := system{
		control: v.Control, about: v.About, public: v.PublicURL.String(), version: v.Version, ready: v.checkAll,
	}
	created := http.StatusCreated
	return []operation{
		{"GET", "/refusals", access.ScopeModerate, "List what the stages refused within the last hour, newest first.", with(pageQuery,
			parameter{"stage", "The ARN of a stage."}), nil, V1Refusals{}, 0, watch.refusals},
		{"DELETE", "/stages/{arn}/participants/{participant}", access.ScopeModerate, "Kick a participant and revoke the token; with bar, keep the user out.", nil, Removal{}, nil, 0, watch.kick},
		{"DELETE", "/users/{id}/grants/{arn}/bar", access.ScopeModerate, "Let a user who was barred enter the stage again.", nil, nil, nil, 0, watch.unbar},

		{"GET", "/system", access.ScopeSystem, "Read the version, the checks of readiness, and the settings with secrets masked.", nil, nil, V1System{}, 0, sys.get},
		{"GET", "/branding", access.ScopeSystem, "Read the branding that is set on the console.", nil, nil, V1Branding{}, 0, brand.own},
		{"PUT", "/branding", access.ScopeSystem, "Change the branding of the pages.", nil, V1Branding{}, V1Branding{}, 0, brand.put},
		{"GET", "/keys", access.ScopeSystem, "List the keys that sign tokens.", nil, nil, V1Keys{}, 0, sys.keys},
		{"POST", "/keys/{region}", access.ScopeSystem, "Create an own key, or take one of AWS KMS.", nil, V1KeyChange{}, V1Keys{}, created, sys.createKey},
		{"POST", "/keys/{region}/rotate", access.ScopeSystem, "Replace the own key of a region without breaking a token.", nil, V1KeyChange{}, V1Keys{}, 0, sys.rotateKey},
		{"DELETE", "/keys/{region}", access.ScopeSystem, "Stop signing with the own key of a region; the AWS API issues again.", nil, nil, V1Keys{}, 0, sys.retireKey},
	}
}

func (v v1) lists() []operation {
	created := http.StatusCreated
	return []operation{
		{"GET", "/users", access.ScopeUsers, "List users by name.", with(searchQuery,
			parameter{"role", "operator, moderator or broadcaster."}, parameter{"stage", "The ARN of a stage that they have access to."}),
			nil, V1Users{}, 0, v.listUsers},
		{"POST", "/users", access.ScopeUsers, "Create a user; the answer holds the link for the invitation.", nil, NewUser{}, Invited{}, created, v.addUser},
		{"GET", "/users/{id}", access.ScopeUsers, "Read a user and all access of theirs.", nil, nil, V1UserDetail{}, 0, v.user},
		{"PATCH", "/users/{id}", access.ScopeUsers, "Change the name or the role of a user.", nil, V1UserChange{}, V1UserDetail{}, 0, v.changeUser},
		{"DELETE", "/users/{id}", access.ScopeUsers, "Remove a user.", nil, nil, nil, 0, v.removeUser},
		{"POST", "/users/{id}/invite", access.ScopeUsers, "Create a new link for the invitation.", nil, nil, Invited{}, created, v.reinvite},
		{"POST", "/users/{id}/suspend", access.ScopeUsers, "Suspend a user: logins, tokens and sessions end.", nil, V1Reason{}, nil, 0, v.suspend},
		{"POST", "/users/{id}/restore", access.ScopeUsers, "Let a suspended user in again.", nil, nil, nil, 0, v.restore},
		{"DELETE", "/users/{id}/logins", access.ScopeUsers, "Sign a user out everywhere.", nil, nil, nil, 0, v.endLogins},
		{"PUT", "/users/{id}/grants/{arn}", access.ScopeUsers, "Give a user access to a stage.", nil, GrantRequest{}, nil, 0, v.setGrant},
		{"DELETE", "/users/{id}/grants/{arn}", access.ScopeUsers, "Remove the access of a user to a stage.", nil, nil, nil, 0, v.removeGrant},

		{"GET", "/stages", access.ScopeStages, "List stages by name.", with(searchQuery, parameter{"user", "The ID of a user with access."}), nil, V1Stages{}, 0, v.listStages},
		{"POST", "/stages", access.ScopeStages, "Create a stage, or add one of Amazon IVS.", nil, NewStage{}, Stage{}, created, v.addStage},
		{"PATCH", "/stages/{arn}", access.ScopeStages, "Change the name or the limits of a stage.", nil, StageChange{}, nil, 0, v.changeStage},
		{"DELETE", "/stages/{arn}", access.ScopeStages, "Remove a stage.", nil, nil, nil, 0, v.removeStage},

		{"GET", "/tokens", access.ScopeAudit, "List the records of tokens, newest first.", with(pageQuery,
			parameter{"q", "A participant ID, or a part of the user's name."}, parameter{"user", "The ID of a user."},
			parameter{"stage", "The ARN of a stage."}, parameter{"state", "active, expired or revoked."}), nil, V1Tokens{}, 0, v.listTokens},
		{"DELETE", "/tokens/{participant}", access.ScopeModerate, "Revoke a token and end its session.", nil, nil, nil, 0, v.revokeToken},
		{"GET", "/events", access.ScopeAudit, "List what happened to participants, newest first.", with(pageQuery,
			parameter{"q", "The code, or a part of the detail."}, parameter{"user", "The ID of a user."}, parameter{"stage", "The ARN of a stage."},
			parameter{"participant", "A participant ID."}, parameter{"kind", "connected, publishing, warning, refused or ended."}), nil, V1Events{}, 0, v.listEvents},
		{"GET", "/audit", access.ScopeSelf, // Control decides: moderators read that of their stages
			"List the audit trail, newest first. With Accept: text/csv or application/x-ndjson a page in that form.", with(pageQuery,
				parameter{"action", "An action, such as user.created."}, parameter{"actor", "The ID of the user who acted."},
				parameter{"target", "The ID of what was changed."}, parameter{"stage", "The ARN of a stage."},
				parameter{"since", "Not before this time (RFC 3339)."}, parameter{"until", "Before this time (RFC 3339)."}), nil, V1Audit{}, 0, v.audit},

		{"POST", "/dock-links", access.ScopeUsers, "Register a person of one's own application, and get a link that signs in their dock.", nil, V1DockLinkRequest{}, V1DockLink{}, created, v.dockLink},
		{"GET", "/rules", access.ScopeUsers, "List the rules that give access.", nil, nil, V1Rules{}, 0, v.listRules},
		{"POST", "/rules", access.ScopeUsers, "Add a rule, and apply it to everybody.", nil, V1Rule{}, V1Rule{}, created, v.addRule},
		{"PUT", "/rules/{id}", access.ScopeUsers, "Change a rule, and apply it to everybody.", nil, V1Rule{}, V1Rule{}, 0, v.putRule},
		{"DELETE", "/rules/{id}", access.ScopeUsers, "Remove a rule and the access that it alone gave.", nil, nil, nil, 0, v.removeRule},

		{"GET", "/api-keys", access.ScopeAPIKeys, "List API keys. No API key may.", nil, nil, V1APIKeys{}, 0, v.listAPIKeys},
		{"POST", "/api-keys", access.ScopeAPIKeys, "Create an API key. No API key may.", nil, V1NewAPIKey{}, V1CreatedAPIKey{}, created, v.createAPIKey},
		{"DELETE", "/api-keys/{id}", access.ScopeAPIKeys, "Revoke an API key. No API key may.", nil, nil, nil, 0, v.revokeAPIKey},

		{"GET", "/webhooks", access.ScopeWebhooks, "List webhooks and the message types there are.", nil, nil, V1Webhooks{}, 0, v.listWebhooks},
		{"POST", "/webhooks", access.ScopeWebhooks, "Register a webhook.", nil, V1NewWebhook{}, V1CreatedWebhook{}, created, v.createWebhook},
		{"DELETE", "/webhooks/{id}", access.ScopeWebhooks, "Delete a webhook and what is queued for it.", nil, nil, nil, 0, v.deleteWebhook},
		{"POST", "/webhooks/{id}/test", access.ScopeWebhooks, "Send a message of the type webhook.test.", nil, nil, V1Queued{}, http.StatusAccepted, v.testWebhook},
		{"GET", "/webhooks/{id}/dead", access.ScopeWebhooks, "List the deliveries that are not tried again.", nil, nil, V1Deliveries{}, 0, v.deadDeliveries},
		{"POST", "/webhooks/{id}/replay", access.ScopeWebhooks, "Send dead deliveries again.", []parameter{{"delivery", "One of them; all by default."}}, nil, V1Replayed{}, 0, v.replay},
	}
}

// routes mounts the API.
func (v v1) routes() []route {
	var list []route
	for _, o := range v.operations() {
		list = append(list, route{o.method + " /api/v1" + o.path, v.api(o.scope, o.serve)})
	}
	return list
}

func pageOf(r *http.Request) (access.Page, error) {
	q := r.URL.Query()
	p := access.Page{After: q.Get("after")}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return p, stage.Errorf(stage.ErrInvalid, "limit is a whole number, 1 or more.")
		}
		p.Limit = n
	}
	return p, nil
}

// mapped converts the items of a page.
func mapped[A, B any](items []A, one func(A) B) []B {
	out := make([]B, 0, len(items))
	for _, item := range items {
		out = append(out, one(item))
	}
	return out
}

func (v v1) listUsers(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	f := access.UserFilter{Query: q.Get("q"), Role: access.Role(q.Get("role")), Stage: stage.ARN(q.Get("stage"))}
	page, err := v.Control.ListUsers(r.Context(), who, f, p)
	return V1Users{mapped(page.Items, v1User), page.Next}, err
}

func (v v1) user(r *http.Request, who access.Principal) (any, error) {
	person, err := v.Control.User(r.Context(), who, userID(r))
	if err != nil {
		return nil, err
	}
	out := V1UserDetail{
		V1User: v1User(access.ListedUser{User: person.User, Stages: len(person.Grants)}), Grants: []V1Grant{},
	}
	for _, g := range person.Grants {
		st, err := v.Control.Stage(r.Context(), g.Stage)
		if err != nil && !errors.Is(err, stage.ErrNotFound) {
			return nil, err
		}
		out.Grants = append(out.Grants, V1Grant{
			g.Stage, st.Name, g.Capabilities.Words(), int64(g.MaxTTL / time.Second), g.ByRule,
			optional(g.BarredAt), g.BarredReason,
		})
	}
	docks, err := v.Docks.Of(r.Context(), person.ID)
	out.Docks = append([]Dock{}, docks...)
	return out, err
}

func (v v1) changeUser(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[V1UserChange](r)
	if err != nil {
		return nil, err
	}
	if err := v.Control.UpdateUser(r.Context(), who, userID(r), in.Name, in.Role); err != nil {
		return nil, err
	}
	return v.user(r, who)
}

func (v v1) suspend(r *http.Request, who access.Principal) (any, error) {
	in, err := decodeIfAny[V1Reason](r)
	if err != nil {
		return nil, err
	}
	return nil, v.Control.SuspendUser(r.Context(), who, userID(r), in.Reason)
}

func (v v1) restore(r *http.Request, who access.Principal) (any, error) {
	return nil, v.Control.RestoreUser(r.Context(), who, userID(r))
}

func (v v1) listStages(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	f := access.StageFilter{Query: q.Get("q"), User: access.UserID(q.Get("user"))}
	page, err := v.Control.ListStages(r.Context(), who, f, p)
	return V1Stages{mapped(page.Items, func(s access.ListedStage) V1Stage {
		out := v1Stage(s)
		if v.AWS != nil && !s.ARN.Local() {
			out.IssuedBy = v.AWS.Why(r.Context(), s.ARN)
		}
		return out
	}), page.Next}, err
}

func (v v1) listTokens(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	page, err := v.Control.ListTokens(r.Context(), who, access.TokenFilter{
		Query: q.Get("q"), User: access.UserID(q.Get("user")), Stage: stage.ARN(q.Get("stage")),
		State: access.TokenState(q.Get("state")),
	}, p)
	now := v.Now()
	return V1Tokens{mapped(page.Items, func(i access.Issuance) V1Token {
		return V1Token{issuedToken(i), i.State(now)}
	}), page.Next}, err
}

func (v v1) revokeToken(r *http.Request, who access.Principal) (any, error) {
	return nil, v.Control.Revoke(r.Context(), who, stage.ParticipantID(r.PathValue("participant")))
}

func (v v1) listEvents(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	page, err := v.Control.ListEvents(r.Context(), who, access.EventFilter{
		Query: q.Get("q"), User: access.UserID(q.Get("user")), Stage: stage.ARN(q.Get("stage")),
		Participant: stage.ParticipantID(q.Get("participant")), Kind: stage.EventKind(q.Get("kind")),
	}, p)
	return V1Events{mapped(page.Items, v1Event), page.Next}, err
}

func (v v1) audit(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	f := access.AuditFilter{
		Action: access.Action(q.Get("action")), Actor: access.UserID(q.Get("actor")), Target: q.Get("target"),
		Stage: stage.ARN(q.Get("stage")),
	}
	for name, into := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := q.Get(name); text != "" {
			if *into, err = time.Parse(time.RFC3339, text); err != nil {
				return nil, stage.Errorf(stage.ErrInvalid, "%s is a time such as 2026-03-01T12:00:00Z.", name)
			}
		}
	}
	page, err := v.Control.Audit(r.Context(), who, f, p)
	if err != nil {
		return nil, err
	}
	out := V1Audit{mapped(page.Items, v1Entry), page.Next}
	switch r.Header.Get("Accept") {
	case csvType:
		return table{csvType, auditCSV(out.Entries), out.Next}, nil
	case linesType:
		return table{linesType, auditLines(out.Entries), out.Next}, nil
	}
	return out, nil
}

func (v v1) dockLink(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[V1DockLinkRequest](r)
	if err != nil {
		return nil, err
	}
	req := access.DockLinkRequest{ExternalID: in.ExternalID, Name: in.Name}
	for _, st := range in.Stages {
		g, err := linkGrant(st)
		if err != nil {
			return nil, err
		}
		req.Grants = append(req.Grants, g)
	}
	link, err := v.Control.CreateDockLink(r.Context(), who, req)
	if err != nil {
		return nil, err
	}
	return created(V1DockLink{
		URL: EnrolURL(v.PublicURL, link.Code), ExpiresAt: link.ExpiresAt.UTC(),
		User: Person{ID: link.User.ID, Name: link.User.Name},
	}), nil
}

func linkGrant(st V1LinkStage) (access.Grant, error) {
	g := access.Grant{Stage: st.ARN}
	if _, err := stage.ParseARN(string(st.ARN)); err != nil {
		return g, err
	}
	if st.Capabilities != nil {
		can, err := stage.ParseCapabilities(st.Capabilities)
		if err != nil {
			return g, err
		}
		g.Capabilities = can
	}
	life, err := seconds(st.MaxTTL)
	g.MaxTTL = life
	return g, err
}

func (v v1) listRules(r *http.Request, who access.Principal) (any, error) {
	rules, err := v.Control.Rules(r.Context(), who)
	return V1Rules{mapped(rules, v1Rule)}, err
}

func (v v1) addRule(r *http.Request, who access.Principal) (any, error) {
	rule, err := v.storeRule(r, who, "")
	if err != nil {
		return nil, err
	}
	return created(v1Rule(rule)), nil
}

func (v v1) putRule(r *http.Request, who access.Principal) (any, error) {
	rule, err := v.storeRule(r, who, access.RuleID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	return v1Rule(rule), nil
}

func (v v1) storeRule(r *http.Request, who access.Principal, id access.RuleID) (access.Rule, error) {
	in, err := decode[V1Rule](r)
	if err != nil {
		return access.Rule{}, err
	}
	can, err := stage.ParseCapabilities(in.Capabilities)
	if err != nil {
		return access.Rule{}, err
	}
	life, err := seconds(in.MaxTTL)
	if err != nil {
		return access.Rule{}, err
	}
	return v.Control.PutRule(r.Context(), who, access.Rule{
		ID: id, Claim: access.Claim{Name: in.Claim, Value: in.Value}, Stage: in.Stage, Own: in.OwnStage,
		Capabilities: can, MaxTTL: life,
	})
}

func (v v1) removeRule(r *http.Request, who access.Principal) (any, error) {
	return nil, v.Control.RemoveRule(r.Context(), who, access.RuleID(r.PathValue("id")))
}

func (v v1) listAPIKeys(r *http.Request, who access.Principal) (any, error) {
	keys, err := v.Control.APIKeys(r.Context(), who)
	return V1APIKeys{mapped(keys, v1APIKey)}, err
}

func (v v1) createAPIKey(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[V1NewAPIKey](r)
	if err != nil {
		return nil, err
	}
	if in.Days < 0 || in.Days > 3650 {
		return nil, stage.Errorf(stage.ErrInvalid, "days is 1 to 3650, or left out for a key that never expires.")
	}
	key, secret, err := v.Control.CreateAPIKey(r.Context(), who, in.Name, in.Scopes, time.Duration(in.Days)*24*time.Hour)
	if err != nil {
		return nil, err
	}
	return created(V1CreatedAPIKey{v1APIKey(key), secret.Reveal()}), nil
}

func (v v1) revokeAPIKey(r *http.Request, who access.Principal) (any, error) {
	return nil, v.Control.RevokeAPIKey(r.Context(), who, r.PathValue("id"))
}

func (v v1) listWebhooks(r *http.Request, who access.Principal) (any, error) {
	hooks, err := v.Control.Webhooks(r.Context(), who)
	return V1Webhooks{mapped(hooks, v1Webhook), access.MessageTypes()}, err
}

func (v v1) createWebhook(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[V1NewWebhook](r)
	if err != nil {
		return nil, err
	}
	hook, err := v.Control.CreateWebhook(r.Context(), who, in.URL, in.Types)
	if err != nil {
		return nil, err
	}
	return created(V1CreatedWebhook{v1Webhook(hook), hook.Secret.Reveal()}), nil
}

func webhookID(r *http.Request) access.WebhookID { return access.WebhookID(r.PathValue("id")) }

func (v v1) deleteWebhook(r *http.Request, who access.Principal) (any, error) {
	return nil, v.Control.DeleteWebhook(r.Context(), who, webhookID(r))
}

func (v v1) testWebhook(r *http.Request, who access.Principal) (any, error) {
	id, err := v.Control.TestWebhook(r.Context(), who, webhookID(r))
	return reply{status: http.StatusAccepted, body: V1Queued{id}}, err
}

func (v v1) deadDeliveries(r *http.Request, who access.Principal) (any, error) {
	dead, err := v.Control.DeadDeliveries(r.Context(), who, webhookID(r))
	return V1Deliveries{mapped(dead, v1Delivery)}, err
}

func (v v1) replay(r *http.Request, who access.Principal) (any, error) {
	n, err := v.Control.ReplayDeliveries(r.Context(), who, webhookID(r), r.URL.Query().Get("delivery"))
	return V1Replayed{n}, err
}

// The forms of a list beside JSON.
const (
	csvType   = "text/csv"
	linesType = "application/x-ndjson"
)

// A table is a page in a form for other programs. The header Stagedoor-Next is its "next".
type table struct {
	contentType string
	text        []byte
	next        string
}

func auditCSV(entries []V1Entry) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write([]string{"time", "action", "actor", "actorName", "credential", "address", "agent", "target", "targetName", "stage", "detail", "id"})
	for _, e := range entries {
		row := []string{
			e.Time.Format(time.RFC3339Nano), string(e.Action), string(e.Actor.ID), e.Actor.Name, string(e.Credential),
			e.Address, e.Agent, e.Target, e.TargetName, string(e.Stage), e.Detail, e.ID,
		}
		for i := range row {
			row[i] = plainCell(row[i])
		}
		w.Write(row)
	}
	w.Flush()
	return b.Bytes()
}

// plainCell keeps a spreadsheet from taking a name for a formula (OWASP, CSV injection).
func plainCell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

func auditLines(entries []V1Entry) []byte {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	for _, e := range entries {
		out.Encode(e) // a struct of texts and times always encodes
	}
	return b.Bytes()
}
