package stagetest

import (
	"net/http"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestTheConsolePromotesAGuest: on the page Live of the console, a moderator promotes a guest who
// only watches, demotes the guest again, and ends the guest link with "Disconnect and bar".
func TestTheConsolePromotesAGuest(t *testing.T) {
	t.Parallel()
	h := open(t)
	var made web.CreatedGuestLink
	h.ana.Must(http.StatusCreated, "POST", "/api/guest-links",
		web.NewGuestLink{Stage: stage.ARN(h.ana.MainStage()), Role: access.GuestViews}, &made)
	gil := browser.Open(t, browser.Current, browser.Options{FakeMedia: true})
	gil.Allow("403")
	gil.Goto(made.URL)
	gil.Type("#f-guestName", "Gil")
	gil.ClickText("Join the stage")
	gil.WaitText("You are on the stage")

	olga := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	olga.Goto(h.URL + "/operator/live")
	olga.Type("#f-name", "olga")
	olga.Type("#f-password", apptest.Password)
	olga.ClickText("Sign in")
	olga.WaitVisible("#choice-who")
	olga.Eval(`(() => {
		const select = document.querySelector('#choice-who');
		select.value = 'all';
		select.dispatchEvent(new Event('change', { bubbles: true }));
	})()`, nil)
	olga.WaitText("Gil")
	const row = `document.querySelector('[aria-label="Disconnect: Gil"]').closest('li')`
	olga.WaitFor(row + `.innerText.includes('Guest')`)
	olga.WaitFor(`!` + row + `.querySelector('a[href*="person"]')`) // a guest has no account
	olga.ClickText("Let send: Gil")
	olga.WaitText("Gil may send picture and sound now.")
	gil.WaitText("You may send picture and sound now")
	gil.ClickText("Check camera and microphone")
	gil.WaitFor(`document.querySelector('.preview')?.videoWidth > 0`)
	gil.ClickText("Join the stage")
	olga.WaitFor(row + `.innerText.includes('LIVE')`)
	olga.Accessible()

	olga.ClickText("Watch only: Gil")
	gil.WaitText("A moderator took you off the air")
	olga.WaitVisible(`[aria-label="Let send: Gil"]`)

	olga.Click(`[aria-label="Disconnect: Gil"]`)
	olga.WaitText("also revokes the guest link")
	olga.ClickText("Disconnect and bar")
	olga.WaitText("Gil is disconnected, and the guest link is revoked.")
	gil.Allow("401")
	gil.WaitText("Join again")
}
