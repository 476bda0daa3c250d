package stagetest

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

func TestABroadcasterSeesAndHearsTheStage(t *testing.T) {
	t.Parallel()
	for _, engine := range browser.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			h := open(t)
			page := h.dock(engine, "ana", browser.Options{})
			page.WaitText("The stage is empty")

			t.Log("Bea comes: she is seen and heard at once")
			bea := h.publish(h.bea, rtcpeer.PublishOptions{})
			moves(page, tile(h.bea))
			loud(page, tile(h.bea))

			t.Log("the user's own tile is hidden, to avoid an echo; one click shows it")
			h.publish(h.ana, rtcpeer.PublishOptions{})
			page.WaitText("ana (you)")
			page.WaitText("hidden here")
			page.ClickText("Show ana")
			moves(page, tile(h.ana))

			t.Log("Bea goes, and the others stay")
			bea.Close()
			page.WaitGone(tile(h.bea))
			moves(page, tile(h.ana))
		})
	}
}

// TestAThumbnailTakesASmallLayer: a thumbnail receives a small layer, and a large tile the large
// layer. The page requests another layer when the size changes.
func TestAThumbnailTakesASmallLayer(t *testing.T) {
	t.Parallel()
	h := open(t)
	clip := func(width, height, bitrate int) *rtcpeer.Clip {
		return rtcpeer.MakeClip(t,
			rtcpeer.ClipOptions{Width: width, Height: height, Bitrate: bitrate})
	}
	h.publish(h.bea, rtcpeer.PublishOptions{Layers: []*rtcpeer.Clip{clip(1280, 720, 1_000_000),
		clip(640, 360, 300_000), clip(320, 180, 100_000)}})
	page := h.dock(browser.OBS31, "ana", browser.Options{Width: 250})
	lines := func(n string) {
		page.WaitFor(`document.querySelector('` + tile(h.bea) + ` video').videoHeight === ` + n)
	}
	moves(page, tile(h.bea))
	lines("180")
	page.Resize(700, 900)
	lines("720")
	page.Resize(250, 700)
	lines("180")
}

func TestEachPersonIsShownAsTheBroadcasterLikes(t *testing.T) {
	t.Parallel()
	h := open(t)
	cleo := h.Broadcaster(h.olga, "cleo", "publish", "subscribe")
	h.publish(h.bea, rtcpeer.PublishOptions{})
	h.publish(cleo, rtcpeer.PublishOptions{})
	page := h.dock(browser.OBS31, "ana", browser.Options{Width: 250})
	moves(page, tile(h.bea))
	moves(page, tile(cleo))

	t.Log("muted: no sound, and the picture goes on")
	page.ClickText("Mute bea for me")
	page.WaitFor(`document.querySelector('` + tile(h.bea) + ` video').muted && !document.querySelector('` + tile(cleo) + ` video').muted`)
	moves(page, tile(h.bea))

	t.Log("pinned: first, above the one who came before; large and small: as clicked")
	page.ClickText("Pin cleo to the top")
	page.WaitFor(`document.querySelector('` + tile(cleo) + `').getBoundingClientRect().top < document.querySelector('` + tile(h.bea) + `').getBoundingClientRect().top`)
	page.ClickText("Size of bea: normal")
	page.ClickText("Size of bea: large")
	page.WaitFor(`document.querySelector('` + tile(h.bea) + ` .screen').getBoundingClientRect().width < 100`)

	t.Log("hidden: not even received")
	page.ClickText("Hide cleo for me")
	page.WaitGone(tile(cleo))
	viewers(t, h, cleo, 0)

	t.Log("the page remembers all of these choices, even for another token of the same person")
	page.Reload()
	page.WaitText("hidden here")
	page.WaitFor(`document.querySelector('` + tile(h.bea) + ` video').muted`)
	page.ClickText("Show cleo")
	moves(page, tile(cleo))
	viewers(t, h, cleo, 1)
}

// viewers waits until n sessions receive the media of a user.
func viewers(t *testing.T, h *harness, who *apptest.Client, n int) {
	t.Helper()
	apptest.Await(h.olga.Events(), "presence", func(e web.PresenceEvent) bool {
		for _, p := range e.Participants {
			if p.UserID == string(who.Me().ID) && p.Publishing {
				return p.Viewers == n
			}
		}
		return false
	})
}

func TestTheDockLeavesTheStageWithItsPage(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.publish(h.bea, rtcpeer.PublishOptions{})
	page := h.dock(browser.Current, "ana", browser.Options{})
	moves(page, tile(h.bea))
	viewers(t, h, h.bea, 1)
	page.Goto(h.URL + "/account")
	viewers(t, h, h.bea, 0)
	apptest.Await(h.olga.Events(), "presence", func(e web.PresenceEvent) bool {
		return len(e.Participants) == 1
	})
}

func TestWhoLosesTheAccessIsNotLeftWithAPicture(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.publish(h.bea, rtcpeer.PublishOptions{})
	page := h.dock(browser.OBS31, "ana", browser.Options{})
	moves(page, tile(h.bea))

	t.Log("the operator removes the grant: Ana is off the stage, and the page says what to do")
	grant := "/api/users/" + string(h.ana.Me().ID) + "/grants/" + url.PathEscape(h.ana.MainStage())
	h.olga.Must(http.StatusNoContent, "DELETE", grant, nil, nil)
	page.WaitText("You may not watch any stage yet.")
	viewers(t, h, h.bea, 0)

	t.Log("with a new grant, one click brings Ana back; a sign-out elsewhere asks for a sign-in")
	h.olga.Must(http.StatusNoContent, "PUT", grant,
		web.GrantRequest{Capabilities: []string{"subscribe"}}, nil)
	page.ClickText("Try again")
	moves(page, tile(h.bea))
	h.olga.Must(http.StatusNoContent, "DELETE", "/api/users/"+string(h.ana.Me().ID)+"/logins", nil,
		nil)
	page.WaitVisible("#f-name") // #f-password is also in the form for OBS
	viewers(t, h, h.bea, 0)
}
