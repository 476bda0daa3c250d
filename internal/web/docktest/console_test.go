package docktest

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestTheConsoleHoldsWhatWasAskedFor: with hundreds of people, the console shows one page of the
// list, and finds the other people by search.
func TestTheConsoleHoldsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	a := replicas.App(t)
	olga := a.Operator()
	for i := range 300 {
		olga.Must(http.StatusCreated, "POST", "/api/v1/users",
			web.NewUser{Name: fmt.Sprintf("person %03d", i)}, nil)
	}
	for i := range 40 {
		olga.Must(http.StatusCreated, "POST", "/api/v1/stages",
			web.NewStage{Name: fmt.Sprintf("stage %02d", i)}, nil)
	}
	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(a.URL + "/operator/people")
	signInAs(page, "olga")
	page.WaitText("person 000")
	nodes := 0
	page.Eval(`document.querySelectorAll('*').length`, &nodes)
	if nodes > 2000 {
		t.Errorf("the page has %d nodes for 301 people and 41 stages", nodes)
	}

	t.Log("the list loads more rows on request, and the search covers all of them")
	page.ClickText("More")
	page.WaitText("person 098")
	page.Type(`#f-find-users`, "person 299")
	page.WaitText("person 299")
	page.WaitFor(`document.querySelectorAll('.lines > li').length === 1`)

	t.Log("the address contains the search, and each user has a page with access and " +
		"suspension")
	page.WaitFor(`location.search === '?q=person+299'`)
	page.ClickText("person 299")
	page.WaitFor(`location.pathname === '/operator/person'`)
	page.WaitText("no access yet")
	page.Click(`form button[type="submit"]`)
	page.WaitText("tokens up to 12 hours")
	shootConsole(page, "console-people")
	page.ClickText("Suspend: person 299")
	page.ClickText("Yes, do it")
	page.WaitText("suspended")
	page.Back()
	page.WaitFor(`document.querySelectorAll('.lines > li').length === 1`)
	page.WaitText("Search people")

	t.Log("the operator ends one login of a user, and the other one stays")
	ana := a.Broadcaster(olga, "ana", "publish")
	other := a.Browser()
	other.Must(http.StatusOK, "POST", "/api/login",
		web.Credentials{Name: "ana", Password: apptest.Password}, nil)
	page.Goto(a.URL + "/operator/person?id=" + string(ana.Me().ID))
	page.WaitFor(`document.querySelectorAll('button[aria-label^="Sign out: "]').length === 2`)
	shootConsole(page, "console-person")
	page.Click(`button[aria-label^="Sign out: "]`) // ends the latest login
	page.WaitFor(`document.querySelectorAll('button[aria-label^="Sign out: "]').length === 1`)
	status := map[int]int{}
	for _, login := range []*apptest.Client{ana, other} {
		got, _, _ := login.Do("GET", "/api/me", nil)
		status[got]++
	}
	if status[http.StatusOK] != 1 || status[http.StatusUnauthorized] != 1 {
		t.Errorf("after one of two logins was ended: %v", status)
	}

	t.Log("a rule that gives everybody a stage of their own")
	page.Click(`.places a[href$="/operator/rules"]`)
	page.ClickText("Show the effect")
	page.ClickText("Add rule")
	page.WaitText("a stage of their own: {name}")
	shootConsole(page, "console-rules")

	t.Log("the rule is edited in the list: the page shows the effect before the change is stored")
	page.Click(`.lines button[aria-label="Edit: Every user"]`)
	page.Type(`#edit-claim`, "groups")
	page.Type(`#edit-value`, "crew")
	page.Click(`.lines input[name="subscribe"]`)
	page.ClickText("Show the effect")
	page.WaitText("Lose access, with their open tokens there: 301 (")
	page.WaitText("and others).")
	shootConsole(page, "console-rules-edit")
	page.Type(`#edit-ruleHours`, "2")
	page.WaitFor(`!document.body.innerText.includes('Lose access')`)
	page.ClickText("Show the effect")
	page.ClickText("Save rule")
	page.WaitText("groups = crew")
	page.WaitText("tokens up to 2 hours")
	page.WaitFor(`!document.querySelector('#edit-claim')`)
	var rules web.V1Rules
	olga.Must(http.StatusOK, "GET", "/api/v1/rules", nil, &rules)
	if r := rules.Rules[0]; len(rules.Rules) != 1 || r.Claim != "groups" || r.Value != "crew" ||
		*r.MaxTTL != 7200 || len(r.Capabilities) != 1 {
		t.Errorf("the rule is %+v", rules.Rules)
	}
	t.Log("the form shows a refusal of the server, and Cancel leaves the rule unchanged")
	page.Click(`.lines button[aria-label="Edit: groups = crew"]`)
	page.Type(`#edit-own`, "everybody's")
	page.ClickText("Show the effect")
	page.WaitText("must contain {name}")
	page.ClickText("Cancel")
	page.WaitText("groups = crew")

	t.Log("an API key is shown once; the records contain all of these changes")
	page.Click(`.places a[href$="/operator/programs"]`)
	page.Type(`#f-keyName`, "studio page")
	page.ClickText("Create API key")
	page.WaitText("This is shown only once.")
	shootConsole(page, "console-programs")
	page.Click(`.places a[href$="/operator/records"]`)
	page.WaitText("key.created")
	page.WaitText("user.suspended")
	shootConsole(page, "console-records")
	page.Type(`#f-find-audit`, "Studio Page")
	page.WaitFor(`location.search === '?q=Studio+Page'`)
	page.WaitFor(`document.querySelectorAll('.lines > li').length === 1`)
	page.WaitText("key.created")
	page.Click(`.places a[href$="/operator/stages"]`)
	page.Type(`#f-find-stages`, "stage 39") // it is listed after the stages that the rule created
	page.WaitText("stage 39")
	shootConsole(page, "console-stages")

	t.Log("the other pages, each at its address")
	page.Click(`.places a[href$="/operator/live"]`)
	page.WaitText("No stage refused a connection within the last hour.")
	page.Click(`.places a[href$="/operator/keys"]`)
	page.WaitText("start Stagedoor with --ivs-region")
	shootConsole(page, "console-keys")
	page.Click(`.places a[href$="/operator/tokens"]`)
	page.WaitText("No tokens were issued.")
	shootConsole(page, "console-tokens")
	brandsThePages(t, a, page)
}

// brandsThePages checks that the page refuses a colour that is hard to read and gives the reason.
// It also checks that the console shows the name and the colour, that the dock shows the name and
// the link for support before the sign-in, and that a person can choose another language there.
func brandsThePages(t *testing.T, a *apptest.App, page *browser.Page) {
	t.Log("branding, and a language, on the page and before sign-in")
	page.Click(`.places a[href$="/operator/system"]`)
	page.WaitText("--token-limit")
	page.ClickText("Check now")
	page.WaitText("events pass through")
	page.Type(`#f-accent`, "#ffe000")
	page.Click(`form[class=""] button[type="submit"]`)
	page.WaitText("needs 4.5:1")
	page.Type(`#f-accent`, "#8f0f25")
	page.Type(`#f-brandName`, "Radio Nord")
	page.Type(`#f-support`, "help@example.com")
	page.Click(`form[class=""] button[type="submit"]`)
	page.WaitFor(`document.querySelector('.brand').innerText === 'Radio Nord'`)
	page.WaitFor(`document.documentElement.style.getPropertyValue('--primary') === '#8f0f25'`)
	shootConsole(page, "console-system")
	guest := browser.Open(t, browser.OBS30, browser.Options{Width: 250, Height: 600})
	guest.Goto(a.URL + "/dock")
	guest.WaitFor(`document.querySelector('.brand')?.innerText === 'Radio Nord'`)
	guest.WaitFor(`document.querySelector('footer a')?.href === 'mailto:help@example.com'`)
	guest.Eval(`(() => {
		const select = document.querySelector('header select');
		select.value = 'es';
		select.dispatchEvent(new Event('change'));
	})()`, nil)
	guest.WaitFor(`document.documentElement.lang === 'es' && document.querySelector('h1')`)
	if *screenshots != "" {
		guest.Screenshot(filepath.Join(*screenshots, "branded-dock-250.png"))
	}
}

func shootConsole(page *browser.Page, name string) {
	page.Accessible()
	if *screenshots == "" {
		return
	}
	for _, width := range []int{320, 460, 1280} {
		page.Resize(width, 900)
		page.Screenshot(filepath.Join(*screenshots, name+"-"+strconv.Itoa(width)+".png"))
	}
}
