package stagetest

import (
	"fmt"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

// TestTheChatIsInSightHoweverManyAreThere: in a narrow dock, people are shown as rows in their own
// scrolling area, so the chat stays visible. A person whose video is interrupted is not shown as
// one who has turned the camera off.
func TestTheChatIsInSightHoweverManyAreThere(t *testing.T) {
	t.Parallel()
	h := open(t)
	bea := h.publish(h.bea, rtcpeer.PublishOptions{})
	page := h.dock(browser.OBS30, "ana", browser.Options{Width: 320, Height: 640})
	moves(page, tile(h.bea))
	page.WaitGone(".crowded")
	for i := range 11 {
		who := h.Broadcaster(h.olga, fmt.Sprint("guest ", i), "publish")
		h.publish(who, rtcpeer.PublishOptions{NoAudio: true})
	}
	page.WaitFor(`document.querySelectorAll('.crowded article').length === 12`)
	page.WaitFor(`document.querySelector('#say').getBoundingClientRect().bottom <= innerHeight`)
	bea.Pause(true)
	page.WaitFor(`document.querySelector('` + tile(h.bea) + ` .over')?.textContent === 'no signal at the moment'`)
	bea.Pause(false)
	moves(page, tile(h.bea))
	page.WaitGone(tile(h.bea) + " .over")

	t.Log("everybody is on one screen of /watch, with a name, in a dock and on a desk")
	watch := page.Tab()
	watch.Goto(h.URL + "/watch")
	for _, size := range [][2]int{{320, 640}, {1280, 720}} {
		watch.Resize(size[0], size[1])
		watch.WaitFor(`(pictures => pictures.length === 12 && pictures.every(p => {
			const box = p.getBoundingClientRect();
			return box.top >= 0 && box.bottom <= innerHeight && box.right <= innerWidth && p.querySelector('b').clientWidth > 20;
		}))([...document.querySelectorAll('#wall article')])`)
	}
	watch.Goto("about:blank")

	t.Log("in a wide dock, people are shown as pictures again")
	page.Resize(1000, 800)
	page.WaitGone(".crowded")
}
