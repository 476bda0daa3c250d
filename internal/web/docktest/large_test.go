package docktest

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/bigdata"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestTheConsoleOfALargeService: with a thousand broadcasters, the console shows the right counts,
// says when a list is empty because of a search, and lets the operator change a role with the
// keyboard.
func TestTheConsoleOfALargeService(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	if err := bigdata.FillAt(t.Context(), "sqlite", filepath.Join(a.Data, "stagedoor.db"),
		bigdata.FewThousand, time.Now()); err != nil {
		t.Fatal(err)
	}
	ana := a.Broadcaster(olga, "ana", "publish")
	olga.Must(http.StatusCreated, "POST", "/api/v1/rules", web.V1Rule{
		Stage: stage.ARN(olga.MainStage()), Capabilities: []string{"subscribe"}}, nil)

	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(a.URL + "/operator/stages")
	signInAs(page, "olga")
	page.WaitText("1,000+ with access")

	t.Log("a list that a search or a filter has emptied says so")
	page.Type("#f-find-stages", "no such stage")
	page.WaitText("Nothing matches.")
	page.Goto(a.URL + "/operator/tokens?user=" + string(ana.Me().ID))
	page.WaitText("Nothing matches.")
	page.Goto(a.URL + "/operator/person?id=nobody")
	page.WaitFor(`document.querySelector('[role="alert"]')`)
	page.WaitNoText("One moment")

	t.Log("records about a person name the person")
	page.Goto(a.URL + "/operator/records?target=" + string(ana.Me().ID))
	page.WaitText("about ana")

	t.Log("on a phone, the search leaves room for the choice beside it")
	for _, name := range []string{"live", "people", "tokens", "records"} {
		page.Goto(a.URL + "/operator/" + name)
		page.WaitVisible(`[role="search"] input[type="search"]`)
		page.Resize(360, 900)
		page.WaitFor(`(() => {
			const box = (what) => document.querySelector('[role="search"] ' + what)
				.getBoundingClientRect();
			const [input, select] = [box('input'), box('select')];
			return input.right <= select.left || input.bottom <= select.top;
		})()`)
	}
	page.Resize(1280, 900)
	changesARole(t, page, a, ana)
}

// changesARole checks that the console asks for a confirmation before it changes a role. The button
// to confirm has the focus, and Escape returns the focus to the field.
func changesARole(t *testing.T, page *browser.Page, a *apptest.App, ana *apptest.Client) {
	page.Goto(a.URL + "/operator/person?id=" + string(ana.Me().ID))
	page.WaitVisible("#choice-role")
	choose := `(() => {
		const select = document.querySelector('#choice-role');
		select.value = 'moderator';
		select.dispatchEvent(new Event('change', { bubbles: true }));
	})()`
	page.Eval(choose, nil)
	page.WaitText("Give ana the role moderator?")
	page.WaitFor(`document.activeElement.innerText === 'Yes, do it'`)
	page.Accessible()
	page.Press("Escape")
	page.WaitFor(`document.activeElement.id === 'choice-role' &&
		document.activeElement.value === 'broadcaster'`)
	if got := ana.Me().Role; got != access.Broadcaster {
		t.Errorf("before the answer, the role is %q, want %v", got, access.Broadcaster)
	}
	page.Eval(choose, nil)
	page.Press("Enter")
	page.WaitText("ana has the role moderator now.")
	page.WaitFor(`document.activeElement.id === 'choice-role'`)

	press(page, "Suspend: ana")
	page.WaitFor(`document.activeElement.innerText === 'Yes, do it'`)
	page.Press("Escape")
	page.WaitFor(`document.activeElement.innerText === 'Suspend'`)
	page.Press("Enter")
	page.Press("Enter")
	page.WaitText("ana is suspended.")
	page.WaitFor(`document.activeElement.tagName === 'H1'`) // the button is no longer there
}
