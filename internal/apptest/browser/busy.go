package browser

import (
	"time"

	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

// CPU returns the CPU time of the page's main thread since the first call of CPU. Other programs on
// a busy machine do not change this time.
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
