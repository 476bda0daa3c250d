package web_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

func TestBranding(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--brand-name", "Stadtfunk", "--brand-support", "help@example.com")
	olga := a.Operator()
	guest := a.Browser()

	var brand web.Branding
	guest.Must(http.StatusOK, "GET", "/api/branding", nil, &brand)
	if brand.Name != "Stadtfunk" || brand.Support != "mailto:help@example.com" || brand.Logo != "" {
		t.Errorf("the branding of the settings: got %+v", brand)
	}
	guest.Refused(http.StatusNotFound, "not_found", "GET", "/api/branding/logo", nil)

	t.Log("a branding that would be unreadable or unsafe is refused with the reason")
	for name, bad := range map[string]web.V1Branding{
		"a contrast of 1.3:1": {Accent: "#ffe000"}, "written like": {Accent: "red"},
		"imprint must be a URL": {Imprint: "javascript:alert(1)"},
		"e-mail address":        {Support: "data:text/html,x"},
		"at most 40":            {Name: strings.Repeat("x", 41)},
		"PNG or JPEG":           {Logo: encoded([]byte("<svg/>"))},
		"1024":                  {Logo: encoded(picture(t, 1025, 1))},
	} {
		code := map[bool]string{true: "contrast", false: "invalid"}[bad.Accent == "#ffe000"]
		refused := olga.Refused(http.StatusBadRequest, code, "PUT", "/api/v1/branding", bad)
		if !strings.Contains(refused.Detail, name) {
			t.Errorf("%q does not say %q", refused.Detail, name)
		}
	}
	for _, size := range []int{50_000, 500_000} { // the second one also exceeds the limit of a body
		refused := olga.Refused(http.StatusRequestEntityTooLarge, "logo_too_large", "PUT",
			"/api/v1/branding", web.V1Branding{Logo: encoded(make([]byte, size))})
		if !strings.Contains(refused.Detail, "48 KiB") {
			t.Errorf("%q does not say how large a logo may be", refused.Detail)
		}
	}

	t.Log("the console overrides the settings; a change without a logo keeps the old logo")
	logo := picture(t, 64, 64)
	olga.Must(http.StatusOK, "PUT", "/api/v1/branding",
		web.V1Branding{Name: "Radio Nord", Accent: "#8f0f25", Logo: encoded(logo)}, nil)
	olga.Must(http.StatusOK, "PUT", "/api/v1/branding",
		web.V1Branding{Name: "Radio Süd", Accent: "#8f0f25",
			Imprint: "https://example.com/imprint"}, nil)
	guest.Must(http.StatusOK, "GET", "/api/branding", nil, &brand)
	if brand.Name != "Radio Süd" || brand.Accent != "#8f0f25" ||
		brand.Support != "mailto:help@example.com" || brand.Logo == "" {
		t.Errorf("the branding after a change in the console: got %+v", brand)
	}
	status, header, body := guest.Do("GET", "/"+brand.Logo, nil)
	policy := header.Get("Content-Security-Policy")
	if status != http.StatusOK || !bytes.Equal(body, logo) ||
		header.Get("Content-Type") != "image/png" ||
		policy != "default-src 'none'; sandbox" ||
		header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the logo: %d, %d bytes, %v", status, len(body), header)
	}
	olga.Must(http.StatusOK, "PUT", "/api/v1/branding", web.V1Branding{Logo: new(string)}, nil)
	var back web.Branding
	guest.Must(http.StatusOK, "GET", "/api/branding", nil, &back)
	if back.Name != "Stadtfunk" || back.Logo != "" {
		t.Errorf("without what the console said: %+v", back)
	}
}

func encoded(data []byte) *string {
	text := base64.StdEncoding.EncodeToString(data)
	return &text
}

func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestAModeratorKeepsSomeoneOut: a moderator can bar a user from a stage that they moderate, with a
// reason, and can end the bar. They read the audit trail of that stage alone, and cannot bar an
// operator.
func TestAModeratorKeepsSomeoneOut(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish")
	mia := a.Broadcaster(olga, "mia", "subscribe")
	olga.Must(http.StatusOK, "PATCH", "/api/v1/users/"+string(mia.Me().ID),
		web.V1UserChange{Role: access.Moderator}, nil)
	arn := url.PathEscape(olga.MainStage())
	first, second := ana.Token(""), ana.Token("")
	page := ana.Events()
	apptest.Await(page, "me", func(me web.Me) bool { return len(me.Stages) == 1 })

	t.Log("a kick with a bar revokes every token, and new tokens are refused with the reason")
	mia.Must(http.StatusNoContent, "DELETE",
		"/api/v1/stages/"+arn+"/participants/"+string(first.ParticipantID),
		web.Removal{Reason: "language", Bar: true}, nil)
	// The event stream stays open: the page gets a "me", and no "bye".
	apptest.Await(page, "me", func(me web.Me) bool { return len(me.Stages) == 0 })
	var state web.TokenState
	ana.Must(http.StatusOK, "GET", "/api/tokens/"+string(second.ParticipantID), nil, &state)
	if state.RevokedAt == nil {
		t.Error("another open token of the user is good still")
	}
	refused := ana.Refused(http.StatusForbidden, "barred", "POST", "/api/tokens",
		web.TokenRequest{Stage: first.Stage})
	if !strings.Contains(refused.Detail, "language") {
		t.Errorf("the refusal gives no reason: %q", refused.Detail)
	}
	if me := ana.Me(); len(me.Stages) != 0 || len(me.Bars) != 1 ||
		me.Bars[0].ARN != first.Stage || me.Bars[0].Reason != "language" ||
		me.Bars[0].Since.IsZero() || me.Bars[0].Name == "" {
		t.Errorf("ana's stages are %+v, and those without access %+v", me.Stages, me.Bars)
	}
	var person web.V1UserDetail
	olga.Must(http.StatusOK, "GET", "/api/v1/users/"+string(ana.Me().ID), nil, &person)
	if len(person.Grants) != 1 || person.Grants[0].BarredAt == nil ||
		person.Grants[0].BarredReason != "language" {
		t.Errorf("the operator sees %+v", person.Grants)
	}

	t.Log("the records of their stages are the moderator's, and no others")
	olga.Must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Name: "elsewhere"}, nil)
	var trail web.V1Audit
	mia.Must(http.StatusOK, "GET", "/api/v1/audit", nil, &trail)
	if len(trail.Entries) == 0 || trail.Entries[0].Action != access.ActionBarred ||
		trail.Entries[0].Detail != "language" {
		t.Errorf("the moderator reads %+v", trail.Entries)
	}
	for _, e := range trail.Entries {
		if e.Stage != first.Stage {
			t.Errorf("an entry of another stage: %+v", e)
		}
	}

	t.Log("the bar is ended")
	mia.Must(http.StatusNoContent, "DELETE",
		"/api/v1/users/"+string(ana.Me().ID)+"/grants/"+arn+"/bar", nil, nil)
	ana.Token("")
	operator := olga.Token("")
	mia.Refused(http.StatusConflict, "conflict", "DELETE",
		"/api/v1/stages/"+arn+"/participants/"+string(operator.ParticipantID),
		web.Removal{Bar: true})
}

func TestRefusalsOfTheLastHour(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish", "subscribe")
	token := ana.Token("")
	ana.Must(http.StatusNoContent, "DELETE", "/api/tokens/"+string(token.ParticipantID), nil, nil)
	publisher := a.Browser()
	publisher.Key = token.Token
	events := ana.Events()
	publisher.Send("POST", "/whip", "application/sdp", strings.NewReader("v=0\r\n"))
	apptest.Await(events, "stage", func(e web.StageEvent) bool { return e.Kind == "refused" })
	var list web.V1Refusals
	olga.Must(http.StatusOK, "GET", "/api/v1/refusals", nil, &list)
	if len(list.Refusals) != 1 || list.Refusals[0].Code != "token_revoked" ||
		list.Refusals[0].Name != "ana" || list.Refusals[0].Guest {
		t.Errorf("the operator sees %+v", list.Refusals)
	}

	t.Log("a guest is named, and not the owner of the guest link")
	var link web.CreatedGuestLink
	ana.Must(http.StatusCreated, "POST", "/api/guest-links",
		web.NewGuestLink{Stage: token.Stage, Role: access.GuestPublishes}, &link)
	gil := a.Browser()
	_, secret, _ := strings.Cut(link.URL, "#")
	gil.Key = secret
	var guest web.Token
	gil.Must(http.StatusCreated, "POST", "/api/guest", web.GuestName{Name: "Gil"}, &guest)
	ana.Must(http.StatusNoContent, "DELETE", "/api/guest-links/"+link.ID, nil, nil)
	publisher.Key = guest.Token
	publisher.Send("POST", "/whip", "application/sdp", strings.NewReader("v=0\r\n"))
	apptest.Await(events, "stage", func(e web.StageEvent) bool {
		return e.Kind == "refused" && e.ParticipantID == guest.ParticipantID
	})
	olga.Must(http.StatusOK, "GET", "/api/v1/refusals", nil, &list)
	if len(list.Refusals) != 2 || list.Refusals[0].Name != "Gil" || !list.Refusals[0].Guest {
		t.Errorf("the operator sees %+v", list.Refusals)
	}
}

func TestTheSystemPageMasksSecrets(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--ivs-events-secret", "0123456789abcdef", "--turn",
		"turn:127.0.0.1:3478", "--turn-secret", "hush hush")
	olga := a.Operator()
	_, _, body := olga.Do("GET", "/api/v1/system", nil)
	if text := string(body); strings.Contains(text, "hush") ||
		strings.Contains(text, "0123456789abcdef") {
		t.Errorf("a secret is shown: %s", text)
	}
	var system web.V1System
	olga.Must(http.StatusOK, "GET", "/api/v1/system", nil, &system)
	from := map[string]web.Setting{}
	for _, s := range system.Settings {
		from[s.Name] = s
	}
	if got := from["turn-secret"]; got.Value != "********" || got.From != "command line" {
		t.Errorf("turn-secret: got %+v, want it hidden, from the command line", got)
	}
	if !system.Ready || len(system.Checks) < 2 || system.Database != "SQLite" ||
		from["token-limit"].Value != "30" {
		t.Errorf("system: got %+v, want ready, with its checks and settings", system)
	}
	var keys web.V1Keys
	olga.Must(http.StatusOK, "GET", "/api/v1/keys", nil, &keys)
	if keys.LocalKey == "" || len(keys.Keys) != 0 {
		t.Errorf("keys: got %+v, want only the local key", keys)
	}
}

// TestAWebhookSaysWhyNothingArrives: a webhook with an address that the server never calls is
// refused at registration. The list of webhooks shows the failure of a receiver that does not
// answer.
func TestAWebhookSaysWhyNothingArrives(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	types := []string{access.MessageUserCreated}
	for _, address := range []string{"http://127.0.0.1:9000/in", "https://localhost/in"} {
		refused := olga.Refused(http.StatusBadRequest, "private_address", "POST",
			"/api/v1/webhooks", web.V1NewWebhook{URL: address, Types: types})
		if !strings.Contains(refused.Detail, "--webhook-networks") {
			t.Errorf("%s: %q names no setting", address, refused.Detail)
		}
	}
	refused := olga.Refused(http.StatusBadRequest, "invalid", "POST", "/api/v1/webhooks",
		web.V1NewWebhook{URL: "ftp://hooks.example/in", Types: types})
	if !strings.Contains(refused.Detail, "http://") {
		t.Errorf("%q hides that http is accepted", refused.Detail)
	}

	a.Stop()
	olga = olga.At(a.Again("--webhook-networks", "127.0.0.0/8"))
	var made web.V1CreatedWebhook
	olga.Must(http.StatusCreated, "POST", "/api/v1/webhooks",
		web.V1NewWebhook{URL: "http://127.0.0.1:1/in", Types: types}, &made)
	olga.Must(http.StatusAccepted, "POST", "/api/v1/webhooks/"+string(made.ID)+"/test", nil, nil)
	var all web.V1Webhooks
	for ends := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		olga.Must(http.StatusOK, "GET", "/api/v1/webhooks", nil, &all)
		if all.Webhooks[0].FailedAt != nil {
			break
		}
		if time.Now().After(ends) {
			t.Fatal("the webhook never says that its receiver does not answer")
		}
	}
	if !strings.Contains(all.Webhooks[0].Failure, "no answer") {
		t.Errorf("the failure of the webhook: got %q, want that it does not answer",
			all.Webhooks[0].Failure)
	}
}

// TestARuleOfAllOwnStages: a rule gives access to all stages that another rule creates. The page of
// a user with this access receives each new stage, and an operator sees the rule.
func TestARuleOfAllOwnStages(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	mia := a.Broadcaster(olga, "mia", "subscribe")
	var makes, moderates web.V1Rule
	olga.Must(http.StatusCreated, "POST", "/api/v1/rules", web.V1Rule{
		OwnStage: "{name}'s stage", Capabilities: []string{"publish"},
	}, &makes)
	rule := web.V1Rule{OwnStagesOf: makes.ID, Capabilities: []string{"subscribe"}}
	olga.Must(http.StatusCreated, "POST", "/api/v1/rules", rule, &moderates)
	if moderates.OwnStagesOf != makes.ID {
		t.Errorf("the rule became %+v", moderates)
	}
	page := mia.Events()
	apptest.Await(page, "me", func(web.Me) bool { return true })
	a.Broadcaster(olga, "ana", "publish")
	apptest.Await(page, "me", func(me web.Me) bool {
		return slices.ContainsFunc(me.Stages, func(s web.MyStage) bool {
			return s.Name == "ana's stage"
		})
	})
	var person web.V1UserDetail
	olga.Must(http.StatusOK, "GET", "/api/v1/users/"+string(mia.Me().ID), nil, &person)
	if len(person.OwnStagesOf) != 1 || person.OwnStagesOf[0].Rule != makes.ID ||
		person.OwnStagesOf[0].OwnStage != "{name}'s stage" {
		t.Errorf("the page of the moderator has %+v", person.OwnStagesOf)
	}
	olga.Refused(http.StatusConflict, "conflict", "DELETE", "/api/v1/rules/"+string(makes.ID), nil)
	olga.Must(http.StatusNoContent, "DELETE", "/api/v1/rules/"+string(moderates.ID), nil, nil)
	apptest.Await(page, "me", func(me web.Me) bool { return len(me.Stages) == 2 })
}
