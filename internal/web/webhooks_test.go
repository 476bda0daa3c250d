package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

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
	page := ana.Events()
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	apptest.Await(page, "stage", func(e web.StageEvent) bool { return e.Kind == "publishing" })
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

// TestMessagesSurviveARestartAndAreSentAgain: a message that its receiver has not accepted arrives
// after a restart of the server. A message that is not tried again is listed, and arrives on
// demand.
func TestMessagesSurviveARestartAndAreSentAgain(t *testing.T) {
	t.Parallel()
	flags := []string{"--webhook-networks", "127.0.0.0/8"}
	a := apptest.Start(t, flags...)
	olga := a.Operator()
	type attempt struct {
		id     string
		status int
	}
	var status atomic.Int32
	attempts := make(chan attempt, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := int(status.Load())
		w.WriteHeader(now)
		attempts <- attempt{r.Header.Get("webhook-id"), now}
	}))
	t.Cleanup(receiver.Close)
	next := func(answered int) (id string) {
		t.Helper()
		for patience := time.After(time.Minute); ; {
			select {
			case got := <-attempts:
				if got.status == answered {
					return got.id
				}
			case <-patience:
				t.Fatalf("no attempt was answered with %d", answered)
			}
		}
	}

	status.Store(http.StatusServiceUnavailable)
	var hook web.V1CreatedWebhook
	olga.Must(http.StatusCreated, "POST", "/api/v1/webhooks",
		web.V1NewWebhook{URL: receiver.URL, Types: []string{access.MessageUserCreated}}, &hook)
	olga.Must(http.StatusCreated, "POST", "/api/v1/users", web.NewUser{Name: "ana"}, nil)
	waiting := next(http.StatusServiceUnavailable)
	a.Stop()
	status.Store(http.StatusNoContent)
	olga = olga.At(a.Again(flags...))
	if got := next(http.StatusNoContent); got != waiting {
		t.Errorf("after the restart %s arrives, want %s", got, waiting)
	}

	t.Log("410 Gone: it is not tried again")
	status.Store(http.StatusGone)
	path := "/api/v1/webhooks/" + string(hook.ID)
	var queued web.V1Queued
	olga.Must(http.StatusAccepted, "POST", path+"/test", nil, &queued)
	next(http.StatusGone)
	dead := func(want int) (list web.V1Deliveries) {
		t.Helper()
		for ends := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			list = web.V1Deliveries{}
			olga.Must(http.StatusOK, "GET", path+"/dead", nil, &list)
			if len(list.Deliveries) == want {
				return list
			}
			if time.Now().After(ends) {
				t.Fatalf("the failed deliveries are %+v, want %d", list.Deliveries, want)
			}
		}
	}
	if d := dead(1).Deliveries[0]; d.ID != queued.Delivery || d.Status != http.StatusGone ||
		d.Attempts != 1 {
		t.Errorf("the failed delivery is %+v", d)
	}

	t.Log("it is sent again on demand")
	status.Store(http.StatusOK)
	var replayed web.V1Replayed
	olga.Must(http.StatusOK, "POST", path+"/replay?delivery="+queued.Delivery, nil, &replayed)
	if got := next(http.StatusOK); got != queued.Delivery || replayed.Replayed != 1 {
		t.Errorf("%d messages are sent again, and %s arrives; want %s", replayed.Replayed, got,
			queued.Delivery)
	}
	dead(0)
}
