package docktest

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestAModeratorEndsABar: on the page Live, a moderator sees the bars of the stages that they
// moderate, with the person who barred and the reason, and ends a bar. An operator sees the bars of
// all stages.
func TestAModeratorEndsABar(t *testing.T) {
	t.Parallel()
	a := replicas.App(t)
	olga := a.Operator()
	ana, bob := a.Broadcaster(olga, "ana", "publish"), a.Broadcaster(olga, "bob", "publish")
	mia := a.Broadcaster(olga, "mia", "subscribe")
	olga.Must(http.StatusOK, "PATCH", "/api/v1/users/"+string(mia.Me().ID),
		web.V1UserChange{Role: access.Moderator}, nil)
	var side web.Stage
	olga.Must(http.StatusCreated, "POST", "/api/v1/stages", web.NewStage{Name: "side"}, &side)
	olga.Must(http.StatusNoContent, "PUT", "/api/v1/users/"+string(bob.Me().ID)+"/grants/"+
		url.PathEscape(string(side.ARN)),
		web.GrantRequest{Capabilities: []string{"publish"}}, nil)
	bar(olga, ana, olga.MainStage(), "Language.")
	bar(olga, bob, string(side.ARN), "")
	for name, want := range map[string]int{"ana": 0, "bob": 1} {
		var found web.V1Users
		olga.Must(http.StatusOK, "GET", "/api/v1/users?q="+name, nil, &found)
		if got := found.Users[0].Stages; got != want {
			t.Errorf("stages to which %s has access: got %d, want %d", name, got, want)
		}
	}

	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(a.URL + "/operator/live")
	signInAs(page, "mia")
	page.WaitText("by olga. Reason: Language.")
	page.WaitNoText("bob")
	shootConsole(page, "console-bars")
	page.Click(`button[aria-label="Let in again: ana, main"]`)
	page.WaitText("ana may enter main again.")
	page.WaitText("Nobody is barred from a stage.")
	ana.Token("publish")
	page.Click(`.places a[href$="/operator/records"]`)
	page.WaitText("participant.unbarred")
	for _, width := range []int{320, 460, 1280} {
		page.Resize(width, 900)
		page.WaitFor(`[...document.querySelectorAll('.lines .action')]
			.every((e) => e.offsetHeight < 1.9 * parseFloat(getComputedStyle(e).fontSize))`)
	}
	shootConsole(page, "console-records-bars")

	t.Log("the operator sees every bar; a bar without a reason has none, in every language")
	other := browser.Open(t, browser.Current, browser.Options{Width: 460, Height: 900, Lang: "de"})
	other.Goto(a.URL + "/operator/live")
	other.Type(`input[name="name"]`, "olga")
	other.Type(`input[name="password"]`, apptest.Password)
	other.Click(`form button[type="submit"]`)
	other.WaitText("von olga.")
	other.WaitNoText("Removed by the operator.")
	other.ClickText("bob")
	other.WaitText("von olga.")
	other.Click(`button[aria-label="Wieder einlassen: bob, side"]`)
	other.WaitText("bob darf side wieder betreten.")
	bob.Must(http.StatusCreated, "POST", "/api/tokens", web.TokenRequest{Stage: side.ARN}, nil)
}

// TestAnEndedBarTakesItsMessageAway: when a broadcaster is let in again, the dock says so, and no
// longer shows the message of the bar.
func TestAnEndedBarTakesItsMessageAway(t *testing.T) {
	t.Parallel()
	row := rowNamed("barred-live")
	d := unconnected(t, browser.OBS31, row.obs, browser.Options{Width: 250})
	row.arrange(d)
	d.state(row.state)
	d.WaitText("The operator ended your broadcast: Noise.")
	d.server.become(func() {
		d.server.me["stages"], d.server.me["bars"] = []any{stageOf(arn, "main")}, nil
	})
	d.server.tell("me", d.server.me)
	d.WaitText("You may enter main again.")
	d.state("ready")
	d.WaitNoText("The operator ended your broadcast")
}

// bar gets a token for a broadcaster, and bars its holder.
func bar(olga, whom *apptest.Client, arn, reason string) {
	var token web.Token
	whom.Must(http.StatusCreated, "POST", "/api/tokens",
		web.TokenRequest{Stage: stage.ARN(arn)}, &token)
	olga.Must(http.StatusNoContent, "DELETE", "/api/v1/stages/"+url.PathEscape(arn)+
		"/participants/"+string(token.ParticipantID), web.Removal{Reason: reason, Bar: true}, nil)
}
