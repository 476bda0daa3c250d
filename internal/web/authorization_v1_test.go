package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// programObjects lists the objects for the routes of the API for programs and of signing in.
var programObjects = map[string][]target{
	"GET /api/oidc/logout":     ending("/api/oidc/logout", nil),
	"POST /api/device":         one("/api/device", nil),
	"POST /api/device/token":   one("/api/device/token", web.DeviceToken{DeviceCode: "guessed"}),
	"POST /api/device/lookup":  device("lookup"),
	"POST /api/device/approve": device("approve"),
	"POST /api/device/deny":    device("deny"),
	"POST /api/enrolments":     one("/api/enrolments", nil),
	"POST /api/enrol":          one("/api/enrol", web.EnrolCode{Code: "guessed"}),

	"POST /api/passkeys/options": one("/api/passkeys/options", nil),
	"POST /api/passkeys": one("/api/passkeys",
		web.NewPasskey{Name: "phone", Answer: noAnswer}),
	"PATCH /api/passkeys/{id}":        ofPasskey(web.PasskeyName{Name: "old phone"}),
	"DELETE /api/passkeys/{id}":       ofPasskey(nil),
	"POST /api/login/passkey/options": one("/api/login/passkey/options", nil),
	"POST /api/login/passkey": one("/api/login/passkey",
		web.PasskeyAnswer{Answer: noAnswer}),

	"POST /api/v1/users": {{request: func(h *harness, _ caller) (string, any) {
		h.users++
		return "/api/v1/users", web.NewUser{Name: fmt.Sprint("invited ", h.users)}
	}}},
	"GET /api/v1/users/{id}":              v1User("", nil),
	"PATCH /api/v1/users/{id}":            v1User("", web.V1UserChange{}),
	"DELETE /api/v1/users/{id}":           v1User("", nil),
	"POST /api/v1/users/{id}/invite":      v1User("/invite", nil),
	"POST /api/v1/users/{id}/suspend":     v1User("/suspend", nil),
	"POST /api/v1/users/{id}/restore":     v1User("/restore", nil),
	"DELETE /api/v1/users/{id}/logins":    v1User("/logins", nil),
	"PUT /api/v1/users/{id}/grants/{arn}": v1(pageObjects["PUT /api/users/{id}/grants/{arn}"]),
	"DELETE /api/v1/users/{id}/grants/{arn}": v1(
		pageObjects["DELETE /api/users/{id}/grants/{arn}"]),

	"POST /api/v1/stages":         v1(pageObjects["POST /api/stages"]),
	"PATCH /api/v1/stages/{arn}":  v1(pageObjects["PATCH /api/stages/{arn}"]),
	"DELETE /api/v1/stages/{arn}": v1(pageObjects["DELETE /api/stages/{arn}"]),
	"DELETE /api/v1/stages/{arn}/participants/{participant}": v1(
		pageObjects["DELETE /api/stages/{arn}/participants/{participant}"]),
	"DELETE /api/v1/tokens/{participant}": v1(pageObjects["DELETE /api/tokens/{participant}"]),
	"GET /api/v1/audit": {
		{name: "all", request: at("/api/v1/audit", nil)},
		{name: "own", request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/audit?stage=" + url.QueryEscape(string(h.main)), nil
		}},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/audit?stage=" + url.QueryEscape(string(h.side)), nil
		}},
	},

	"GET /api/v1/users/{id}/logins": v1User("/logins", nil),
	"DELETE /api/v1/users/{id}/logins/{login}": {{name: "foreign",
		request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/users/" + string(h.bea.id) + "/logins/" + anotherLogin(h, h.bea), nil
		}}},
	"GET /api/v1/participants": {
		{name: "all", request: at("/api/v1/participants", nil)},
		{name: "own", request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/participants?stage=" + url.QueryEscape(string(h.main)), nil
		}},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/participants?stage=" + url.QueryEscape(string(h.side)), nil
		}},
	},
	"GET /api/v1/stages/{arn}/sessions": v1(pageObjects["GET /api/stages/{arn}/sessions"]),
	"POST /api/v1/rules/effect": {{request: func(h *harness, _ caller) (string, any) {
		return "/api/v1/rules/effect",
			web.V1Rule{Claim: "groups", Value: "crew", Stage: h.side, Capabilities: both}
	}}},

	"DELETE /api/v1/users/{id}/grants/{arn}/bar": ownAndForeign(
		func(h *harness, of caller, arn string) (string, any) {
			return "/api/v1/users/" + string(of.id) + "/grants/" + arn + "/bar", nil
		}),
	"GET /api/v1/bars": {
		{name: "all", request: at("/api/v1/bars", nil)},
		{name: "own", request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/bars?stage=" + url.QueryEscape(string(h.main)), nil
		}},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/bars?stage=" + url.QueryEscape(string(h.side)), nil
		}},
	},
	"GET /api/v1/refusals": {
		{name: "all", request: at("/api/v1/refusals", nil)},
		{name: "own", request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/refusals?stage=" + url.QueryEscape(string(h.main)), nil
		}},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/refusals?stage=" + url.QueryEscape(string(h.side)), nil
		}},
	},
	"GET /api/v1/guest-links": {
		{name: "own", request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/guest-links?stage=" + url.QueryEscape(string(h.main)), nil
		}},
		{name: "foreign", request: func(h *harness, _ caller) (string, any) {
			return "/api/v1/guest-links?stage=" + url.QueryEscape(string(h.side)), nil
		}},
	},
	"POST /api/v1/guest-links": ownAndForeign(func(
		h *harness, of caller, arn string,
	) (string, any) {
		return "/api/v1/guest-links", web.NewGuestLink{
			Stage: stage.ARN(arnOf(arn)), Role: access.GuestViews, User: h.bea.id,
		}
	}),
	"PUT /api/v1/stages/{arn}/participants/{participant}/role": v1(
		pageObjects["PUT /api/stages/{arn}/participants/{participant}/role"]),
	"DELETE /api/v1/guest-links/{id}":   v1(pageObjects["DELETE /api/guest-links/{id}"]),
	"PUT /api/v1/branding":              one("/api/v1/branding", web.V1Branding{}),
	"POST /api/v1/keys/{region}":        one("/api/v1/keys/eu-central-1", web.V1KeyChange{}),
	"POST /api/v1/keys/{region}/rotate": one("/api/v1/keys/eu-central-1/rotate", web.V1KeyChange{}),
	"DELETE /api/v1/keys/{region}":      one("/api/v1/keys/eu-central-1", nil),

	"POST /api/v1/dock-links": one("/api/v1/dock-links",
		web.V1DockLinkRequest{ExternalID: "17", Name: "linked"}),
	"POST /api/v1/rules":        ofRule("", "POST"),
	"PUT /api/v1/rules/{id}":    ofRule("made", "PUT"),
	"DELETE /api/v1/rules/{id}": ofRule("made", "DELETE"),

	"POST /api/v1/api-keys": one("/api/v1/api-keys", web.V1NewAPIKey{Name: "more"}),
	"DELETE /api/v1/api-keys/{id}": {{request: func(h *harness, _ caller) (string, any) {
		return "/api/v1/api-keys/" +
			h.makes("id", "/api/v1/api-keys", web.V1NewAPIKey{Name: "more"}), nil
	}}},

	"POST /api/v1/webhooks":             ofWebhook("", newHook),
	"DELETE /api/v1/webhooks/{id}":      ofWebhook("/", nil),
	"POST /api/v1/webhooks/{id}/test":   ofWebhook("/test", nil),
	"GET /api/v1/webhooks/{id}/dead":    ofWebhook("/dead", nil),
	"POST /api/v1/webhooks/{id}/replay": ofWebhook("/replay", nil),
}

// noAnswer is an invalid passkey response: no browser sends an empty object.
var noAnswer = json.RawMessage(`{}`)

var newHook = web.V1NewWebhook{URL: "https://hooks.example/in", Types: []string{"user.suspended"}}

// makes creates an object as the operator and returns a member of it, such as its ID.
func (h *harness) makes(member, path string, body any) string {
	return made(caller{owner: h.olga}, member, path, body)
}

// v1 returns the same targets for the corresponding route below /api/v1.
func v1(pages []target) []target {
	var list []target
	for _, p := range pages {
		request := p.request
		p.request = func(h *harness, who caller) (string, any) {
			path, body := request(h, who)
			return "/api/v1" + path[len("/api"):], body
		}
		list = append(list, p)
	}
	return list
}

func v1User(rest string, body any) []target { return v1(ofUser(rest, body)) }

// device returns a request for a dock that waits for approval. Only callers with a login get a code
// that exists, because few docks of one address may wait at a time.
func device(act string) []target {
	return []target{{request: func(h *harness, who caller) (string, any) {
		code := web.DeviceCode{UserCode: "BBBB-BBBB"}
		if who.Key == "" && who.Client == who.owner {
			h.Browser().Must(http.StatusCreated, "POST", "/api/device", nil, &code)
		}
		return "/api/device/" + act, web.UserCode{UserCode: code.UserCode}
	}}}
}

func ofRule(id, method string) []target {
	rule := func(h *harness) web.V1Rule {
		return web.V1Rule{Claim: "groups", Value: "crew", Stage: stage.ARN(h.side),
			Capabilities: both}
	}
	return []target{{request: func(h *harness, _ caller) (string, any) {
		path := "/api/v1/rules"
		if id != "" {
			path += "/" + h.makes("id", path, rule(h))
		}
		if method == "DELETE" {
			return path, nil
		}
		return path, rule(h)
	}}}
}

// ofWebhook returns a request for a new webhook. It first deletes the earlier webhooks, because a
// server has at most 20.
func ofWebhook(rest string, body any) []target {
	return []target{{request: func(h *harness, _ caller) (string, any) {
		var all web.V1Webhooks
		h.olga.Must(http.StatusOK, "GET", "/api/v1/webhooks", nil, &all)
		for _, hook := range all.Webhooks {
			h.olga.Must(http.StatusNoContent, "DELETE", "/api/v1/webhooks/"+string(hook.ID), nil,
				nil)
		}
		path := "/api/v1/webhooks"
		if rest == "" {
			return path, body
		}
		path += "/" + h.makes("id", path, newHook)
		if rest != "/" {
			path += rest
		}
		return path, body
	}}}
}
