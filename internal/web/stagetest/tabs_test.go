package stagetest

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

var screenshots = flag.String("screenshots", "", "folder for pictures of the tab People")

// bothTabs opens the dock with its two tabs as Ana, connected to OBS if an OBS is given.
func (h *harness) bothTabs(
	engine browser.Engine, obs *fakeobs.OBS, o browser.Options,
) *browser.Page {
	h.t.Helper()
	page := browser.Open(h.t, engine, o)
	page.Goto(h.URL + "/dock")
	page.Type("#f-name", "ana")
	page.Type("#f-password", apptest.Password)
	page.ClickText("Sign in")
	page.WaitVisible("#f-obsPassword")
	if obs != nil {
		page.Type("#f-address", "127.0.0.1:"+obs.Port())
		page.Type("#f-obsPassword", "secret")
		page.ClickText("Connect")
		page.WaitText("Connected to OBS")
	}
	return page
}

// TestGuestsAreHeardWhileOneLooksAtTheBroadcast: when the person leaves the tab People, the media
// of the guests continues without a restart.
func TestGuestsAreHeardWhileOneLooksAtTheBroadcast(t *testing.T) {
	t.Parallel()
	for _, engine := range browser.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			h := open(t)
			h.publish(h.bea, rtcpeer.PublishOptions{})
			page := h.bothTabs(engine, nil, browser.Options{})
			viewers(t, h, h.bea, 0)
			page.ClickText("People")
			moves(page, tile(h.bea))
			loud(page, tile(h.bea))
			page.Eval(`(() => { const video = document.querySelector('video'); window.before = {video, stream: video.srcObject}; })()`, nil)

			page.ClickText("Broadcast")
			page.WaitGone(tile(h.bea))
			page.WaitVisible("#f-obsPassword")
			t.Log("Bea's sound plays on while the tab is hidden")
			page.WaitFor(`(async () => {
				const {video, stream} = window.before;
				const then = video.currentTime;
				await new Promise(resolve => setTimeout(resolve, 400));
				return video.isConnected && video.srcObject === stream && !video.paused && !video.muted && video.currentTime > then;
			})()`)
			loud(page, tile(h.bea))

			t.Log("a participant who comes meanwhile is heard at once")
			cleo := h.Broadcaster(h.olga, "cleo", "publish")
			h.publish(cleo, rtcpeer.PublishOptions{})
			loud(page, tile(cleo))

			page.ClickText("People")
			moves(page, tile(h.bea))
			moves(page, tile(cleo))
			page.WaitFor(`document.querySelector('video') === window.before.video && window.before.video.srcObject === window.before.stream`)
			var issued web.Tokens
			h.ana.Must(http.StatusOK, "GET", "/api/tokens", nil, &issued)
			if len(issued.Tokens) != 1 {
				t.Errorf("tokens of ana: got %d, want the one that the tab joined with",
					len(issued.Tokens))
			}
			viewers(t, h, h.bea, 1)

			t.Log("a participant who is muted here moves again after the return to the tab")
			page.ClickText("Mute bea for me")
			page.ClickText("Broadcast")
			page.WaitGone(tile(h.bea))
			page.ClickText("People")
			moves(page, tile(h.bea))

			t.Log("a user who signs out is off the stage")
			page.Click(".menu summary")
			page.ClickText("Sign out")
			page.WaitVisible("#f-name") // #f-password is also in the form for OBS
			viewers(t, h, h.bea, 0)
		})
	}
}

func TestOneConnectionToOBSServesBothTabs(t *testing.T) {
	t.Parallel()
	h := open(t)
	obs := fakeobs.Start(t, fakeobs.Options{Password: "secret"})
	h.publish(h.bea, rtcpeer.PublishOptions{})
	page := h.bothTabs(browser.OBS30, obs, browser.Options{Width: 250})
	page.ClickText("People")
	moves(page, tile(h.bea))
	page.ClickText("Add bea to the current scene")
	page.WaitText("bea is in the scene “Scene” now.")
	if _, settings, in := obs.Input("Stagedoor: bea"); len(in) != 1 || h.keyOf(settings) == nil {
		t.Errorf("the source: got %v in %v, want it in one scene, with a viewing key", settings, in)
	}
	page.WaitFor(`document.querySelector('#panel-people #f-address') === null`)
	if n := obs.Connections(); n != 1 {
		t.Errorf("connections to OBS: got %d, want 1", n)
	}
	if *screenshots == "" {
		return
	}
	for _, scheme := range []string{"dark", "light"} {
		page.Eval(`document.documentElement.dataset.theme = '`+scheme+`'`, nil)
		for _, width := range []int{250, 320, 460, 1280} {
			page.Resize(width, 700)
			page.FullScreenshot(filepath.Join(*screenshots,
				fmt.Sprintf("people-guest-%s-%d.png", scheme, width)))
		}
	}
}

// TestAChangeOfAccessNeedsNoReload: a change of access takes effect without a reload, which would
// interrupt the rest of the page.
func TestAChangeOfAccessNeedsNoReload(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.publish(h.bea, rtcpeer.PublishOptions{})
	page := h.bothTabs(browser.OBS31, nil, browser.Options{})
	page.ClickText("People")
	moves(page, tile(h.bea))
	page.Eval(`window.same = true`, nil)
	grant := "/api/users/" + string(h.ana.Me().ID) + "/grants/" + url.PathEscape(h.ana.MainStage())
	h.olga.Must(http.StatusNoContent, "DELETE", grant, nil, nil)
	page.WaitText("You may not watch any stage yet.")
	viewers(t, h, h.bea, 0)
	h.olga.Must(http.StatusNoContent, "PUT", grant,
		web.GrantRequest{Capabilities: []string{"subscribe"}}, nil)
	moves(page, tile(h.bea))
	page.WaitFor(`window.same`)

	t.Log("after a sign-out elsewhere, the dock asks for a sign-in, and shows the same tab")
	h.olga.Must(http.StatusNoContent, "DELETE", "/api/users/"+string(h.ana.Me().ID)+"/logins", nil,
		nil)
	page.WaitVisible("#f-name") // #f-password is also in the form for OBS
	viewers(t, h, h.bea, 0)
	page.Type("#f-name", "ana")
	page.Type("#f-password", apptest.Password)
	page.ClickText("Sign in")
	moves(page, tile(h.bea))
}

// TestTheDockPlaysStagesOfAWS: the dock plays AWS stages, for which its Content-Security-Policy
// must permit the SDK of AWS.
func TestTheDockPlaysStagesOfAWS(t *testing.T) {
	t.Parallel()
	h := open(t, "--ivs-region", "us-west-2", "--ivs-endpoint", apptest.Emulate(t), "--ivs-sdk",
		sdkFrom(t, stockSDK))
	studio := h.studio(t)
	page := h.bothTabs(browser.OBS30, nil, browser.Options{Width: 460})
	page.ClickText("People")
	page.WaitText("The stage is empty")
	choose(page, studio)
	page.WaitText("The stage is empty")
	var token web.Token
	h.bea.Must(http.StatusCreated, "POST", "/api/tokens",
		map[string]any{"stage": studio.ARN, "for": "publish"}, &token)
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	moves(page, tile(h.bea))
}

// TestNothingMovesWhenSomebodyFallsSilent: when a person becomes silent or is muted, no element of
// the page moves, at any width and size.
func TestNothingMovesWhenSomebodyFallsSilent(t *testing.T) {
	t.Parallel()
	for word, o := range map[string]rtcpeer.PublishOptions{
		"muted":  {NoAudio: true},
		"silent": {Clip: rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Silent: true})},
	} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			nothingMoves(t, word, o)
		})
	}
}

func nothingMoves(t *testing.T, word string, o rtcpeer.PublishOptions) {
	h := open(t)
	h.publish(h.bea, o)
	page := h.dock(browser.OBS31, "ana", browser.Options{Width: 250})
	moves(page, tile(h.bea))
	page.WaitText(word)
	for range 3 {
		for _, width := range []int{250, 320, 460} {
			page.Resize(width, 700)
			var with, without float64
			height := `document.querySelector('` + tile(h.bea) + `').getBoundingClientRect().height`
			page.Eval(height, &with)
			page.Eval(`(() => {
				const tag = document.querySelector('`+tile(h.bea)+` .tag');
				tag.hidden = true;
				const height = `+height+`;
				tag.hidden = false;
				return height;
			})()`, &without)
			if with != without {
				t.Errorf("the tile at %d px: %v high with the word “%s”, %v without", width, with,
					word, without)
			}
			if *screenshots != "" {
				var size string
				page.Eval(`document.querySelector('.tile').className.replaceAll(' ', '-')`, &size)
				page.Screenshot(filepath.Join(*screenshots,
					fmt.Sprintf("%s-%s-%d.png", word, size, width)))
			}
		}
		page.Click(`[aria-label^="Size of bea"]`)
	}
}

// A button that moves between the press and the release of the mouse gets no click.
func TestNothingMovesWhileAnotherStageIsJoined(t *testing.T) {
	t.Parallel()
	h := open(t)
	side := h.side()
	for _, width := range []int{250, 460} {
		page := h.dock(browser.OBS31, "ana", browser.Options{Width: width})
		page.WaitVisible("#say")
		page.Eval(`(() => {
			const top = () => document.querySelector('#sources').getBoundingClientRect().top + scrollY;
			window.tops = [top()];
			new MutationObserver(() => { if (!tops.includes(top())) tops.push(top()); })
				.observe(document.querySelector('#page'), {subtree: true, childList: true, characterData: true, attributes: true});
		})()`, nil)
		choose(page, side)
		page.WaitText("joined")
		page.WaitVisible("#say")
		var tops []float64
		page.Eval(`tops`, &tops)
		if len(tops) != 1 {
			t.Errorf("the browser sources at %d px: at %v, want one place", width, tops)
		}
	}
}
