package docktest

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
)

// TestAPageThatWasLeftHoldsNoConnection: a page closes its event stream when it is left. The
// browser keeps such pages for "Back", and opens at most six connections to a server.
func TestAPageThatWasLeftHoldsNoConnection(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t)
	s.become(func() { s.signedIn, s.me["role"] = true, "operator" })
	page := browser.Open(t, browser.Desktop, browser.Options{Width: 1280, Height: 900})
	// listens shows a page, and waits until this page alone has an event stream.
	listens := func(show func()) {
		t.Helper()
		_, before := s.streams()
		show()
		poll(t, "the page that is shown, and no other, to listen", func() bool {
			open, opened := s.streams()
			return opened > before && open == 1
		})
	}
	for range 4 {
		for _, name := range []string{"stages", "live"} {
			// If six such pages kept their event streams, the seventh page would wait for a minute.
			listens(func() {
				page.Goto(s.URL + "/operator/" + name)
				page.WaitVisible(`.places [href$="/` + name + `"][aria-current="page"]`)
			})
		}
	}

	t.Log("after “Back” the page is as it was, and its event stream is open again")
	page.Eval(`window.kept = true`, nil)
	listens(func() {
		page.Goto(s.URL + "/operator/stages")
		page.WaitVisible(`.places [href$="/stages"][aria-current="page"]`)
	})
	listens(func() {
		page.Back()
		page.WaitFor(`window.kept`)
	})
	s.tell("presences", hundredLive(0))
	page.WaitText("Person 2 of 6")
}
