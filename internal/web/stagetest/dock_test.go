package stagetest

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

func TestABroadcasterSeesAndHearsTheStage(t *testing.T) {
	t.Parallel()
	for _, engine := range browser.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			h := open(t)
			page := h.dock(engine, "ana", browser.Options{})
			page.WaitText("Nobody is on air")

			t.Log("Bea comes: she is seen and heard at once")
			bea := h.publish(h.bea, rtcpeer.PublishOptions{})
			moves(page, tile(h.bea))
			loud(page, tile(h.bea))

			t.Log("oneself is hidden, so that there is no echo; one click shows oneself")
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
