package docktest

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
)

const obsPassword = "supersecretpassword"

// everyEngine runs a story as a subtest in each engine.
func everyEngine(t *testing.T, story func(t *testing.T, engine browser.Engine)) {
	for _, engine := range browser.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			story(t, engine)
		})
	}
}

// A dock is an open page of the dock, with its server, its OBS and the WHIP server.
type dock struct {
	*browser.Page
	t      testing.TB
	server *fakeServer
	obs    *fakeobs.OBS
	far    *fakeobs.Far
}

// openDock opens the dock, signed in and connected to an OBS.
func openDock(
	t *testing.T, engine browser.Engine, options fakeobs.Options, look browser.Options,
) *dock {
	t.Helper()
	d := unconnected(t, engine, options, look)
	d.signIn()
	d.connect(options.Password)
	return d
}

// unconnected opens the dock without a login.
func unconnected(
	t testing.TB, engine browser.Engine, options fakeobs.Options, look browser.Options,
) *dock {
	t.Helper()
	return around(t, options, func() *browser.Page { return browser.Open(t, engine, look) })
}

// around starts a server and an OBS, and opens the dock in the page that the given function
// returns. The page is opened last, so that it is closed first.
func around(t testing.TB, options fakeobs.Options, open func() *browser.Page) *dock {
	t.Helper()
	d := &dock{t: t, server: newFakeServer(t), far: fakeobs.NewFar()}
	if options.Output == nil {
		options.Output = d.far.Output
	}
	d.obs = fakeobs.Start(t, options)
	d.Page = open()
	d.Goto(d.server.URL + "/dock")
	return d
}

func (d *dock) signIn() { d.signInAs("ana", password) }

func (d *dock) signInAs(name, password string) {
	d.WaitVisible(`input[name="name"]`)
	d.Type(`input[name="name"]`, name)
	d.Type(`input[name="password"]`, password)
	d.Click(`button[type="submit"]`)
	d.WaitVisible(`input[name="obsPassword"]`)
}

func (d *dock) connect(word string) {
	d.Type(`input[name="address"]`, "127.0.0.1:"+d.obs.Port())
	d.Type(`input[name="obsPassword"]`, word)
	d.Click(`.card form button[type="submit"]`)
}

// state waits until the dock is in a certain state, as stateOf in static/dock/views.js names it.
func (d *dock) state(name string) {
	d.WaitFor(`document.documentElement.dataset.state === "` + name + `"`)
}

// coversNothing fails the test if an element that matches the selector covers a visible button,
// link or field.
func (d *dock) coversNothing(selector string) {
	d.t.Helper()
	var covered []string
	d.Eval(`(() => {
		const box = e => e.getBoundingClientRect();
		const meets = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
		return [...document.querySelectorAll('button, a, input, select, summary')].filter(e => box(e).width > 0 && (e.tagName === 'SUMMARY' || !e.closest('details:not([open])')))
			.filter(e => [...document.querySelectorAll('`+selector+`')].some(over => !over.contains(e) && meets(box(e), box(over))))
			.map(e => e.outerHTML.slice(0, 80));
	})()`, &covered)
	if len(covered) > 0 {
		d.t.Errorf("%s covers %v, want nothing covered", selector, covered)
	}
}

func TestFromSignInToLive(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		d := openDock(t, engine, fakeobs.Options{Password: obsPassword}, browser.Options{})

		d.state("not-set-up")
		d.WaitText("Sound is encoded as AAC")
		d.ClickText("Set up OBS")
		d.state("ready")
		d.WaitVisible(".toast")
		d.coversNothing(".toast")
		if got := d.obs.AudioCodecInUse(); got != "opus" {
			t.Errorf("the encoder that OBS has built: got %q, want opus", got)
		}

		d.ClickText("Go live")
		d.WaitText("Waiting for picture and sound")
		d.obs.WaitStream(t, "STARTED")
		d.server.stage("publishing", "", "")
		d.state("live")
		d.server.present(reception())
		d.WaitText("1280×720")
		if calls := d.far.Calls(); len(calls) != 1 || !calls[0].Opus {
			t.Errorf("OBS called %d times with Opus %v, want once with Opus", len(calls), calls)
		}

		d.Click("button.danger")
		d.obs.WaitStream(t, "STOPPED")
		d.state("ready")
	})
}
