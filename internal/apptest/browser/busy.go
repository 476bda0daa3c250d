package browser

import (
	"time"

	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

// CPU is how long the page's main thread has computed since CPU was first called: the time of its
// thread, so that a busy machine does not count.
func (p *Page) CPU() time.Duration {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, performance.Enable,
		performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
	if err != nil {
		p.fail("measure: %v", err)
	}
	got, err := chromedp.Call(p.ctx, performance.GetMetrics, struct{}{})
	if err != nil {
		p.fail("measure: %v", err)
	}
	for _, m := range got.Metrics {
		if m.Name == "TaskDuration" {
			return time.Duration(m.Value * float64(time.Second))
		}
	}
	p.fail("the browser does not say how long its tasks took")
	return 0
}
