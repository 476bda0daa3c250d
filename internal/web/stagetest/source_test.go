package stagetest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// transparent waits until the source is transparent, so that OBS shows the sources below it.
func transparent(page *browser.Page) {
	page.WaitFor(`getComputedStyle(document.body).backgroundColor === 'rgba(0, 0, 0, 0)' &&
		[...document.querySelectorAll('video')].every(video => getComputedStyle(video).display === 'none')`)
}

// shows waits until n videos are visible and all of them move.
func shows(page *browser.Page, n int) {
	page.WaitFor(`(async () => {
		const seen = [...document.querySelectorAll('video')].filter(video => getComputedStyle(video).display !== 'none');
		const frames = () => seen.map(video => video.getVideoPlaybackQuality().totalVideoFrames);
		const before = frames();
		await new Promise(resolve => setTimeout(resolve, 400));
		return seen.length === ` + string(rune('0'+n)) + ` && frames().every((f, i) => f > before[i]);
	})()`)
}

func TestASourceShowsOnePersonWheneverTheyAreThere(t *testing.T) {
	t.Parallel()
	for _, engine := range browser.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			h := open(t)
			page, made := h.source(engine, h.ana, string(h.bea.Me().ID))
			page.WaitFor(`document.documentElement.dataset.phase === 'joined'`)
			transparent(page)

			t.Log("the source does not show another participant")
			other := h.Broadcaster(h.olga, "cleo", "publish", "subscribe")
			h.publish(other, rtcpeer.PublishOptions{})
			transparent(page)

			t.Log("Bea comes, goes, and comes back with another token")
			bea := h.publish(h.bea, rtcpeer.PublishOptions{})
			shows(page, 1)
			var fills bool
			page.Eval(`(box => box.width === innerWidth && box.height === innerHeight)(document.querySelector('video').getBoundingClientRect())`, &fills)
			if !fills {
				t.Error("the picture does not fill the source")
			}
			bea.Close()
			transparent(page)
			h.publish(h.bea, rtcpeer.PublishOptions{})
			shows(page, 1)

			t.Log("when the key is revoked, the source shows nothing, even after a reload")
			h.ana.Must(http.StatusNoContent, "DELETE", "/api/views/"+made.ID, nil, nil)
			page.WaitFor(`document.documentElement.dataset.phase === 'refused'`)
			transparent(page)
			page.Reload()
			page.WaitFor(`document.documentElement.dataset.phase === 'refused'`)
			page.WaitGone("#hint")

			t.Log("a person who opens Interact in OBS and moves the mouse reads why, for a moment")
			page.Eval(`dispatchEvent(new MouseEvent('mousemove'))`, nil)
			page.WaitText("the viewing key in this address is wrong, or it was revoked")
			page.WaitGone("#hint")
			transparent(page)
		})
	}
}

func TestLayoutsAsSources(t *testing.T) {
	t.Parallel()
	h := open(t)
	grid, _ := h.source(browser.OBS31, h.ana, "grid")
	spotlight, _ := h.source(browser.OBS30, h.ana, "spotlight")
	h.publish(h.bea, rtcpeer.PublishOptions{NoAudio: true})
	shows(grid, 1)
	shows(spotlight, 1)

	t.Log("the options of the address set the look; without a problem there is no hint")
	grid.Goto(dressed(h.view(h.ana, "grid").URL))
	shows(grid, 1)
	grid.WaitFor(`getComputedStyle(document.body).backgroundColor === 'rgb(0, 177, 64)'`)
	grid.WaitFor(`document.querySelector('figcaption').innerText === 'bea'`)
	grid.Eval(`dispatchEvent(new MouseEvent('mousemove'))`, nil)
	grid.WaitGone("#hint")

	t.Log("the grid shows both participants, the spotlight the one who speaks")
	h.publish(h.ana, rtcpeer.PublishOptions{})
	shows(grid, 2)
	spotlight.WaitFor(`document.querySelectorAll('video').length === 2`)
	shows(spotlight, 1)
	spotlight.WaitFor(`[...document.querySelectorAll('video')].find(video => !video.hidden) === [...document.querySelectorAll('video')][1]`)
}

// dressed returns the address with the options for names and a green background.
func dressed(address string) string {
	return strings.Replace(address, "#", "?names=1&background=%2300b140#", 1)
}

// TestASourceURLIsGoodForItsViewAlone: both the URL in OBS and the token in the source's page give
// access only to the view.
func TestASourceURLIsGoodForItsViewAlone(t *testing.T) {
	t.Parallel()
	h := open(t)
	bea, cleo := h.air(h.bea), h.air(h.Broadcaster(h.olga, "cleo", "publish", "subscribe"))
	made := h.view(h.ana, string(h.bea.Me().ID))
	address, err := url.Parse(made.URL)
	if err != nil {
		t.Fatal(err)
	}
	key := h.Browser()
	key.Key = address.Fragment
	var token web.ViewToken
	key.Must(http.StatusCreated, "POST", "/api/views/token", nil, &token)

	t.Log("the token receives only Bea, at no other address, and does not publish")
	view, err := rtcpeer.View(t, rtcpeer.HTTP(h.URL+"/whep/"+bea, token.Token.Token),
		rtcpeer.ViewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := view.WaitFrames(ctx, 5); err != nil {
		t.Errorf("Bea's picture: %v", err)
	}
	for _, path := range []string{"/whep/", "/whip/subscribe/"} {
		if _, err := rtcpeer.View(t, rtcpeer.HTTP(h.URL+path+cleo, token.Token.Token),
			rtcpeer.ViewOptions{}); status(err) != http.StatusForbidden {
			t.Errorf("Cleo by %s: got %v, want 403", path, err)
		}
	}
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(h.URL+"/whip", token.Token.Token),
		rtcpeer.PublishOptions{}); status(err) != http.StatusForbidden {
		t.Errorf("on the air as Ana: got %v, want 403", err)
	}

	t.Log("when the key is revoked, its sessions end, and its token is refused")
	h.ana.Must(http.StatusNoContent, "DELETE", "/api/views/"+made.ID, nil, nil)
	select {
	case <-view.Closed():
	case <-ctx.Done():
		t.Error("Bea's picture goes on without the key")
	}
	if _, err := rtcpeer.View(t, rtcpeer.HTTP(h.URL+"/whep/"+bea, token.Token.Token),
		rtcpeer.ViewOptions{}); status(err) != http.StatusForbidden {
		t.Errorf("Bea after that: got %v, want 403", err)
	}
}

// air publishes as a user, and returns the participant ID.
func (h *harness) air(who *apptest.Client) string {
	h.t.Helper()
	token := who.Token("publish")
	if _, err := rtcpeer.Publish(h.t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{}); err != nil {
		h.t.Fatal(err)
	}
	return string(token.ParticipantID)
}

func status(err error) int {
	var refused *rtcpeer.StatusError
	if errors.As(err, &refused) {
		return refused.Status
	}
	return 0
}
