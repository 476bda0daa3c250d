package docktest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestTheConsoleSaysHowThingsStand: the console shows a webhook that fails, a dock without OBS,
// access to one stage, and access to all stages by a rule. The account page of a barred person
// shows the bar.
func TestTheConsoleSaysHowThingsStand(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--webhook-networks", "127.0.0.0/8")
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish")
	ana.Must(http.StatusNoContent, "PUT", "/api/docks/dockdock1",
		web.DockState{OBS: &web.OBSState{State: "lost"}}, nil)
	var hook web.V1CreatedWebhook
	olga.Must(http.StatusCreated, "POST", "/api/v1/webhooks", web.V1NewWebhook{
		URL: "http://127.0.0.1:1/in", Types: []string{access.MessageUserCreated},
	}, &hook)
	olga.Must(http.StatusAccepted, "POST", "/api/v1/webhooks/"+string(hook.ID)+"/test", nil, nil)

	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(a.URL + "/operator/people")
	signInAs(page, "olga")
	page.WaitText("access to 1 stage")
	if strings.Contains(page.Text(), "1 stages") {
		t.Error("one stage is named like many")
	}
	page.ClickText("ana")
	page.WaitText("OBS, OBS not reachable")

	t.Log("a rule that gives all stages of another")
	page.Click(`.places a[href$="/operator/rules"]`)
	page.ClickText("Show the effect")
	page.ClickText("Add rule")
	page.WaitText("a stage of their own: {name}")
	page.Eval(`(() => {
		const select = document.querySelector('#rule-stage');
		select.value = [...select.options].find((o) => o.text.startsWith('all stages')).value;
		select.dispatchEvent(new Event('change', { bubbles: true }));
	})()`, nil)
	page.ClickText("Show the effect")
	page.ClickText("Add rule")
	page.WaitFor(`[...document.querySelectorAll('.lines .side')]
		.some((e) => e.innerText === 'all stages of the rule: {name}')`)
	page.Goto(a.URL + "/operator/person?id=" + string(ana.Me().ID))
	page.WaitText("all stages of the rule: {name}")

	t.Log("the page says why nothing arrives at a webhook")
	awaitFailure(t, olga)
	page.Goto(a.URL + "/operator/programs")
	page.WaitText("The last attempt failed")

	t.Log("ana is barred, and reads from which stage and why")
	arn := url.PathEscape(olga.MainStage())
	token := ana.Token("publish")
	olga.Must(http.StatusNoContent, "DELETE",
		"/api/v1/stages/"+arn+"/participants/"+string(token.ParticipantID),
		web.Removal{Reason: "language", Bar: true}, nil)
	hers := browser.Open(t, browser.Current, browser.Options{Width: 460, Height: 900})
	hers.Goto(a.URL + "/account")
	signInAs(hers, "ana")
	hers.WaitText("You are barred from main since")
	hers.WaitText("Reason: language")
	olga.Must(http.StatusNoContent, "DELETE",
		"/api/v1/users/"+string(ana.Me().ID)+"/grants/"+arn+"/bar", nil, nil)
	hers.WaitFor(`!document.body.innerText.includes('You are barred')`)
}

// awaitFailure waits until the attempt to reach the webhook has failed.
func awaitFailure(t *testing.T, olga *apptest.Client) {
	t.Helper()
	for ends := time.Now().Add(time.Minute); time.Now().Before(ends); {
		var all web.V1Webhooks
		olga.Must(http.StatusOK, "GET", "/api/v1/webhooks", nil, &all)
		if all.Webhooks[0].FailedAt != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the webhook never says that its receiver does not answer")
}

// TestLiveShowsWhoIsThere: the page Live shows who broadcasts and what arrives, who is barred by
// whom and why, and who was refused. It speaks about these people and does not address them. The
// page of a person shows what happened on the stages, in the language of the operator.
func TestLiveShowsWhoIsThere(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana, ben := a.Broadcaster(olga, "ana", "publish"), a.Broadcaster(olga, "ben", "publish")
	hers, barred := ana.Token("publish"), ben.Token("publish")
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(hers.Endpoint, hers.Token), rtcpeer.PublishOptions{
		Clip: rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Profile: "main"}),
	}); err != nil {
		t.Fatal(err)
	}
	olga.Must(http.StatusNoContent, "DELETE", "/api/v1/stages/"+url.PathEscape(olga.MainStage())+
		"/participants/"+string(barred.ParticipantID),
		web.Removal{Reason: "Language.", Bar: true}, nil)
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(barred.Endpoint, barred.Token),
		rtcpeer.PublishOptions{}); err == nil {
		t.Error("ben, who is barred, publishes")
	}

	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(a.URL + "/operator/live")
	signInAs(page, "olga")
	page.WaitText("receives 640×360")
	page.WaitVisible(`a[aria-label="Watch: ana"]`)
	page.WaitText("by olga. Reason: Language.")
	page.WaitText("The person is barred from this stage. Reason: Language.")
	page.WaitNoText("You may not")
	shootConsole(page, "console-live")
	page.ClickText("ben")
	page.WaitFor(`[...document.querySelectorAll('h3 + .lines')]
		.some((e) => e.innerText.includes('The person is barred from this stage.'))`)

	poll(t, "the warning about ana's profile", func() bool {
		var events web.V1Events
		olga.Must(http.StatusOK, "GET", "/api/v1/events?kind=warning", nil, &events)
		return len(events.Events) > 0
	})
	ana.Must(http.StatusCreated, "POST", "/api/keys", web.NewKey{Name: "kiosk"}, nil)
	for lang, sentences := range map[string][]string{
		"de": {"Die Verbindung steht;", "Die Bühne empfängt", "Das H.264-Profil ist Main;",
			"Zugangsschlüssel ·"},
		"es": {"La conexión está lista;", "El escenario recibe", "El perfil de H.264 es Main;",
			"clave de acceso ·"},
	} {
		page.Eval(`localStorage.setItem('stagedoor.language', '`+lang+`')`, nil)
		page.Goto(a.URL + "/operator/person?id=" + string(ana.Me().ID))
		for _, sentence := range sentences {
			page.WaitText(sentence)
		}
		shootConsole(page, "console-history-"+lang)
		page.Goto(a.URL + "/operator/live")
		page.WaitVisible(`#live-rows > li`)
		shootConsole(page, "console-live-"+lang)
	}
}

// TestTheConsoleTidiesUp: on the console, an operator renames a stage, finds and revokes a token,
// suspends, restores and removes a person, and saves the records of all that as a file.
func TestTheConsoleTidiesUp(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish")
	token := ana.Token("publish")
	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(a.URL + "/operator/stages")
	signInAs(page, "olga")
	page.ClickText("Manage: main")
	page.Type(`[id="name-`+olga.MainStage()+`"]`, "hall")
	page.Press("Enter")
	page.WaitText("The stage “hall” is changed.")
	page.Type("#f-stageName", "side")
	page.Press("Enter")
	page.WaitText("The stage “side” is added.")
	page.WaitFor(`document.activeElement.id === 'f-stageName' && !document.activeElement.value`)

	page.Click(`.places a[href$="/operator/tokens"]`)
	page.WaitText(string(token.ParticipantID))
	pick(page, "#choice-state", "revoked")
	page.WaitText("Nothing matches.")
	pick(page, "#choice-state", "active")
	page.WaitFor(`location.search.includes('state=active')`)
	page.Click(`button[aria-label^="Revoke: ana"]`)
	page.ClickText("Yes, do it")
	page.WaitText("The token of ana for hall is revoked.")
	page.WaitText("Nothing matches.")

	page.Goto(a.URL + "/operator/person?id=" + string(ana.Me().ID))
	page.ClickText("Suspend: ana")
	page.ClickText("Yes, do it")
	page.WaitText("ana is suspended.")
	page.ClickText("Restore: ana")
	page.WaitText("ana may sign in again.")
	page.ClickText("Remove: ana")
	page.ClickText("Yes, do it")
	page.WaitText("ana is removed.")
	page.WaitFor(`location.pathname === '/operator/people' &&
		document.querySelectorAll('.lines > li').length === 1`)

	page.Click(`.places a[href$="/operator/records"]`)
	page.Eval(`(() => {
		const make = URL.createObjectURL;
		URL.createObjectURL = (blob) => { window.saved = blob; return make(blob); };
		HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };
	})()`, nil)
	page.ClickText("Save as CSV")
	page.WaitFor(`window.savedAs === 'audit.csv'`)
	var file string
	page.Eval(`window.saved.text()`, &file)
	for _, action := range []string{"time,action,", "stage.changed", "token.revoked",
		"user.suspended", "user.restored", "user.removed"} {
		if !strings.Contains(file, action) {
			t.Errorf("the file of records has no %q: %s", action, file)
		}
	}
}

// pick chooses an option of a list by its value.
func pick(page *browser.Page, list, value string) {
	page.WaitVisible(list)
	page.Eval(`(() => {
		const select = document.querySelector('`+list+`');
		select.value = '`+value+`';
		select.dispatchEvent(new Event('change', { bubbles: true }));
	})()`, nil)
}
