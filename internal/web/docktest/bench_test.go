package docktest

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
)

// The benchmarks measure in the page, in the engine of the current OBS, with a fake OBS that
// answers without a delay. So they show the cost of Stagedoor's own steps and of the local
// WebSocket. The results are means over the runs.

// BenchmarkSetUp measures the time from the click on "Set up OBS" in a fresh OBS until the settings
// were read back and are right.
func BenchmarkSetUp(b *testing.B) {
	d, mean := benchDock(b), means{}
	for b.Loop() {
		d.freshOBS()
		mean.add("ms-to-verified", d.click("Set up OBS", `new MutationObserver(() => root.dataset.state === 'ready' && done()).observe(root, { attributes: true })`))
	}
	mean.report(b)
}

// BenchmarkGoLive measures the time from the click on "Go live" until StartStream is sent: with a
// token that has to be requested, and with one that OBS has already.
func BenchmarkGoLive(b *testing.B) {
	d, mean := benchDock(b), means{}
	for b.Loop() {
		d.freshOBS()
		d.ClickText("Set up OBS")
		d.state("ready")
		d.obs.Edit(func(_ map[string]string, service *fakeobs.Service) {
			service.Settings["bearer_token"] = "another"
		})
		mean.add("ms-fresh-token", d.click("Go live", started))
		d.ClickText("Cancel")
		d.state("ready")
		mean.add("ms-kept-token", d.click("Go live", started))
		d.ClickText("Cancel")
		d.state("ready")
	}
	mean.report(b)
}

// BenchmarkTimeToUsable measures, for a signed-in user, the time from the navigation until the page
// is shown, and until OBS was found and checked.
func BenchmarkTimeToUsable(b *testing.B) {
	d, mean := benchDock(b), means{}
	for b.Loop() {
		d.freshOBS()
		for state, unit := range map[string]string{"no-obs": "ms-to-shown",
			"not-set-up": "ms-to-obs-judged"} {
			var at float64
			d.Eval(`performance.getEntriesByName('dock `+state+`')[0].startTime`, &at)
			mean.add(unit, at)
		}
	}
	mean.report(b)
}

type means map[string][]float64

func (m means) add(unit string, value float64) { m[unit] = append(m[unit], value) }

func (m means) report(b *testing.B) {
	b.ReportMetric(0, "ns/op") // omits the time per loop, which is meaningless here
	for unit, values := range m {
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		b.ReportMetric(sum/float64(len(values)), unit)
	}
}

const started = `{
	const send = WebSocket.prototype.send;
	WebSocket.prototype.send = function (text) { send.call(this, text); if (text.includes('"StartStream"')) { WebSocket.prototype.send = send; done(); } };
}`

// click clicks the button, and returns the milliseconds until the script `until` calls `done`.
func (d *dock) click(label, until string) (ms float64) {
	d.t.Helper()
	d.Eval(`new Promise((resolve) => {
		const root = document.documentElement;
		let from = 0;
		const done = () => resolve(performance.now() - from);
		`+until+`;
		from = performance.now();
		[...document.querySelectorAll('button')].find((b) => b.textContent === '`+label+`').click();
	})`, &ms)
	return ms
}

// benchDock opens a dock that remembers OBS's password.
func benchDock(b *testing.B) *dock {
	b.Helper()
	d := unconnected(b, browser.OBS31, fakeobs.Options{Password: obsPassword}, browser.Options{})
	d.signIn()
	d.Click(`input[name="remember"]`)
	d.connect(obsPassword)
	d.state("not-set-up")
	return d
}

// freshOBS replaces the OBS by one that is not set up.
func (d *dock) freshOBS() {
	d.t.Helper()
	d.obs.Quit()
	d.obs = fakeobs.Start(d.t, fakeobs.Options{Password: obsPassword, Output: d.far.Output})
	d.Eval(`localStorage.setItem('stagedoor.obs.address', '127.0.0.1:`+d.obs.Port()+`')`, nil)
	d.Reload()
	d.state("not-set-up")
}
