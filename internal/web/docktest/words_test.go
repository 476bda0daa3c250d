package docktest

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestTheServersSentencesInGerman: details of the audit trail, findings of the doctor and those of
// docks are stored or sent in English. The console shows them in the language of the page. It shows
// a rule by a sentence that describes it.
func TestTheServersSentencesInGerman(t *testing.T) {
	t.Parallel()
	a := replicas.App(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish")
	bar(olga, ana, olga.MainStage(), "")
	olga.Must(http.StatusOK, "PATCH", "/api/v1/users/"+string(ana.Me().ID),
		web.V1UserChange{Role: access.Moderator}, nil)
	var made, wide web.V1Rule
	olga.Must(http.StatusCreated, "POST", "/api/v1/rules", web.V1Rule{
		Claim: "groups", Value: "crew", OwnStage: "{name}'s stage",
		Capabilities: []string{"publish", "subscribe"}}, &made)
	olga.Must(http.StatusCreated, "POST", "/api/v1/rules", web.V1Rule{
		OwnStagesOf: made.ID, Capabilities: []string{"subscribe"}}, &wide)

	page := browser.Open(t, browser.Current, browser.Options{
		Width: 1280, Height: 900, Lang: "de"})
	page.Goto(a.URL + "/operator/records")
	page.Type(`input[name="name"]`, "olga")
	page.Type(`input[name="password"]`, apptest.Password)
	page.Click(`form button[type="submit"]`)
	for _, text := range []string{
		"groups=crew → eine eigene Bühne „{name}'s stage“ (senden, ansehen, " +
			"Tokens bis zu 12 Stunden)",
		"alle → alle Bühnen „{name}'s stage“ (ansehen, Tokens bis zu 12 Stunden)",
		"ansehen auf alle Bühnen „{name}'s stage“, durch eine Regel · Anmeldung",
		"Name ana, Rolle Moderator", "Vom Betreiber entfernt.", "senden, lokaler Schlüssel",
		"Einladung · Anmeldung", "Befehlszeile",
	} {
		page.WaitText(text)
	}
	for _, text := range []string{"by rule", "everybody", "Removed by", "tokens up to",
		"command line", string(made.ID)} {
		page.WaitNoText(text)
	}
	shootConsole(page, "console-records-de")

	t.Log("a rule on which another one rests is not removed, and the page says which one it is")
	page.Click(`.places a[href$="/operator/rules"]`)
	page.Click(`button[aria-label="Entfernen: groups = crew"]`)
	page.ClickText("Ja, ausführen")
	page.WaitText("Eine andere Regel gibt Zugang zu den Bühnen dieser Regel: alle → alle Bühnen")
	page.WaitNoText("Another rule")

	t.Log("the checks of the server are in the language of the page")
	page.Click(`.places a[href$="/operator/system"]`)
	page.ClickText("Jetzt prüfen")
	page.WaitText("Die Einstellungen passen zueinander.")
	page.WaitText("Ereignisse kommen sofort durch " + host(t, a.URL))
	var english []string
	page.Eval(`(async () => (await (await fetch('/api/v1/doctor')).json()).checks
		.flatMap((c) => [c.detail, c.advice])
		.filter((text) => text && document.body.innerText.includes(text)))()`, &english)
	if len(english) > 0 {
		t.Errorf("the German page has the English sentences %q", english)
	}
	shootConsole(page, "console-system-de")

	t.Log("a dock reports in English what it would change in OBS")
	obs := &web.OBSState{Version: "32.2.2", State: "not_ready", Findings: []web.Finding{{
		ID: "audioBitrate", Level: "fix",
		Text: "Sound has 320 kb/s; stages take at most 160. The audio bitrate becomes 160 kb/s.",
	}}}
	ana.Must(http.StatusNoContent, "PUT", "/api/docks/dockOfAna", web.DockState{OBS: obs}, nil)
	page.Goto(a.URL + "/operator/person?id=" + string(ana.Me().ID))
	page.WaitText("Der Ton hat 320 kb/s; Bühnen nehmen höchstens 160.")
	page.WaitNoText("Sound has")
}

func host(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
