package stagetest

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
)

func TestTwoPeopleChatAndOneIsModerated(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.Broadcaster(h.olga, "gus", "subscribe")
	ana := h.dock(browser.OBS30, "ana", browser.Options{})
	gus := h.dock(browser.Current, "gus", browser.Options{Width: 460})

	write := func(page *browser.Page, text string) {
		page.Type("#say", text)
		page.Press("Enter")
	}
	t.Log("each reads what the other one writes, as text and not as HTML")
	write(ana, "<b>Welcome</b>")
	gus.WaitText("<b>Welcome</b>")
	write(gus, "Nice to be here")
	ana.WaitText("Nice to be here")

	t.Log("a page that comes later reads what was said")
	gus.Reload()
	gus.WaitText("<b>Welcome</b>")
	gus.WaitText("Nice to be here")
	ana.WaitText("Also here: gus")

	t.Log("who may publish may moderate: the message is deleted on all pages, and Gus is muted " +
		"until the mute ends")
	ana.ClickText("Delete this message of gus")
	gus.WaitNoText("Nice to be here")
	write(gus, "Second try")
	ana.WaitText("Second try")
	ana.ClickText("Mute gus in the chat")
	gus.WaitText("You cannot write here at the moment.")
	ana.ClickText("let gus write again")
	gus.WaitVisible("#say")

	t.Log("Gus, a guest, cannot moderate")
	gus.WaitText("Second try")
	gus.WaitGone(`[aria-label="Mute ana in the chat"]`)
	gus.WaitVisible(`[aria-label="Delete this message of gus"]`)
	gus.WaitGone(`[aria-label="Delete this message of ana"]`)
}
