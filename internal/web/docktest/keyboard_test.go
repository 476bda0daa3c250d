package docktest

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
)

// TestTheWholeRoadByKeyboard goes from the printed setup link to a broadcast that a viewer sees and
// that the operator ends. It uses only the keyboard, and the focus is always visible.
func TestTheWholeRoadByKeyboard(t *testing.T) {
	t.Parallel()
	app := apptest.Start(t)
	obs := fakeobs.Start(t, fakeobs.Options{
		Password: obsPassword, Version: fakeobs.OBS31, Output: sending(t),
	})

	olga := browser.Open(t, browser.Current, browser.Options{})
	olga.Goto(app.SetupURL)
	olga.WaitFor(`document.activeElement?.id === 'f-name'`) // the first field gets the focus
	olga.Write("olga")
	choosePasswordByKeyboard(olga)
	press(olga, "Create the operator")
	olga.WaitText("What comes next")
	press(olga, "Invite a broadcaster")
	link := inviteAnaByKeyboard(olga)

	ana := &dock{Page: browser.Open(t, browser.OBS31, browser.Options{}), t: t, obs: obs}
	ana.Goto(link)
	ana.WaitText("Hello ana")
	choosePasswordByKeyboard(ana.Page)
	press(ana.Page, "Set password")
	ana.WaitText("Open the dock")
	press(ana.Page, "Open the dock")
	ana.WaitVisible(`input[name="obsPassword"]`)
	fill(ana.Page, `input[name="address"]`, "127.0.0.1:"+obs.Port())
	fill(ana.Page, `input[name="obsPassword"]`, obsPassword)
	ana.Press("Enter")
	ana.state("not-set-up")
	press(ana.Page, "Set up OBS")
	ana.state("ready")
	press(ana.Page, "Go live")
	ana.state("live")

	olga.Goto(app.URL + "/watch")
	olga.WaitFor(`document.querySelector('video')?.videoWidth === 640`)
	press(olga, "Switch the sound on")
	olga.WaitFor(audible)

	olga.Goto(app.URL + "/operator/live")
	olga.WaitText("receives 640×360")
	press(olga, "Disconnect: ana")
	fill(olga, "#f-reason", "The hall is closing.")
	press(olga, "Disconnect and bar")
	ana.state("trouble")
	ana.WaitText("The hall is closing.")
}

// press activates a button or a link with the keyboard.
func press(page *browser.Page, label string) {
	page.TabTo(label)
	page.Press("Enter")
}

func fill(page *browser.Page, field, text string) {
	page.TabTo(field)
	page.Write(text)
}

func choosePasswordByKeyboard(page *browser.Page) {
	fill(page, `input[name="password"]`, apptest.Password)
	fill(page, `input[name="repeat"]`, apptest.Password)
}

// inviteAnaByKeyboard adds a broadcaster, gives her access to the stage, and returns her invite
// link.
func inviteAnaByKeyboard(olga *browser.Page) (link string) {
	fill(olga, "#new-names", "ana")
	press(olga, `details[open] form button[type="submit"]`)
	olga.WaitVisible("#c-invite-ana")
	olga.Eval(`document.querySelector("#c-invite-ana").value`, &link)
	press(olga, "ana")
	olga.WaitText("no access yet")
	press(olga, `form button[type="submit"]`)
	olga.WaitText("12 hours")
	return link
}
