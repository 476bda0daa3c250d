package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestMessagesAreAsTheDocumentHasThem sends a message of every type. The mailbox compares each with
// the OpenAPI document.
func TestMessagesAreAsTheDocumentHasThem(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--webhook-networks", "127.0.0.0/8")
	olga := a.Operator()
	box := newMailbox(t, olga)
	var list web.V1Webhooks
	olga.Must(http.StatusOK, "GET", "/api/v1/webhooks", nil, &list)
	var hook web.V1CreatedWebhook
	olga.Must(http.StatusCreated, "POST", "/api/v1/webhooks",
		web.V1NewWebhook{URL: box.address, Types: list.Types}, &hook)
	var err error
	if box.verifier, err = standardwebhooks.NewWebhook(hook.Secret); err != nil {
		t.Fatal(err)
	}
	olga.Must(http.StatusAccepted, "POST", "/api/v1/webhooks/"+string(hook.ID)+"/test", nil, nil)
	wanted := map[string]string{"webhook.test": `"by":"olga"`, "user.created": `"name":"ana"`}

	t.Log("ana goes live; somebody tries a forged token with her participant ID")
	ana := a.Broadcaster(olga, "ana", "publish", "subscribe")
	token := ana.Token("")
	id := `"participantId":"` + string(token.ParticipantID) + `"`
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	page := ana.Events()
	forged := token.Token[:len(token.Token)-20] + "AAAAAAAAAAAAAAAAAAAA"
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, forged),
		rtcpeer.PublishOptions{}); err == nil {
		t.Error("a forged token is accepted")
	}
	apptest.Await(page, "stage", func(e web.StageEvent) bool { return e.Claimed })
	wanted["participant.published"], wanted["participant.refused"] = id, `"claimed":true`
	wanted["token.issued"] = id

	t.Log("ana is barred, and then suspended")
	olga.Must(http.StatusNoContent, "DELETE", "/api/v1/stages/"+url.PathEscape(string(token.Stage))+
		"/participants/"+string(token.ParticipantID), web.Removal{Reason: "Noise.", Bar: true}, nil)
	end := apptest.Await(page, "stage", func(e web.StageEvent) bool { return e.Kind == "ended" })
	if end.ByRole != access.Operator || end.Detail != "Noise." {
		t.Errorf("the dock is sent %+v", end)
	}
	olga.Must(http.StatusNoContent, "POST", "/api/v1/users/"+string(ana.Me().ID)+"/suspend",
		web.V1Reason{}, nil)
	wanted["participant.ended"] = `"name":"olga","role":"operator"},"barred":true`
	wanted["token.revoked"], wanted["user.suspended"] = id, `"name":"ana"`
	for _, kind := range list.Types {
		if wanted[kind] == "" {
			t.Errorf("the test has no message of the type %s", kind)
		}
	}
	box.await(wanted)

	t.Log("the list of events has the kick, too")
	var events web.V1Events
	olga.Must(http.StatusOK, "GET", "/api/v1/events?kind=ended", nil, &events)
	if !slices.ContainsFunc(events.Events, func(e web.V1Event) bool {
		return e.By != nil && e.By.Name == "olga" && e.Barred
	}) {
		t.Errorf("the events are %+v", events.Events)
	}
}
