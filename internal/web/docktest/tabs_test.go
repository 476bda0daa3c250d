package docktest

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
)

// people opens the tab People and waits until it is on the stage.
func (d *dock) people() {
	d.t.Helper()
	d.ClickText("People")
	d.WaitVisible("#panel-people .phase.joined")
}

// liveOnPeople opens a live dock and its tab People.
func liveOnPeople(t *testing.T, engine browser.Engine, look browser.Options) *dock {
	t.Helper()
	d := unconnected(t, engine, rowNamed("live").obs, look)
	d.live()
	d.people()
	return d
}

// TestTheBroadcastIsWatchedOverFromPeople: while the tab People is shown, the dock shows the state
// of the broadcast, replaces an invalid token, and announces a problem of the broadcast.
func TestTheBroadcastIsWatchedOverFromPeople(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		d := liveOnPeople(t, engine, browser.Options{Width: 250})
		d.WaitFor(`/^LIVE\s*0:00:\d\d$/.test(document.querySelector('.air .now').innerText)`)
		var top float64
		d.Eval(`document.querySelector('#panel-people .bar').getBoundingClientRect().top`, &top)

		d.rescued("token-of-participant2-")
		d.WaitVisible("#panel-people .air.state-live")

		t.Log("a problem is shown and announced on the open tab, and no element moves")
		d.liveBadly()
		d.WaitFor(`document.querySelector('.air .worry')?.innerText.startsWith('Viewers cannot hear you')`)
		d.WaitFor(`document.querySelector('#said').textContent.startsWith('Viewers cannot hear you')`)
		var now float64
		d.Eval(`document.querySelector('#panel-people .bar').getBoundingClientRect().top`, &now)
		if now != top {
			t.Errorf("the page below the line moved from %v to %v", top, now)
		}

		t.Log("one click leads to the details of the problem")
		d.Click(".air .to")
		d.WaitText("Stop, then set up OBS again")
		d.WaitFor(`document.activeElement.id === 'tab-broadcast'`)
	})
}

func TestStopFromPeople(t *testing.T) {
	t.Parallel()
	d := liveOnPeople(t, browser.OBS31, browser.Options{Width: 320})
	t.Log("the line with Stop stays visible on a scrolled tab")
	d.Eval(`(() => { document.querySelector('#panel-people').style.minHeight = '3000px'; scrollTo(0, 1500); })()`, nil)
	d.WaitFor(`scrollY > 1000 && document.querySelector('.air').getBoundingClientRect().top === 0`)
	d.Click(".air .danger")
	d.obs.WaitStream(t, "STOPPED")
	d.state("ready")
	d.WaitText("OBS is ready")
	d.WaitGone(".air .danger")
	d.WaitFor(`document.activeElement.matches('#panel-people h1')`)
	d.WaitFor(`document.querySelector('#said').textContent === 'OBS is ready'`)
}

// TestTheTabPeopleShowsAProblem: the tab People shows why the broadcast ended. A click on that line
// opens the tab Broadcast, where the person can go live again.
func TestTheTabPeopleShowsAProblem(t *testing.T) {
	t.Parallel()
	d := liveOnPeople(t, browser.OBS30, browser.Options{Width: 250})
	d.server.stage("ended", "kicked", "The operator ended your broadcast: the hall is closing.")
	d.far.Answer(fakeobs.Refuse(401))
	d.far.Drop()
	d.state("trouble")
	d.WaitVisible("#panel-people .air.state-trouble")
	d.WaitText("The operator ended your broadcast")
	d.Click(".air .to")
	d.WaitText("Go live again")
}

// TestTabs: the arrow keys switch between the tabs, and a reload keeps the chosen tab.
func TestTabs(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		d := openDock(t, engine, rowNamed("ready").obs, browser.Options{Width: 250})
		d.state("ready")
		d.WaitFor(`!performance.getEntriesByType('resource').some((e) => e.name.includes('/static/stage/'))`)

		t.Log("the arrow keys switch tabs, and screen readers get their roles")
		d.focus("Broadcast")
		d.Press("ArrowRight")
		d.WaitVisible("#panel-people .phase.joined")
		d.WaitFor(`document.activeElement.matches('#tab-people[role=tab][aria-selected=true][aria-controls=panel-people]')`)
		d.WaitFor(`document.querySelector('#panel-people[role=tabpanel]').getAttribute('aria-labelledby') === 'tab-people'`)
		d.WaitFor(`document.querySelector('#panel-broadcast').hidden && document.querySelector('#tab-broadcast').tabIndex === -1`)
		d.Press("Home")
		d.WaitVisible("#panel-broadcast .state-ready")
		d.WaitFor(`document.activeElement.id === 'tab-broadcast' && location.hash === ''`)
		d.Press("ArrowLeft")
		d.WaitFor(`location.hash === '#people'`)
		if d.server.joined() != 1 {
			t.Errorf("the tab has joined the stage %d times, want once", d.server.joined())
		}

		t.Log("a reload and an address with the tab's name show the same tab")
		d.Reload()
		d.WaitVisible("#panel-people .phase.joined")
		d.WaitFor(`location.hash === '#people'`)
		d.ClickText("Broadcast")
		d.WaitVisible("#panel-broadcast .card")
		d.Eval(`location.hash = 'people'`, nil)
		d.WaitVisible("#panel-people .phase.joined")
	})
}

// TestSettingUpGoesOnBehindPeople: during a set-up, which takes seconds, the tab People can be
// used.
func TestSettingUpGoesOnBehindPeople(t *testing.T) {
	t.Parallel()
	d := openDock(t, browser.OBS30, fakeobs.Options{Password: obsPassword},
		browser.Options{Width: 250})
	d.state("not-set-up")
	release := d.obs.Hold("SetStreamServiceSettings")
	d.ClickText("Set up OBS")
	d.WaitText("WHIP and your token")
	d.people()
	d.WaitText("Setting up OBS…")
	release()
	d.state("ready")
	d.WaitText("OBS is ready")
}

// TestWithoutOBSPeopleLeadsToBroadcast: without OBS, the tab People links to the tab Broadcast,
// which has the form to connect.
func TestWithoutOBSPeopleLeadsToBroadcast(t *testing.T) {
	t.Parallel()
	d := unconnected(t, browser.OBS31, fakeobs.Options{Password: obsPassword}, browser.Options{})
	d.signIn()
	d.people()
	d.ClickText("Browser sources")
	d.WaitText("connect to OBS in the tab “Broadcast”")
	d.ClickText("To Broadcast")
	d.connect(obsPassword)
	d.state("not-set-up")
	d.people()
	d.WaitNoText("connect to OBS in the tab “Broadcast”")
}

// TestPeopleThatCannotBeLoadedCanBeTriedAgain: the broadcast continues meanwhile.
func TestPeopleThatCannotBeLoadedCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		d := unconnected(t, engine, rowNamed("live").obs, browser.Options{})
		d.Allow("Failed to load resource", "Failed to fetch", "Refused to apply style")
		d.live()
		d.server.become(func() { d.server.missing = "stage/" })
		d.ClickText("People")
		d.WaitText("This part of the page could not be loaded.")
		d.WaitVisible(".air.state-live")
		d.server.become(func() { d.server.missing = "" })
		d.ClickText("Try again")
		d.WaitVisible("#panel-people .phase.joined")
		d.WaitVisible(".air.state-live")
	})
}

// TestTheLineFitsInEveryLanguage: the line with the state of the broadcast fits the narrowest dock.
func TestTheLineFitsInEveryLanguage(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"en", "de", "es"} {
		d := unconnected(t, browser.OBS30, rowNamed("live").obs,
			browser.Options{Width: 250, Lang: lang})
		d.ready()
		d.Click(".primary.large")
		d.obs.WaitStream(t, "STARTED")
		d.server.stage("publishing", "", "")
		d.state("live")
		d.Click("#tab-people")
		d.WaitVisible("#panel-people .phase.joined")
		bad := reception()
		bad["audio"] = object{"codec": "opus", "bitrate": 158000, "valid": false}
		d.server.present(bad)
		d.WaitVisible(".air .worry")
		d.WaitFor(`[...document.querySelectorAll('.air, .air .to, .air .on, .air .now, .air .clock')].every((e) => e.scrollWidth <= e.clientWidth || e.clientWidth === 0)`)
		d.WaitFor(`document.querySelector('.air .to').scrollHeight <= document.querySelector('.air .to').clientHeight`)
		d.keep("people-line-" + lang)
		d.server.stage("ended", "kicked",
			"The operator ended your broadcast: the hall is closing, and everybody has to go "+
				"home now.")
		d.far.Answer(fakeobs.Refuse(401))
		d.far.Drop()
		d.state("trouble")
		d.WaitFor(`document.querySelector('.air .to').scrollHeight <= document.querySelector('.air .to').clientHeight`)
	}
}

// TestBothTabsFitEveryWidth: both tabs fit every width, in good and in bad states of the broadcast.
func TestBothTabsFitEveryWidth(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"dark", "light"} {
		d := liveOnPeople(t, browser.OBS31, browser.Options{ColorScheme: scheme})
		d.shoot(browser.OBS31, "people-"+scheme, everyWidth())
		d.liveBadly()
		d.shoot(browser.OBS31, "people-wrong-"+scheme, everyWidth())
		d.ClickText("Broadcast")
		d.shoot(browser.OBS31, "people-behind-"+scheme, everyWidth())
	}
}

func (d *dock) liveBadly() {
	bad := reception()
	bad["audio"] = object{"codec": "opus", "bitrate": 158000, "valid": false}
	d.server.present(bad)
	d.WaitText("Viewers cannot hear you")
}
