package web_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// A mailbox receives the messages of one webhook. It checks their signatures, and compares them
// with the OpenAPI document.
type mailbox struct {
	t        *testing.T
	server   *apptest.Client
	address  string
	verifier *standardwebhooks.Webhook
	arrived  chan received
}

type received struct {
	header http.Header
	body   []byte
}

func newMailbox(t *testing.T, server *apptest.Client) *mailbox {
	m := &mailbox{t: t, server: server, arrived: make(chan received, 100)}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.arrived <- received{r.Header, body}
	}))
	t.Cleanup(s.Close)
	m.address = s.URL
	return m
}

// await waits until there is a message for each type in `wanted`. The data of the message must
// contain the text that `wanted` has for its type.
func (m *mailbox) await(wanted map[string]string) {
	m.t.Helper()
	patience := time.After(time.Minute)
	for len(wanted) > 0 {
		select {
		case got := <-m.arrived:
			if err := m.verifier.Verify(got.body, got.header); err != nil {
				m.t.Errorf("the signature of %s: %v", got.body, err)
			}
			kind := m.server.Message(got.body)
			word, open := wanted[kind]
			if open && bytes.Contains(got.body, []byte(word)) {
				delete(wanted, kind)
			}
		case <-patience:
			m.t.Fatalf("these messages did not arrive: %v", wanted)
		}
	}
}

var metricsAddress = regexp.MustCompile(`Metrics:\s+(\S+)`)

// TestTheRoadOfANewOperator: users sign in with a provider, a rule gives everybody a stage, a
// device code signs in a dock, and a moderator ends a broadcast. All of this is in the audit trail,
// the metrics and the messages to a webhook. Then an application with an API key signs in a dock,
// which goes live.
func TestTheRoadOfANewOperator(t *testing.T) {
	t.Parallel()
	m, flags := provider(t, "--oidc-require", "groups=staff", "--oidc-moderators", "groups=mods",
		"--webhook-networks", "127.0.0.0/8", "--metrics-listen", "127.0.0.1:0")
	a := apptest.Start(t, flags...)
	olga := a.Operator()
	box := newMailbox(t, olga)
	var hook web.V1CreatedWebhook
	olga.Must(http.StatusCreated, "POST", "/api/v1/webhooks", web.V1NewWebhook{
		URL: box.address, Types: []string{"user.created", "token.issued", "token.revoked",
			"participant.published", "participant.ended"},
	}, &hook)
	var err error
	if box.verifier, err = standardwebhooks.NewWebhook(hook.Secret); err != nil {
		t.Fatal(err)
	}
	olga.Must(http.StatusCreated, "POST", "/api/v1/rules", web.V1Rule{
		OwnStage: "{name}'s stage", Capabilities: []string{"publish", "subscribe"},
	}, nil)

	t.Log("ben signs in at the provider, and approves his dock by its code")
	signIn := func(name string, groups ...string) *apptest.Client {
		t.Helper()
		m.QueueUser(&mockoidc.MockUser{Subject: name, PreferredUsername: name, Groups: groups})
		c := a.Browser()
		if at := follow(t, c, a.URL+"/api/oidc/login?next=/account"); at.Path != "/account" ||
			at.Fragment != "" {
			t.Fatalf("the sign-in of %s ends at %s", name, at)
		}
		return c
	}
	ben, dock := signIn("ben", "staff"), a.Browser()
	var code web.DeviceCode
	dock.Must(http.StatusCreated, "POST", "/api/device", nil, &code)
	ben.Must(http.StatusNoContent, "POST", "/api/device/approve",
		web.UserCode{UserCode: code.UserCode}, nil)
	dock.Must(http.StatusOK, "POST", "/api/device/token",
		web.DeviceToken{DeviceCode: code.DeviceCode}, nil)
	me := dock.Me()
	if me.Name != "ben" || len(me.Stages) != 1 || me.Stages[0].Name != "ben's stage" {
		t.Fatalf("the dock: got %+v, want ben with a stage of his own", me)
	}

	t.Log("ben goes live")
	page, arn := dock.Events(), me.Stages[0].ARN
	var token web.Token
	dock.Must(http.StatusCreated, "POST", "/api/tokens", web.TokenRequest{Stage: arn}, &token)
	live, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	on := func(kind string) func(web.StageEvent) bool {
		return func(e web.StageEvent) bool {
			return e.ParticipantID == token.ParticipantID && string(e.Kind) == kind
		}
	}
	apptest.Await(page, "stage", on("publishing"))

	t.Log("a moderator of the stage kicks and bars ben")
	mia := signIn("mia", "staff", "mods")
	path := url.PathEscape(string(arn))
	olga.Must(http.StatusNoContent, "PUT", "/api/v1/users/"+string(mia.Me().ID)+"/grants/"+path,
		web.GrantRequest{Capabilities: []string{"subscribe"}}, nil)
	mia.Must(http.StatusNoContent, "DELETE",
		"/api/v1/stages/"+path+"/participants/"+string(token.ParticipantID),
		web.Removal{Reason: "language", Bar: true}, nil)
	select {
	case <-live.Closed():
	case <-time.After(time.Minute):
		t.Fatal("the broadcast goes on")
	}
	dock.Refused(http.StatusForbidden, "barred", "POST", "/api/tokens",
		web.TokenRequest{Stage: arn})
	_, err = rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token), rtcpeer.PublishOptions{})
	if err == nil {
		t.Error("the old token is accepted")
	}

	t.Log("an application puts a signed-in dock into OBS")
	var key web.V1CreatedAPIKey
	olga.Must(http.StatusCreated, "POST", "/api/v1/api-keys",
		web.V1NewAPIKey{Name: "studio page", Scopes: []access.Scope{access.ScopeUsers}}, &key)
	studio := a.Browser()
	studio.Key = key.Key
	var link web.V1DockLink
	studio.Must(http.StatusCreated, "POST", "/api/v1/dock-links",
		web.V1DockLinkRequest{ExternalID: "u-17", Name: "kim"}, &link)
	address, err := url.Parse(link.URL)
	if err != nil {
		t.Fatal(err)
	}
	enrol, _ := url.ParseQuery(address.Fragment)
	kim := a.Browser()
	kim.Must(http.StatusCreated, "POST", "/api/enrol", web.EnrolCode{Code: enrol.Get("enrol")}, nil)
	if me := kim.Me(); me.Name != "kim" || len(me.Stages) != 1 ||
		me.Stages[0].Name != "kim's stage" {
		t.Fatalf("the dock of the link is %+v", me)
	}
	var kims web.Token
	kim.Must(http.StatusCreated, "POST", "/api/tokens",
		web.TokenRequest{Stage: kim.Me().Stages[0].ARN}, &kims)
	stage := kim.Events()
	if _, err = rtcpeer.Publish(t, rtcpeer.HTTP(kims.Endpoint, kims.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	apptest.Await(stage, "stage", func(e web.StageEvent) bool {
		return e.ParticipantID == kims.ParticipantID && e.Kind == "publishing"
	})

	t.Log("the webhook, the trail and the metrics have it")
	id := string(token.ParticipantID)
	box.await(map[string]string{
		"user.created": `"ben"`, "token.issued": id, "participant.published": id,
		"token.revoked": id, "participant.ended": id,
	})
	var trail web.V1Audit
	olga.Must(http.StatusOK, "GET", "/api/v1/audit?limit=100", nil, &trail)
	did := map[string]bool{}
	for _, e := range trail.Entries {
		did[e.Actor.Name+" "+string(e.Action)] = true
		if e.Action == access.ActionTokenIssued && e.Target == id && e.Actor.Name != "ben" {
			t.Errorf("the token is %+v in the trail", e)
		}
	}
	for _, want := range []string{
		"olga webhook.created", "olga rule.created", "ben user.created", "ben login.created",
		"mia login.created", "olga access.given", "mia participant.barred",
		"olga system.set_up", "olga login.created", "ben stage.created", "ben access.given",
		"ben device_code.approved", "ben token.issued", "olga key.created",
		"studio page user.created", "studio page enrolment.created", "kim login.created",
		"kim token.issued",
	} {
		if !did[want] {
			t.Errorf("the trail lacks %q: %v", want, did)
		}
	}
	answer, err := http.Get(metricsAddress.FindStringSubmatch(a.Output())[1])
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	metrics, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`stagedoor_sign_ins_total{result="ok",way="oidc"} 2`,
		`stagedoor_sign_ins_total{result="ok",way="code"} 1`,
		`stagedoor_sign_ins_total{result="ok",way="enrolment"} 1`,
		`stagedoor_sign_ins_total{result="ok",way="setup"} 1`,
		`stagedoor_participants{role="publisher"}`,
		`stagedoor_tokens_total{result="ok",way="local_key"}`,
		`stagedoor_participant_events_total{kind="publishing"`,
		`stagedoor_webhook_attempts_total{result="ok"}`,
	} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
