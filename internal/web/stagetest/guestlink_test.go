package stagetest

import (
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

var guestShots = flag.String("guest-screenshots", "", "folder for pictures of the guest's pages")

func shoot(page *browser.Page, name string) {
	if *guestShots == "" {
		return
	}
	for _, width := range []int{250, 320, 460, 1280} {
		page.Resize(width, 800)
		page.FullScreenshot(filepath.Join(*guestShots, fmt.Sprintf("%s-%d.png", name, width)))
	}
}

// join joins as a guest, with the fake camera of the browser.
func join(page *browser.Page, link, name string) {
	page.Goto(link)
	page.WaitText("invites you to the stage")
	page.ClickText("Check camera and microphone")
	page.WaitFor(`document.querySelector('.preview')?.videoWidth > 0`)
	page.WaitFor(`document.querySelectorAll('#choice-audio option, #choice-video option').length >= 2`)
	// When the guest chooses another device, the page opens it, and the preview continues.
	page.Eval(`(() => {
		const list = document.querySelector('#choice-audio');
		list.selectedIndex = list.options.length - 1;
		window.before = document.querySelector('.preview').srcObject.getAudioTracks()[0].id;
		list.dispatchEvent(new Event('change'));
	})()`, nil)
	page.WaitFor(`document.querySelector('.preview')?.videoWidth > 0 &&
		document.querySelector('.preview').srcObject.getAudioTracks()[0]?.id !== window.before`)
	page.WaitVisible("#f-guestName")
	page.Type("#f-guestName", name)
	shoot(page, "guest-join")
	page.ClickText("Join the stage")
	page.WaitFor(`document.querySelector('.title.live') !== null`)
}

// TestAGuestByLink is an interview. bea makes a link in the tab People, and a guest opens it in a
// browser. The guest is seen in the tab and in a browser source, and sees ana. After a reload, the
// page is still the same guest, until the link is revoked.
func TestAGuestByLink(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.publish(h.ana, rtcpeer.PublishOptions{})
	bea := h.dock(browser.OBS30, "bea", browser.Options{Width: 460})
	bea.WaitText("joined")
	bea.Click("#guests summary")
	bea.ClickText("Make a guest link")
	bea.WaitVisible("#c-guest-link")
	var link string
	bea.Eval(`document.querySelector('#c-guest-link').value`, &link)
	shoot(bea, "guest-links")

	gil := browser.Open(t, browser.Current, browser.Options{FakeMedia: true})
	join(gil, link, "Gil")
	moves(gil, "article.video")
	shoot(gil, "guest-on-stage")
	var address string
	gil.Eval("location.href", &address)
	if address != h.URL+"/guest" {
		t.Errorf("the address keeps the secret: %s", address)
	}

	t.Log("the tab People and a browser source show the guest with the name")
	bea.WaitText("Gil")
	moves(bea, `article[aria-label="Gil"]`)
	var guest string
	bea.Eval(`document.querySelector('article[aria-label="Gil"]').dataset.user`, &guest)
	source, _ := h.source(browser.OBS31, h.bea, guest)
	shows(source, 1)

	t.Log("a used-up link admits no others, but the same tab again")
	late := gil.Tab()
	late.Allow("403")
	late.Goto(link)
	late.ClickText("Check camera and microphone")
	late.WaitFor(`document.querySelector('.preview')?.videoWidth > 0`)
	late.Type("#f-guestName", "Late")
	late.ClickText("Join the stage")
	late.WaitText("has been used the allowed number of times")
	late.Goto("about:blank")
	gil.Reload()
	gil.ClickText("Check camera and microphone")
	gil.WaitFor(`document.querySelector('.preview')?.videoWidth > 0`)
	gil.ClickText("Join the stage")
	gil.WaitFor(`document.querySelector('.title.live') !== null`)

	t.Log("the link is revoked")
	gil.Allow("403", "401")
	bea.WaitText("used 1 of 1 times")
	bea.ClickText("Revoke this guest link and send its guests away")
	gil.WaitText("Join again")
	bea.WaitGone(`article[aria-label="Gil"]`)
	gil.ClickText("Join again")
	gil.WaitText("is not valid any more")
	shoot(gil, "guest-ended")
}

// TestAGuestIsPromotedAndDemoted: a guest who only watches is promoted to publish, although the
// guest's page loses a request, and is then demoted. Both take only one token and one use of the
// link. At the end the guest is kicked.
func TestAGuestIsPromotedAndDemoted(t *testing.T) {
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

	t.Log("a request that is lost when the role changes does not end the guest")
	gil.Eval(`(() => {
		const real = window.fetch;
		let lost = 0;
		window.fetch = (url, init) => String(url).endsWith('api/guest/self') && lost++ < 1
			? Promise.reject(new TypeError('lost')) : real(url, init);
		return true;
	})()`, new(bool))

	olga := h.dock(browser.OBS31, "olga", browser.Options{Width: 460})
	olga.Click("#guests summary")
	olga.ClickText("Let send: Gil")
	gil.WaitText("You may send picture and sound now")
	gil.ClickText("Check camera and microphone")
	gil.WaitFor(`document.querySelector('.preview')?.videoWidth > 0`)
	gil.ClickText("Join the stage")
	moves(olga, `article[aria-label="Gil"]`)
	shoot(olga, "guest-moderated")

	olga.ClickText("Watch only: Gil")
	gil.WaitText("A moderator took you off the air")
	olga.WaitGone(`article[aria-label="Gil"]`)
	gil.WaitText("You are on the stage")

	olga.WaitVisible(`button[aria-label="Kick: Gil"]`)
	olga.ClickText("Kick: Gil")
	gil.WaitText("Join again")
	gil.Allow("401")
	gil.ClickText("Join again")
	gil.WaitText("is not valid any more")
}

// TestAGuestOnAStageOfAWS: a guest publishes and receives with Amazon's SDK, and a user sees the
// guest in the tab People.
func TestAGuestOnAStageOfAWS(t *testing.T) {
	t.Parallel()
	h := open(t, "--ivs-region", "us-west-2", "--ivs-endpoint", apptest.Emulate(t),
		"--ivs-sdk", sdkFrom(t, stockSDK), "--ivs-sdk-integrity", integrity(t, stockSDK))
	studio := h.studio(t)
	var made web.CreatedGuestLink
	h.ana.Must(http.StatusCreated, "POST", "/api/guest-links",
		web.NewGuestLink{Stage: studio.ARN, Role: access.GuestPublishes}, &made)
	h.publishOn(h.bea, studio.ARN)
	// OBS30 is the oldest engine.
	gil := browser.Open(t, browser.OBS30, browser.Options{FakeMedia: true, Width: 460})
	gil.Allow("live-video.net", "Content Security Policy")
	join(gil, made.URL, "Gil")
	moves(gil, "article.video")

	ana := h.dock(browser.OBS31, "ana", browser.Options{Width: 460})
	choose(ana, studio)
	moves(ana, `article[aria-label="Gil"]`)
	gil.ClickText("Leave the stage")
	ana.WaitGone(`article[aria-label="Gil"]`)
}

func (h *harness) publishOn(who *apptest.Client, arn stage.ARN) {
	h.t.Helper()
	var token web.Token
	who.Must(http.StatusCreated, "POST", "/api/tokens",
		map[string]any{"stage": arn, "for": "publish"}, &token)
	if _, err := rtcpeer.Publish(h.t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{}); err != nil {
		h.t.Fatal(err)
	}
}
