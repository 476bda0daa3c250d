package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/client"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

func TestAnApplicationSeesWhoIsThereAndChangesRules(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	operator := a.Operator()
	ana := a.Broadcaster(operator, "ana", "subscribe") // on the stage `main`
	var side web.Stage
	operator.Must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Name: "side"}, &side)
	var key web.V1CreatedAPIKey
	operator.Must(http.StatusCreated, "POST", "/api/v1/api-keys", web.V1NewAPIKey{Name: "studio"},
		&key)
	c := &client.Client{URL: a.URL, Key: key.Key}

	t.Log("a rule for everybody: ana gains access, and goes live")
	rule := client.Rule{Stage: string(side.ARN), Capabilities: []string{"publish"}}
	if effect, err := c.EffectOf(t.Context(), rule); err != nil || effect.Gain != 1 ||
		effect.Lose != 0 {
		t.Errorf("the effect of the rule: %+v %v", effect, err)
	}
	rule, err := c.PutRule(t.Context(), rule)
	if err != nil {
		t.Fatal(err)
	}
	if rules, err := c.Rules(t.Context()); err != nil || len(rules) != 1 || rules[0].ID != rule.ID {
		t.Errorf("the rules are %+v %v", rules, err)
	}
	t.Log("a rule for all stages that another rule makes")
	own, err := c.PutRule(t.Context(), client.Rule{
		Claim: "groups", Value: "streamers", OwnStage: "{name}", Capabilities: []string{"publish"},
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.PutRule(t.Context(), client.Rule{
		Claim: "groups", Value: "moderators", OwnStagesOf: own.ID,
		Capabilities: []string{"subscribe"},
	})
	if err != nil || all.OwnStagesOf != own.ID {
		t.Errorf("the rule is %+v %v", all, err)
	}
	var token web.Token
	ana.Must(http.StatusCreated, "POST", "/api/tokens", web.TokenRequest{Stage: side.ARN}, &token)
	dock := ana.Events()
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	apptest.Await(dock, "stage", func(e web.StageEvent) bool { return e.Kind == "publishing" })
	for _, stage := range []string{"", string(side.ARN)} {
		there, err := c.Participants(t.Context(), stage)
		if err != nil || len(there) != 1 || len(there[0].Participants) != 1 {
			t.Fatalf("who is there: %+v %v, want one stage with one participant", there, err)
		}
		if p := there[0].Participants[0]; p.ID != string(token.ParticipantID) || p.Name != "ana" ||
			!p.Publishing {
			t.Errorf("on the stage is %+v", p)
		}
	}

	t.Log("the rule is changed to another claim: ana loses what it gave")
	rule.Claim, rule.Value = "groups", "crew"
	if effect, err := c.EffectOf(t.Context(), rule); err != nil || effect.Lose != 1 ||
		len(effect.Losing) != 1 || effect.Losing[0] != "ana" {
		t.Errorf("the effect of the change: %+v %v", effect, err)
	}
	if _, err := c.PutRule(t.Context(), rule); err != nil {
		t.Fatal(err)
	}
	ana.Refused(http.StatusForbidden, "no_grant", "POST", "/api/tokens",
		web.TokenRequest{Stage: token.Stage})
	if err := c.RemoveRule(t.Context(), rule.ID); err != nil {
		t.Fatal(err)
	}
}

func TestAnApplicationUsesTheClient(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	operator := a.Operator()
	var key web.V1CreatedAPIKey
	operator.Must(http.StatusCreated, "POST", "/api/v1/api-keys", web.V1NewAPIKey{Name: "studio"},
		&key)
	c := &client.Client{URL: a.URL + "/", Key: key.Key}

	link, err := c.CreateDockLink(t.Context(), "u-17", "Kim",
		client.LinkStage{ARN: operator.MainStage()})
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(link.URL, "#enrol=")
	code, _ = url.QueryUnescape(code)
	dock := a.Browser()
	dock.Must(http.StatusCreated, "POST", "/api/enrol", web.EnrolCode{Code: code}, nil)

	token := dock.Token("")
	if err := c.Kick(t.Context(), string(token.Stage), string(token.ParticipantID), "time is up",
		true); err != nil {
		t.Fatal(err)
	}
	dock.Refused(http.StatusForbidden, "barred", "POST", "/api/tokens",
		web.TokenRequest{Stage: token.Stage})
	bars, err := c.Bars(t.Context(), string(token.Stage))
	if err != nil || len(bars) != 1 || bars[0].User.ID != link.User.ID ||
		bars[0].Reason != "time is up" {
		t.Errorf("the bars: got %+v, %v, want one with the reason of the kick", bars, err)
	}
	if err := c.Unbar(t.Context(), link.User.ID, string(token.Stage)); err != nil {
		t.Fatal(err)
	}
	dock.Token("")
	if refusals, err := c.Refusals(t.Context(), string(token.Stage)); err != nil ||
		len(refusals) != 0 {
		t.Errorf("the refusals: got %v, %v, want none", refusals, err)
	}

	for i := range 205 { // more than one page of the list
		if err := c.Do(t.Context(), "POST", "/users",
			map[string]string{"name": fmt.Sprint("guest ", i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	found := 0
	for u, err := range c.Users(t.Context(), "guest") {
		if err != nil {
			t.Fatal(err)
		}
		if !u.Invited {
			t.Errorf("%s was not invited", u.Name)
		}
		found++
	}
	if found != 205 {
		t.Errorf("%d users were found, want 205", found)
	}

	if err := c.Suspend(t.Context(), link.User.ID, "unpaid"); err != nil {
		t.Fatal(err)
	}
	dock.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
	if err := c.Restore(t.Context(), link.User.ID); err != nil {
		t.Fatal(err)
	}
	var problem *client.Error
	if err := c.Suspend(t.Context(), "nobody", ""); !errors.As(err, &problem) ||
		problem.Status != 404 || problem.Code != "not_found" {
		t.Errorf("an unknown user: %v", err)
	}
}

// TestTheTypesAreThoseOfTheDocument compares the types of the client with the OpenAPI document.
func TestTheTypesAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	var document struct {
		Components struct{ Schemas map[string]schema }
	}
	apptest.Start(t).Browser().Must(http.StatusOK, "GET", "/api/openapi.json", nil, &document)
	all := document.Components.Schemas
	for name, of := range map[string]any{
		"Problem": client.Error{}, "V1LinkStage": client.LinkStage{},
		"V1DockLink": client.DockLink{}, "V1User": client.User{}, "V1Bar": client.Bar{},
		"V1Refusal": client.Refusal{}, "Presence": client.Participant{},
		"V1StageParticipants": client.StagePresence{}, "V1Rule": client.Rule{},
		"V1RuleEffect": client.RuleEffect{},
	} {
		s, known := all[name]
		if !known {
			t.Errorf("the document has no schema %s", name)
		}
		s.holds(t, name, reflect.TypeOf(of), all)
	}
}

// A schema is the part of a JSON schema that TestTheTypesAreThoseOfTheDocument reads.
type schema struct {
	Type, Format string
	Ref          string `json:"$ref"`
	Items        *schema
	Properties   map[string]schema
}

// holds checks that the document has every member of a type, with the same kind.
func (s schema) holds(t *testing.T, name string, of reflect.Type, all map[string]schema) {
	t.Helper()
	if s.Ref != "" {
		s = all[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	want := schema{Type: "object"}
	switch {
	case of == reflect.TypeFor[time.Time]():
		want = schema{Type: "string", Format: "date-time"}
	case of.Kind() == reflect.Pointer:
		s.holds(t, name, of.Elem(), all)
		return
	case of.Kind() == reflect.String:
		want.Type = "string"
	case of.Kind() == reflect.Bool:
		want.Type = "boolean"
	case of.Kind() == reflect.Int, of.Kind() == reflect.Int64:
		want.Type = "integer"
	case of.Kind() == reflect.Slice:
		want.Type = "array"
	}
	if s.Type != want.Type || s.Format != want.Format {
		t.Errorf("%s is %q %q in the document, and %s in the client", name, s.Type, s.Format, of)
		return
	}
	switch want.Type {
	case "array":
		s.Items.holds(t, name+"[]", of.Elem(), all)
	case "object":
		for i := range of.NumField() {
			f := of.Field(i)
			member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			is, known := s.Properties[member]
			if !known {
				t.Errorf("%s has no member %q in the document", name, member)
				continue
			}
			is.holds(t, name+"."+member, f.Type, all)
		}
	}
}
