package browser

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/stagedoor/stagedoor/internal/apptest/quick"
)

// TestABrowserThatCrashedIsReplaced: the next test gets a new browser.
func TestABrowserThatCrashedIsReplaced(t *testing.T) {
	quick.LeavesOut(t, "browsers")
	t.Parallel()
	path, err := OBS31.path()
	if err != nil {
		t.Fatal(err)
	}
	p := &pool{running: map[kind]*process{}}
	t.Cleanup(p.end)
	get := func() *process {
		t.Helper()
		b, err := p.get(kind{engine: OBS31}, path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := get()
	if get() != first {
		t.Error("a running browser was replaced, want it shared")
	}
	running := chromedp.FromContext(first.ctx).Browser
	if err := running.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	<-running.LostConnection
	if get() == first {
		t.Error("got the browser that has crashed, want a new one")
	}
}
