package stagetest

import (
	"net/http"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

// transparent waits until the source shows nothing, through which OBS shows what lies below it.
func transparent(page *browser.Page) {
	page.WaitFor(`getComputedStyle(document.body).backgroundColor === 'rgba(0, 0, 0, 0)' &&
		[...document.querySelectorAll('video')].every(video => getComputedStyle(video).display === 'none')`)
}

// shows waits until that many pictures are seen, all of them moving.
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

			t.Log("another one is on the air: not meant")
			other := h.Broadcaster(h.olga, "cleo", "publish", "subscribe")
			h.publish(other, rtcpeer.PublishOptions{})
			transparent(page)

			t.Log("she comes, goes, and comes back with another token")
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

			t.Log("the key is revoked: it shows nothing any more, also after a reload")
			h.ana.Must(http.StatusNoContent, "DELETE", "/api/views/"+made.ID, nil, nil)
			page.WaitFor(`document.documentElement.dataset.phase === 'refused'`)
			transparent(page)
			page.Reload()
			page.WaitFor(`document.documentElement.dataset.phase === 'refused'`)
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

	t.Log("the grid shows both, the spotlight who speaks")
	h.publish(h.ana, rtcpeer.PublishOptions{})
	shows(grid, 2)
	spotlight.WaitFor(`document.querySelectorAll('video').length === 2`)
	shows(spotlight, 1)
	spotlight.WaitFor(`[...document.querySelectorAll('video')].find(video => !video.hidden) === [...document.querySelectorAll('video')][1]`)
}
