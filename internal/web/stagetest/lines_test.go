package stagetest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

func TestThePagesComeBackAfterALossOfTheServer(t *testing.T) {
	t.Parallel()
	h := open(t)
	bea := h.publish(h.bea, rtcpeer.PublishOptions{})
	page := h.dock(browser.OBS31, "ana", browser.Options{})
	source, _ := h.source(browser.OBS30, h.ana, string(h.bea.Me().ID))
	moves(page, tile(h.bea))
	shows(source, 1)

	t.Log("the server stops: the dock says so, and the source shows nothing")
	h.Stop()
	bea.Close()
	page.WaitText("connection lost, trying again…")

	t.Log("the server and Bea come back at the same address: all is as before, without a click")
	again := h.Again()
	if again.URL != h.URL {
		t.Fatalf("the server is at %s now, was at %s", again.URL, h.URL)
	}
	page.WaitText("joined")
	h.publish(h.bea, rtcpeer.PublishOptions{})
	moves(page, tile(h.bea))
	shows(source, 1)
}

func TestAFreshTokenComesBeforeTheOldOneExpires(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.publish(h.bea, rtcpeer.PublishOptions{})
	page := h.dock(browser.OBS31, "ana", browser.Options{})
	moves(page, tile(h.bea))
	page.Eval(`(() => {
		const video = document.querySelector('video');
		window.first = {video, stream: video.srcObject};
		window.gone = 0;
		new MutationObserver(() => { if (!document.contains(video)) window.gone++; }).observe(document.body, {childList: true, subtree: true});
	})()`, nil)

	t.Log("ten of twelve hours pass at once")
	page.Eval(`(real => { Date.now = () => real() + 10 * 3600_000; })(Date.now)`, nil)
	page.WaitFor(`document.querySelector('video').srcObject !== window.first.stream`)
	moves(page, tile(h.bea))
	viewers(t, h, h.bea, 1) // the old session has ended
	page.WaitFor(`document.querySelector('video') === window.first.video && window.gone === 0`)

	t.Log("both tokens only subscribe; neither is one that publishes")
	var issued web.Tokens
	h.ana.Must(http.StatusOK, "GET", "/api/tokens", nil, &issued)
	if len(issued.Tokens) != 2 {
		t.Errorf("tokens of ana: got %d, want 2", len(issued.Tokens))
	}
	for _, token := range issued.Tokens {
		if strings.Join(token.Capabilities, ",") != "subscribe" {
			t.Errorf("token of the dock: got %v, want subscribe alone", token.Capabilities)
		}
	}
}

func TestInABrowserTabOneClickStartsTheSound(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.publish(h.bea, rtcpeer.PublishOptions{})
	page := browser.Open(t, browser.Current, browser.Options{})
	page.Goto(h.URL + "/dock/stage")
	// The browsers of the tests permit autoplay, as OBS does. This script forbids it, as a browser
	// tab does.
	page.Eval(`(play => {
		let clicked = false;
		addEventListener('click', event => { clicked ||= event.target.textContent === 'Start the sound'; }, true);
		HTMLMediaElement.prototype.play = function () {
			return this.muted || clicked ? play.call(this) : Promise.reject(new DOMException('a click first', 'NotAllowedError'));
		};
	})(HTMLMediaElement.prototype.play)`, nil)
	page.Type("#f-name", "ana")
	page.Type("#f-password", apptest.Password)
	page.ClickText("Sign in")
	moves(page, tile(h.bea)) // before the click, the video plays without sound
	page.ClickText("Start the sound")
	page.WaitFor(`!document.querySelector('video').muted && !document.querySelector('video').paused`)
	page.WaitNoText("Start the sound")
}
