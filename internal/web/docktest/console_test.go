package docktest

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestTheConsoleHoldsWhatWasAskedFor: with hundreds of people the page shows a page of them, and
// finds the others.
func TestTheConsoleHoldsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	for i := range 300 {
		olga.Must(http.StatusCreated, "POST", "/api/v1/users", web.NewUser{Name: fmt.Sprintf("person %03d", i)}, nil)
	}
	for i := range 40 {
		olga.Must(http.StatusCreated, "POST", "/api/v1/stages", web.NewStage{Name: fmt.Sprintf("stage %02d", i)}, nil)
	}
	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(a.URL + "/operator#people")
	signInAs(page, "olga")
	page.WaitText("person 000")
	nodes := 0
	page.Eval(`document.querySelectorAll('*').length`, &nodes)
	if nodes > 2000 {
		t.Errorf("the page has %d nodes for 301 people and 41 stages", nodes)
	}

	t.Log("more on demand, and a search over all of them")
	page.ClickText("More")
	page.WaitText("person 098")
	page.Type(`#f-find-users`, "person 299")
	page.WaitText("person 299")
	page.WaitFor(`document.querySelectorAll('.list > .item').length === 1`)

	t.Log("access, suspension and a role, where the row is opened")
	page.ClickText("Manage: person 299")
	page.ClickText("Give access")
	page.WaitText("tokens up to 12 hours")
	shootConsole(page, "console-people")
	page.ClickText("Suspend: person 299")
	page.ClickText("Yes, do it")
	page.WaitText("suspended")

	t.Log("a rule that gives everybody a stage of their own")
	page.Click(`a[href="#rules"]`)
	page.ClickText("Add rule")
	page.WaitText("a stage of their own: {name}")
	shootConsole(page, "console-rules")

	t.Log("an API key is shown once; all of it is in the records")
	page.Click(`a[href="#programs"]`)
	page.Type(`#f-keyName`, "studio page")
	page.ClickText("Create API key")
	page.WaitText("This is shown this once.")
	shootConsole(page, "console-programs")
	page.Click(`a[href="#records"]`)
	page.WaitText("key.created")
	page.WaitText("user.suspended")
	shootConsole(page, "console-records")
	page.Click(`a[href="#stages"]`)
	page.Type(`#f-find-stages`, "stage 39") // behind the stages that the rule made
	page.WaitText("stage 39")
	shootConsole(page, "console-stages")
}

func shootConsole(page *browser.Page, name string) {
	if *screenshots == "" {
		return
	}
	for _, width := range []int{320, 1280} {
		page.Resize(width, 900)
		page.Screenshot(filepath.Join(*screenshots, name+"-"+strconv.Itoa(width)+".png"))
	}
}
