package docktest

import (
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestATestPictureWithoutOBS: a person without OBS sends a test picture with one click, in each
// engine, and a viewer sees and hears it. The operator ends the last test picture and bars its
// sender. The page shows the reason, although the sender has no stage any more.
func TestATestPictureWithoutOBS(t *testing.T) {
	t.Parallel()
	app := replicas.App(t)
	olga := app.Operator()
	app.Broadcaster(olga, "ana", "publish", "subscribe")
	watch := browser.Open(t, browser.Current, browser.Options{})
	watch.Goto(app.URL + "/watch")
	watch.Type("#f-name", "olga")
	watch.Type("#f-password", apptest.Password)
	watch.ClickText("Sign in")
	watch.WaitText("The stage is empty now")
	for _, engine := range []browser.Engine{browser.OBS30, browser.OBS31, browser.Current} {
		d := &dock{Page: browser.Open(t, engine, browser.Options{Width: 320}), t: t}
		d.Goto(app.URL + "/dock")
		d.signInAs("ana", apptest.Password)
		d.WaitText("No OBS at hand?")
		d.keep("no-obs-at-hand")
		d.ClickText("Send a test picture")
		d.WaitText("Live on main")
		d.WaitFor(pictureFirst)
		d.keep("test-picture")

		watch.WaitFor(`document.querySelector('video')?.videoWidth > 0`)
		if engine == browser.OBS30 {
			watch.ClickText("Switch the sound on") // the sound stays on for the next engines
		}
		watch.WaitFor(moving)
		watch.WaitFor(audible)
		watch.WaitText("ana")
		if engine != browser.Current {
			d.ClickText("Stop the test picture")
			d.WaitText("Send a test picture")
			watch.WaitText("The stage is empty now")
			continue
		}
		kick(t, olga, "Thank you, that is enough.")
		d.WaitText("You are barred from main")
		d.WaitFor(`document.querySelector('.picture .error')?.innerText.includes('Thank you')`)
		d.WaitFor(pictureFirst)
		d.WaitNoText("This page can publish a moving test picture")
		watch.WaitText("The stage is empty now")
		hers := d.Tab()
		hers.Goto(app.URL + "/watch")
		hers.WaitText("You may not watch any other stage.")
		hers.WaitNoText("You may not watch any stage yet.")
		var all web.V1Bars
		olga.Must(http.StatusOK, "GET", "/api/v1/bars", nil, &all)
		olga.Must(http.StatusNoContent, "DELETE", "/api/v1/users/"+string(all.Bars[0].User.ID)+
			"/grants/"+url.PathEscape(olga.MainStage())+"/bar", nil, nil)
		d.WaitText("No OBS at hand?")
		d.WaitNoText("Thank you")
	}
}

// TestATestPictureIsSentWhenTheServerAnswersAgain: the dock loads the code of the test picture when
// the person first sends one. If the server does not answer then, or no more after the dock has
// asked whether it has the code, the dock says so. It sends the test picture at the next click,
// although old browsers remember what they could not load.
func TestATestPictureIsSentWhenTheServerAnswersAgain(t *testing.T) {
	t.Parallel()
	app := replicas.App(t)
	olga := app.Operator()
	for _, engine := range []browser.Engine{browser.OBS30, browser.Current} {
		user := "sender in " + string(engine)
		app.Broadcaster(olga, user, "publish")
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			var away atomic.Bool
			away.Store(true)
			origin := proxyOf(t, app.URL, func(r *http.Request) bool {
				return away.Load() && r.Method == http.MethodGet &&
					r.URL.Path == "/static/lib/test-picture.js"
			})
			d := &dock{Page: browser.Open(t, engine, browser.Options{Width: 320}), t: t}
			d.Allow("net::ERR_EMPTY_RESPONSE")
			d.Goto(origin + "/dock")
			d.signInAs(user, apptest.Password)
			d.ClickText("Send a test picture")
			d.WaitText("The server does not answer.")
			d.keep("test-picture-away")
			away.Store(false)
			d.ClickText("Send a test picture")
			d.WaitText("Live on main")
			d.WaitNoText("The server does not answer.")
		})
	}
}

// pictureFirst holds while the test picture is above what the dock says about OBS.
const pictureFirst = `Boolean(document.querySelector('.picture')
	.compareDocumentPosition(document.querySelector('section[class*="state-"]')) &
	Node.DOCUMENT_POSITION_FOLLOWING)`

// kick ends what the only publisher of the main stage sends, and bars that user.
func kick(t *testing.T, olga *apptest.Client, reason string) {
	t.Helper()
	publishes := func(p feed.Presence) bool { return p.Publishing }
	now := apptest.Await(olga.Events(), "presence", func(e feed.PresenceEvent) bool {
		return slices.ContainsFunc(e.Participants, publishes)
	})
	who := now.Participants[slices.IndexFunc(now.Participants, publishes)].ParticipantID
	path := "/api/stages/" + url.PathEscape(string(now.Stage)) + "/participants/" + string(who)
	olga.Must(http.StatusNoContent, "DELETE", path, web.Removal{Reason: reason, Bar: true}, nil)
}
