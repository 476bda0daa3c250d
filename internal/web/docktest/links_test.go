package docktest

import (
	"net/http"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestAUsedInviteLinkIsShownNoLonger: a used link disappears from the operator's page, and the
// others stay.
func TestAUsedInviteLinkIsShownNoLonger(t *testing.T) {
	t.Parallel()
	a := replicas.App(t)
	a.Operator()
	page := browser.Open(t, browser.Current, browser.Options{})
	page.Goto(a.URL + "/operator/people")
	signInAs(page, "olga")
	page.WaitVisible("#new-names")
	page.Eval(`document.querySelector('#new-names').value = 'ana\nbea'`, nil)
	page.Click(`details[open] form button[type="submit"]`)
	page.WaitVisible("#c-invite-ana")
	var link string
	page.Eval(`document.querySelector('#c-invite-ana').value`, &link)
	a.Browser().Must(http.StatusCreated, "POST", "/api/invite",
		web.AcceptInvite{Code: apptest.Code(link), Password: apptest.Password}, nil)
	page.WaitGone("#c-invite-ana")
	page.WaitVisible("#c-invite-bea")
}
