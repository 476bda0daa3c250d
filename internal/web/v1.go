package web

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
)

// v1 is the API for programs. Its routes, and the OpenAPI document, come from the operations below.
type v1 struct {
	control *access.Control
	docks   *feed.Docks
	aws     AWS // nil if no AWS stages are served
	public  *url.URL
	now     func() time.Time
	people  *people // endpoints shared with the pages
	stages  *stages
	tokens  *tokens
	guests  guestLinks
	system  system
}

func (v v1) operations() []operation {
	return slices.Concat(v.accounts(), v.records(), v.programs(), v.console(),
		v.guests.operations())
}

// console are the operations on refusals, bars, participants, the server, its branding and its own
// keys.
func (v v1) console() []operation {
	brand, watch, sys := branding{v.control.Branding}, moderation{v.control.Moderation}, v.system
	created := http.StatusCreated
	return []operation{
		{"GET", "/refusals", access.ScopeModerate,
			"List the refusals of the last hour, newest first.", with(pageQuery,
				parameter{"stage", "The ARN of a stage."}), nil, V1Refusals{}, 0, watch.refusals},
		{"GET", "/participants", access.ScopeModerate,
			"List the participants on each stage now, and the media that the stage receives.",
			[]parameter{{"stage", "The ARN of a stage; all by default."}}, nil, V1Participants{},
			0, v.stages.participants},
		{"DELETE", "/stages/{arn}/participants/{participant}", access.ScopeModerate,
			"Kick a participant and revoke the token. With bar, also bar the user.", nil, Removal{},
			nil, 0, watch.kick},
		{"PUT", "/stages/{arn}/participants/{participant}/role", access.ScopeModerate,
			"Promote a guest of a local stage to publish, or demote the guest to view.",
			nil, GuestRole{},
			nil, 0, watch.role},
		{"GET", "/bars", access.ScopeModerate,
			"List bars, newest first.", with(pageQuery,
				parameter{"stage", "The ARN of a stage."}), nil, V1Bars{}, 0, watch.bars},
		{"DELETE", "/users/{id}/grants/{arn}/bar", access.ScopeModerate,
			"End the bar of a user from a stage.", nil, nil, nil, 0, watch.unbar},

		{"GET", "/system", access.ScopeSystem,
			"Read the version, the readiness checks, and the settings with masked secrets.", nil,
			nil, V1System{}, 0, sys.get},
		{"GET", "/doctor", access.ScopeSystem,
			"Run the checks of `stagedoor doctor` on the server. This may take a minute.", nil, nil,
			V1Doctor{}, 0, sys.doctor},
		{"GET", "/branding", access.ScopeSystem, "Read the branding that is set on the console.",
			nil, nil, V1Branding{}, 0, brand.own},
		{"PUT", "/branding", access.ScopeSystem, "Change the branding of the pages.", nil,
			V1Branding{}, V1Branding{}, 0, brand.put},
		{"GET", "/keys", access.ScopeSystem, "List the keys that sign tokens.", nil, nil,
			V1Keys{}, 0, sys.keys},
		{"POST", "/keys/{region}", access.ScopeSystem, "Create an own key, or use one from AWS " +
			"KMS.",
			nil, V1KeyChange{}, V1Keys{}, created, sys.createKey},
		{"POST", "/keys/{region}/rotate", access.ScopeSystem,
			"Replace the own key of a region. Tokens of the old key stay valid.",
			nil, V1KeyChange{},
			V1Keys{}, 0, sys.rotateKey},
		{"DELETE", "/keys/{region}", access.ScopeSystem,
			"Stop signing with the own key of a region; the AWS API issues the tokens again.", nil,
			nil, V1Keys{}, 0, sys.retireKey},
	}
}

// accounts are the operations on users and stages.
func (v v1) accounts() []operation {
	created := http.StatusCreated
	people := v1People{v.control, v.docks, v.public}
	stages := v1Stages{v.control, v.aws}
	return []operation{
		{"GET", "/users", access.ScopeUsers, "List users by name.", with(searchQuery,
			parameter{"role", "operator, moderator or broadcaster."}, parameter{
				"stage", "The ARN of a stage to which the users have access.",
			}),
			nil, V1Users{}, 0, people.list},
		{"POST", "/users", access.ScopeUsers,
			"Create a user; the answer has the invite link.", nil, NewUser{},
			Invited{}, created, v.people.add},
		{"GET", "/users/{id}", access.ScopeUsers, "Read a user and the user's access.", nil, nil,
			V1UserDetail{}, 0, people.read},
		{"PATCH", "/users/{id}", access.ScopeUsers, "Change the name or the role of a user.", nil,
			V1UserChange{}, V1UserDetail{}, 0, people.change},
		{"DELETE", "/users/{id}", access.ScopeUsers, "Remove a user.", nil, nil, nil, 0,
			v.people.remove},
		{"POST", "/users/{id}/invite", access.ScopeUsers, "Create a new invite link.",
			nil, nil, Invited{}, created, v.people.reinvite},
		{"POST", "/users/{id}/suspend", access.ScopeUsers,
			"Suspend a user, and end the user's logins, tokens and sessions.",
			nil, V1Reason{}, nil, 0,
			people.suspend},
		{"POST", "/users/{id}/restore", access.ScopeUsers, "Allow a suspended user to sign in " +
			"again.", nil,
			nil, nil, 0, people.restore},
		{"DELETE", "/users/{id}/logins", access.ScopeUsers, "End all logins of a user.", nil, nil,
			nil, 0, v.people.endLogins},
		{"GET", "/users/{id}/logins", access.ScopeUsers, "List the logins of a user.", nil,
			nil, Logins{}, 0, people.logins},
		{"DELETE", "/users/{id}/logins/{login}", access.ScopeUsers,
			"End one login of a user.", nil, nil, nil, 0, people.endLogin},
		{"PUT", "/users/{id}/grants/{arn}", access.ScopeUsers, "Give a user access to a stage.",
			nil, GrantRequest{}, nil, 0, v.people.setGrant},
		{"DELETE", "/users/{id}/grants/{arn}", access.ScopeUsers,
			"Remove the access of a user to a stage.", nil, nil, nil, 0, v.people.removeGrant},

		{"GET", "/stages", access.ScopeStages, "List stages by name.",
			with(searchQuery, parameter{"user", "The ID of a user with access."}), nil, V1Stages{},
			0, stages.list},
		{"POST", "/stages", access.ScopeStages,
			"Create a stage, or add an existing stage of Amazon IVS.", nil,
			NewStage{}, Stage{}, created, v.stages.add},
		{"PATCH", "/stages/{arn}", access.ScopeStages, "Change the name or the limits of a stage.",
			nil, StageChange{}, nil, 0, v.stages.change},
		{"DELETE", "/stages/{arn}", access.ScopeStages, "Remove a stage.", nil, nil, nil, 0,
			v.stages.remove},
		{"GET", "/stages/{arn}/sessions", access.ScopeStages,
			"List the latest sessions of an AWS stage, newest first.", nil, nil, StageSessions{},
			0, v.stages.sessions},
		{"GET", "/aws/stages", access.ScopeStages,
			"List the stages at AWS in the regions of --ivs-region.", nil, nil, AWSStages{}, 0,
			v.stages.listAWS},
	}
}

// records are the operations on tokens, stage events, the audit trail, dock links and rules.
func (v v1) records() []operation {
	created := http.StatusCreated
	people := v1People{v.control, v.docks, v.public}
	records := v1Records{v.control, v.now}
	rules := v1Rules{v.control}
	return []operation{
		{"GET", "/tokens", access.ScopeAudit, "List the records of tokens, newest first.",
			with(pageQuery,
				parameter{"q", "A participant ID, or a part of the user's name."}, parameter{
					"user", "The ID of a user.",
				},
				parameter{"stage", "The ARN of a stage."},
				parameter{"state", "active, expired or revoked."}), nil, V1Tokens{}, 0,
			records.tokens},
		{"DELETE", "/tokens/{participant}", access.ScopeModerate,
			"Revoke a token and end its session.", nil, nil, nil, 0, v.tokens.revoke},
		{"GET", "/events", access.ScopeAudit, "List stage events, newest first.",
			with(pageQuery,
				parameter{"q", "The code, or a part of the detail."},
				parameter{"user", "The ID of a user."}, parameter{"stage", "The ARN of a stage."},
				parameter{"participant", "A participant ID."},
				parameter{"kind", "connected, publishing, warning, refused or ended."}), nil,
			V1Events{}, 0, records.events},
		// every API key has ScopeSelf; the Control checks access, since moderators may read the
		// entries of their stages
		{"GET", "/audit", access.ScopeSelf,
			"List the audit trail, newest first. Accept: text/csv or application/x-ndjson " +
				"selects that format.", with(pageQuery,
				parameter{"q", "The ID of the object that was changed, or a part of a name, " +
					"the address or the detail."},
				parameter{"action", "An action, such as user.created."}, parameter{
					"actor", "The ID of the user who acted.",
				},
				parameter{"credential", "The ID of the login, key or link by which the actor " +
					"acted."},
				parameter{"target", "The ID of the object that was changed."}, parameter{
					"stage", "The ARN of a stage.",
				},
				parameter{"since", "Entries at or after this time (RFC 3339)."},
				parameter{"until", "Entries before this time (RFC 3339)."}), nil, V1Audit{}, 0,
			records.audit},

		{"POST", "/dock-links", access.ScopeUsers,
			"Register a user of your application, and get a link that signs in their dock.",
			nil, V1DockLinkRequest{}, V1DockLink{}, created, people.dockLink},
		{"GET", "/rules", access.ScopeUsers, "List the rules that give access.", nil, nil,
			V1Rules{}, 0, rules.list},
		{"POST", "/rules", access.ScopeUsers, "Add a rule, and apply it to all users.", nil,
			V1Rule{}, V1Rule{}, created, rules.add},
		{"POST", "/rules/effect", access.ScopeUsers,
			"Compute how a new or changed rule would change the access of existing users.", nil,
			V1Rule{}, V1RuleEffect{}, 0, rules.effect},
		{"PUT", "/rules/{id}", access.ScopeUsers, "Change a rule, and apply it to all users.", nil,
			V1Rule{}, V1Rule{}, 0, rules.put},
		{"DELETE", "/rules/{id}", access.ScopeUsers,
			"Remove a rule and the access that no other rule gives.", nil, nil, nil, 0,
			rules.remove},
	}
}

// programs are the operations on API keys and webhooks.
func (v v1) programs() []operation {
	created := http.StatusCreated
	keys, hooks := v1APIKeys{v.control.APIKeys}, v1Webhooks{v.control.Webhooks}
	return []operation{
		{"GET", "/api-keys", access.ScopeAPIKeys, "List API keys. Only with a login of an " +
			"operator.", nil, nil,
			V1APIKeys{}, 0, keys.list},
		{"POST", "/api-keys", access.ScopeAPIKeys, "Create an API key. Only with a login of an " +
			"operator.", nil,
			V1NewAPIKey{}, V1CreatedAPIKey{}, created, keys.create},
		{"DELETE", "/api-keys/{id}", access.ScopeAPIKeys, "Revoke an API key. Only with a login " +
			"of an operator.", nil,
			nil, nil, 0, keys.revoke},

		{"GET", "/webhooks", access.ScopeWebhooks, "List the webhooks and all message types.",
			nil, nil, V1Webhooks{}, 0, hooks.list},
		{"POST", "/webhooks", access.ScopeWebhooks, "Register a webhook.", nil, V1NewWebhook{},
			V1CreatedWebhook{}, created, hooks.create},
		{"DELETE", "/webhooks/{id}", access.ScopeWebhooks,
			"Delete a webhook and its queued messages.", nil, nil, nil, 0, hooks.remove},
		{"POST", "/webhooks/{id}/test", access.ScopeWebhooks,
			"Send a message of the type webhook.test.", nil, nil, V1Queued{},
			http.StatusAccepted, hooks.test},
		{"GET", "/webhooks/{id}/dead", access.ScopeWebhooks,
			"List the failed deliveries that are not retried.", nil, nil, V1Deliveries{},
			0, hooks.dead},
		{"POST", "/webhooks/{id}/replay", access.ScopeWebhooks, "Send failed deliveries again.",
			[]parameter{{"delivery",
				"ID of one delivery; by default, all are sent again."}}, nil, V1Replayed{}, 0,
			hooks.replay},
	}
}

// routes mounts the API.
func (v v1) routes(a *adapter) []route {
	var list []route
	for _, o := range v.operations() {
		list = append(list, route{o.method + " /api/v1" + o.path, a.api(o.scope, o.serve)})
	}
	return list
}
