package docktest

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/obs/encoders"
	"github.com/stagedoor/stagedoor/internal/web"
)

// The address that the script gives to OBS opens a dock that is signed in and connected, and sets
// OBS up.
func TestAPairedDockNeedsNothingMore(t *testing.T) {
	t.Parallel()
	for _, engine := range []browser.Engine{browser.OBS30, browser.OBS31} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			app := replicas.App(t)
			ada := app.Broadcaster(app.Operator(), "Ada", "publish")
			const odd = `a #&= "%+ß password`
			far := fakeobs.Start(t, fakeobs.Options{
				Password: odd, Version: fakeobs.OBS31,
				Script: fakeobs.Script{Secret: "shared",
					Encoders: []string{"jim_nvenc", "obs_x264"}, Fit: fit},
			})
			status, _, script := ada.Do(http.MethodGet, "/api/obs/script", nil)
			code := regexp.MustCompile(`local code, code_expires = "([^"]+)"`).FindSubmatch(script)
			if code == nil {
				t.Fatalf("the script has no enrolment code: got %d %s", status, script)
			}
			d := &dock{Page: browser.Open(t, engine, browser.Options{}), t: t, obs: far}
			d.Goto(app.URL + "/dock#obs-port=" + far.Port() + "&obs-password=" + escaped(odd) +
				"&obs-secret=shared&obs-encoders=jim_nvenc%20obs_x264&enrol=" +
				escaped(string(code[1])))
			d.state("ready")
			d.WaitText("Your profile “Untitled” is as it was.")
			d.keep("dock-first")
			var address string
			if d.Eval("location.href", &address); address != app.URL+"/dock" {
				t.Errorf("the address is %s, want it without secrets", address)
			}
			d.Reload()
			d.state("ready")
			d.WaitText("Your profile “Untitled” is as it was.")
			d.ClickText("OK")
			d.usesTheGraphicsCard()
			d.Goto(app.URL + "/account")
			d.WaitText("Docks save no files")
			d.WaitFor(`document.querySelector("#c-download").value === "` + app.URL + `"`)
			d.WaitFor(`[...document.querySelectorAll(".pictures img")].filter((i) => i.complete && i.naturalWidth > 0).length === 3`)
		})
	}
}

// Each page on which a broadcaster arrives offers the script for OBS first, and the manual steps
// below.
func TestABroadcasterFindsTheScriptOnEveryPage(t *testing.T) {
	t.Parallel()
	app := apptest.Start(t)
	olga := app.Operator()
	app.Broadcaster(olga, "Ada", "publish", "subscribe")
	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 900})
	page.Goto(app.URL)
	signInAs(page, "Ada")
	page.WaitVisible("header summary")
	for _, path := range []string{"", "/account"} {
		page.Goto(app.URL + path)
		page.WaitText("The file signs in one dock, once, within 30 minutes of the download.")
		page.WaitFor(`document.querySelectorAll(".pictures img").length === 3`)
		var first bool
		page.Eval(`(() => {
			const script = document.querySelector('main a[href^="api/obs/script"][download]');
			const hand = document.querySelector('main #c-dock');
			return Boolean(hand.closest('details:not([open])')) &&
				[...document.querySelectorAll('main a, main button, main input')][0] === script;
		})()`, &first)
		if !first {
			t.Errorf("%s/ does not have the script first and the way by hand below", path)
		}
	}
	page.Goto(app.URL + "/watch")
	page.ClickText("Go live yourself: connect OBS")
	page.WaitText("Download for OBS")
}

// A server with an http URL offers no script, unless the URL is of the same computer. The pages say
// so in the place of the script.
func TestAServerWithoutTLSSaysWhyItHasNoScript(t *testing.T) {
	t.Parallel()
	app := apptest.Start(t, "--public-url", "http://stage.example:8080")
	app.Broadcaster(app.Operator(), "Ada", "publish")
	page := browser.Open(t, browser.Current, browser.Options{})
	page.Goto(app.URL)
	signInAs(page, "Ada")
	page.WaitText("OBS is paired over https only, and its address is http://stage.example:8080")
	page.WaitNoText("Download for OBS")
	page.WaitText("Connect by hand")
}

func fit(id string, kbits, seconds int) map[string]any {
	e, _ := encoders.Find(id)
	return e.Fit(kbits, seconds)
}

// usesTheGraphicsCard sets OBS up for its hardware encoder, and then for x264 again.
func (d *dock) usesTheGraphicsCard() {
	d.t.Helper()
	d.Click("details.section summary")
	d.keep("dock-graphics-card")
	d.ClickText("Use my graphics card (NVIDIA NVENC)")
	d.WaitText("The encoder’s file is suitable")
	d.state("ready")
	file, built := d.obs.File("Stagedoor"), d.obs.State().Encoders
	if file["keyint_sec"] != 2.0 || file["bf"] != 0.0 || built.Mode != "Advanced" ||
		built.Audio != "opus" {
		d.t.Errorf("the encoder's file is %v, OBS built %+v", file, built)
	}
	d.ClickText("Use x264 instead of the graphics card")
	d.WaitText("Use my graphics card")
	d.state("ready")
	if built := d.obs.State().Encoders; built.Mode != "Simple" {
		d.t.Errorf("OBS built %+v for x264, want Simple mode", built)
	}
}

// A pairing is a paired dock in OBS. The script opens the dock at each start of OBS.
type pairing struct {
	*dock
	app       *apptest.App
	olga, ada *apptest.Client
}

func newPairing(t *testing.T, obs fakeobs.Options) *pairing {
	t.Helper()
	return pairingAt(t, apptest.Start(t), obs)
}

func pairingAt(t *testing.T, app *apptest.App, obs fakeobs.Options) *pairing {
	t.Helper()
	olga := app.Operator()
	obs.Version, obs.Password = fakeobs.OBS31, obsPassword
	far := fakeobs.Start(t, obs)
	return &pairing{
		app: app, olga: olga, ada: app.Broadcaster(olga, "Ada", "publish"),
		dock: &dock{Page: browser.Open(t, browser.OBS31, browser.Options{}), t: t, obs: far},
	}
}

// starts opens the dock with the secret, and with the code that signs it in, unless `code` is "".
func (p *pairing) starts(secret, word, code string) {
	p.t.Helper()
	p.Goto("about:blank")
	address := p.app.URL + "/dock#obs-port=" + p.obs.Port() + "&obs-password=" + word +
		"&obs-secret=" + secret + "&obs-encoders=obs_x264&obs-server=" + escaped(p.app.URL)
	if code != "" {
		address += "&enrol=" + escaped(code)
	}
	p.Goto(address)
}

func (p *pairing) code() string {
	p.t.Helper()
	var login web.Enrolment
	p.ada.Must(http.StatusCreated, "POST", "/api/enrolments", nil, &login)
	return login.Code
}

// fits checks in each language that the page fits every width of a dock. In each language, it calls
// the function `come`, which brings the page into the state, and waits for the selector. The last
// language is English.
func (p *pairing) fits(name, selector string, come func()) {
	p.t.Helper()
	for _, lang := range []string{"de", "es", "en"} {
		p.Eval(`localStorage.setItem('stagedoor.language', '`+lang+`')`, nil)
		come()
		p.WaitFor(`document.documentElement.lang === '` + lang + `'`)
		p.WaitVisible(selector)
		p.shoot(browser.OBS31, name+"-"+lang, everyWidth())
	}
}

// pairedBefore is a dock that was paired, and whose user has undone the first set-up.
func (p *pairing) pairedBefore() {
	p.t.Helper()
	p.starts("shared", obsPassword, p.code())
	p.state("ready")
	p.WaitText("Your profile “Untitled” is as it was.")
	p.ClickText("Undo")
	p.WaitText("OBS is back on your profile “Untitled”.") // shown for six seconds
	p.state("not-set-up")
}

// Undo reverts the whole set-up that a dock began by itself. The dock does not set OBS up again,
// neither when OBS restarts nor when it is paired again.
func TestTheFirstSetUpIsUndone(t *testing.T) {
	t.Parallel()
	p := newPairing(t, fakeobs.Options{Script: fakeobs.Script{Secret: "shared"}})
	before := p.obs.State()
	p.starts("shared", obsPassword, p.code())
	p.state("ready")
	p.WaitText("Your profile “Untitled” is as it was.")
	p.fits("dock-first", ".notice.good button", p.Reload)
	p.pairedBefore()
	after := p.obs.State()
	if !slices.Equal(after.Profiles, before.Profiles) || after.Profile != before.Profile ||
		after.Service.Type != before.Service.Type {
		t.Errorf("OBS has %+v, want its profiles and service as before: %+v", after, before)
	}
	for _, secret := range []string{"shared", "another"} {
		p.starts(secret, obsPassword, "")
		p.state("not-set-up")
		p.WaitText("Set up OBS")
	}
	if got := p.obs.State().Profiles; !slices.Equal(got, before.Profiles) {
		t.Errorf("OBS was set up again: %v", got)
	}
}

// Without a click, a dock sets up OBS only if no output is running. After the recording has ended,
// the person decides.
func TestAPairedDockLeavesABusyOBSAlone(t *testing.T) {
	t.Parallel()
	p := newPairing(t, fakeobs.Options{})
	p.obs.SetOutput(fakeobs.Recording, true)
	p.starts("shared", obsPassword, p.code())
	p.WaitText("Stop the recording first")
	p.obs.SetOutput(fakeobs.Recording, false)
	p.WaitNoText("Stop the recording first")
	p.ClickText("Set up OBS")
	p.state("ready")
	p.WaitNoText("is as it was")
}

// The dock has a wrong password of OBS. It says that OBS refuses the password, and that a restart
// of OBS may help. The operator sees this problem, too.
func TestAPairedDockSaysHowToGetTheNewPassword(t *testing.T) {
	t.Parallel()
	p := newPairing(t, fakeobs.Options{Script: fakeobs.Script{Secret: "shared"}})
	p.pairedBefore()
	p.obs.Quit()
	p.obs.SetPassword("changed")
	if err := p.obs.Restart(); err != nil {
		t.Fatal(err)
	}
	p.WaitText("its WebSocket password is not the one that this dock has")
	p.WaitText("Close OBS and start it again. The script then gives the dock OBS’s password.")
	p.WaitNoText("not reachable")
	p.WaitFor(`document.querySelector("#said").textContent.includes("password is not the one")`)
	p.fits("dock-refused", "ol.steps", p.Reload)
	p.poll("the server knows that OBS refuses the dock", func() bool {
		var ada web.V1UserDetail
		p.olga.Must(http.StatusOK, "GET", "/api/v1/users/"+string(p.ada.Me().ID), nil, &ada)
		return len(ada.Docks) == 1 && ada.Docks[0].OBS != nil &&
			ada.Docks[0].OBS.State == "password"
	})
	p.starts("shared", "changed", "")
	p.state("not-set-up")
}

// OBS does not answer at the port that the dock has stored. As after a wrong password, the first
// advice is to restart OBS.
func TestAPairedDockSaysHowToFindOBS(t *testing.T) {
	t.Parallel()
	p := newPairing(t, fakeobs.Options{Script: fakeobs.Script{Secret: "shared"}})
	p.pairedBefore()
	p.obs.Quit()
	p.starts("shared", obsPassword, "")
	p.WaitText("OBS’s WebSocket server does not answer at 127.0.0.1:" + p.obs.Port())
	p.WaitText("The script then switches OBS’s WebSocket server on")
	p.fits("dock-unreachable", "ol.steps", p.Reload)
}

// The code of the script was used before, or is wrong, or has expired. The script omits an expired
// code. In each case the dock gives the same explanation as the script.
func TestADockSaysThatTheScriptsCodeIsOver(t *testing.T) {
	t.Parallel()
	p := newPairing(t, fakeobs.Options{})
	used := p.code()
	p.app.Browser().Must(http.StatusCreated, "POST", "/api/enrol", web.EnrolCode{Code: used}, nil)
	for _, code := range []string{used, "guessed", ""} {
		p.Goto(p.app.URL + "/setup")
		p.Eval(`localStorage.clear()`, nil)
		p.starts("shared", obsPassword, code)
		p.WaitText("Its code works once, within 30 minutes of the download")
		p.WaitNoText("sign-in link")
	}
	p.fits("dock-code-over", "p.notice", func() {
		p.Eval(`localStorage.removeItem('stagedoor.obs.secret')`, nil)
		p.starts("shared", obsPassword, "")
	})
	p.Type(`input[name="name"]`, "Ada")
	p.Type(`input[name="password"]`, apptest.Password)
	p.Click(`form button[type="submit"]`)
	p.state("ready") // the page was paired when it loaded, so only the sign-in was missing
}

// The script hands over its code at each start of OBS until the code expires. A dock that has used
// the code does not send it again. A code that the server has refused is sent once, too, so that
// the audit trail and the server's log have one warning.
func TestADockSendsTheScriptsCodeOnce(t *testing.T) {
	t.Parallel()
	p := newPairing(t, fakeobs.Options{Script: fakeobs.Script{Secret: "shared"}})
	p.Allow("WebSocket is already in CLOSING") // OBS is closed while the dock asks the script
	refused := func() (n int) {
		var trail web.V1Audit
		p.olga.Must(http.StatusOK, "GET", "/api/v1/audit?action=login.failed", nil, &trail)
		return len(trail.Entries)
	}
	code := p.code()
	for range 3 {
		p.starts("shared", obsPassword, code)
		p.state("ready")
	}
	if got := refused(); got != 0 {
		t.Errorf("the server has refused the code of the signed-in dock %d times", got)
	}
	p.Goto(p.app.URL + "/setup")
	p.Eval(`localStorage.clear()`, nil)
	p.Eval(`fetch('/api/login', {method: 'DELETE'}).then((r) => r.status)`, nil)
	for range 3 {
		p.starts("shared", obsPassword, code)
		p.WaitText("Its code works once, within 30 minutes of the download")
	}
	if got := refused(); got != 1 {
		t.Errorf("the server has refused the used code %d times, want once", got)
	}
	p.starts("shared", obsPassword, p.code()) // a script that was downloaded again
	p.state("ready")
}

// escaped escapes a value for a fragment as the script does: a space as %20, not as "+".
func escaped(text string) string {
	return regexp.MustCompile(`\+`).ReplaceAllString(url.QueryEscape(text), "%20")
}

// The server has a new public URL, and still answers at the old one, at which the script in OBS
// opens the dock. One click moves the dock to the new URL, signed in and connected. At its next
// start, OBS opens the dock at the new URL.
func TestAPairedDockMovesWithTheServer(t *testing.T) {
	t.Parallel()
	for _, engine := range []browser.Engine{browser.OBS30, browser.OBS31} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			m := newMove(t, engine, fakeobs.Script{Secret: "shared", Encoders: []string{"obs_x264"},
				Fit: fit})
			m.WaitText("This server has moved to " + m.now)
			m.ClickText("Move this dock to " + m.now)
			m.WaitText("from now on OBS opens this dock at " + m.now)
			m.state("not-set-up")
			m.isAt(m.now)
			if got := m.obs.MovedTo(); got != m.now {
				t.Errorf("the script opens %q, want %q", got, m.now)
			}
			m.starts(m.now, m.now, "")
			m.state("not-set-up")
			m.isAt(m.now)
			m.WaitNoText("has moved")
		})
	}
}

// An older script does not support moves. The dock stays at the new address until the next start of
// OBS, and says what to do.
func TestADockWithAnOlderScriptSaysWhatToDo(t *testing.T) {
	t.Parallel()
	m := newMove(t, browser.OBS31, fakeobs.Script{Secret: "shared", Old: true})
	m.ClickText("Move this dock to " + m.now)
	m.WaitText("Open " + m.now + "/account in a browser on this computer")
	m.isAt(m.now)
	m.starts(m.old, "", "")
	m.WaitText("its script is too old to follow: open " + m.now + "/account")
}

// The code of a move is wrong. The dock says that it has come to the new address, and completes the
// move after the person has signed in.
func TestAMoveWithABadCodeLeadsToTheSignIn(t *testing.T) {
	t.Parallel()
	m := newMove(t, browser.OBS31, fakeobs.Script{Secret: "shared"})
	m.starts(m.now, m.old, "&obs-moving=1&enrol=guessed")
	m.WaitText("This dock has come to the new address of the server.")
	m.WaitNoText("sign-in link")
	m.Type(`input[name="name"]`, "Ada")
	m.Type(`input[name="password"]`, apptest.Password)
	m.Click(`form button[type="submit"]`)
	m.WaitText("from now on OBS opens this dock at " + m.now)
	if got := m.obs.MovedTo(); got != m.now {
		t.Errorf("the script opens %q, want %q", got, m.now)
	}
}

// If the old address redirects to the new one (301), the dock arrives there without a click. The
// script keeps the old address until the person clicks.
func TestARedirectedDockAsksBeforeItMoves(t *testing.T) {
	t.Parallel()
	m := newMove(t, browser.OBS31, fakeobs.Script{Secret: "shared"})
	var login web.Enrolment
	m.ada.Must(http.StatusCreated, "POST", "/api/enrolments", nil, &login)
	m.starts(m.now, m.old, "&enrol="+escaped(login.Code))
	m.WaitText("The script in OBS still opens this dock at " + m.old)
	if got := m.obs.MovedTo(); got != "" {
		t.Errorf("the script opens %q before the click", got)
	}
	m.ClickText("Open this dock at " + m.now + " from now on")
	m.WaitText("from now on OBS opens this dock at " + m.now)
}

// The script was removed from OBS. The dock shows a notice about it, until the person closes the
// notice. After that, the section about OBS still has the text.
func TestADockSaysThatItsScriptIsGone(t *testing.T) {
	t.Parallel()
	m := newMove(t, browser.OBS31, fakeobs.Script{Secret: "shared", Deaf: true})
	m.starts(m.now, m.now, "")
	m.Type(`input[name="name"]`, "Ada")
	m.Type(`input[name="password"]`, apptest.Password)
	m.Click(`form button[type="submit"]`)
	m.state("ready")
	m.WaitText("press “Undo” in its pane")
	m.keep("dock-script-gone")
	m.Click(".notice.warning button:last-child")
	m.WaitGone(".notice.warning")
	m.Reload()
	m.state("ready")
	m.Click("details.section summary")
	m.WaitText("press “Undo” in its pane")
	m.WaitGone(".notice.warning")
}

// TestADockUndoesWhatItCanWithoutItsScript: a person chooses a scene collection without the script.
// The dock says so without a new connection to OBS, and stops saying so when the script is back. It
// undoes what a page can undo: it removes the token and selects the earlier profile. For the rest,
// it names the command `stagedoor obs pair --undo`.
func TestADockUndoesWhatItCanWithoutItsScript(t *testing.T) {
	t.Parallel()
	p := newPairing(t, fakeobs.Options{Script: fakeobs.Script{Secret: "shared"}})
	p.starts("shared", obsPassword, p.code())
	p.state("ready")
	p.ClickText("OK")
	p.obs.ChooseSceneCollection("Second", false)
	p.WaitText("or you chose another collection")
	p.obs.ChooseSceneCollection("Untitled", true)
	p.WaitGone(".notice.warning")
	p.obs.ChooseSceneCollection("Second", false)
	p.WaitText("stagedoor obs pair --undo --server " + p.app.URL)
	p.fits("dock-script-gone", ".notice.warning button", p.Reload)
	if _, token := serviceOf(p.obs.State()); token == "" {
		t.Fatal("the profile has no token before")
	}
	p.ClickText("Remove the token, back to “Untitled”")
	p.WaitText("OBS is back on your profile “Untitled”")
	p.state("not-set-up")
	p.keep("dock-script-gone-undone")
	if got := p.obs.State().Profile; got != "Untitled" {
		t.Errorf("the profile %q is selected", got)
	}
	p.obs.ChooseSceneCollection("Untitled", true)
	p.WaitGone(".notice.warning")
	var last any // what was written into the service last
	for _, r := range p.obs.Requests() {
		if r.Type == "SetStreamServiceSettings" {
			last = r.Data["streamServiceSettings"]
		}
	}
	if got, _ := last.(map[string]any); len(got) != 1 || got["bearer_token"] != "" {
		t.Errorf("the service was last given %v, want no token", last)
	}
}

// TestTheNoticeAboutTheScriptFollowsTheProfile: the person has removed the token by the notice, and
// later uses the profile Stagedoor again. The notice no longer says that OBS is back and has no
// token, and offers to remove the token again.
func TestTheNoticeAboutTheScriptFollowsTheProfile(t *testing.T) {
	t.Parallel()
	p := newPairing(t, fakeobs.Options{Script: fakeobs.Script{Secret: "shared"}})
	p.starts("shared", obsPassword, p.code())
	p.state("ready")
	p.ClickText("OK")
	p.obs.ChooseSceneCollection("Second", false)
	p.WaitText("or you chose another collection")
	for range 2 {
		p.ClickText("Remove the token, back to “Untitled”")
		p.WaitText("OBS is back on your profile “Untitled”")
		p.state("not-set-up")
		p.ClickText("Set up OBS")
		p.state("ready")
		p.WaitText("or you chose another collection")
		p.WaitNoText("OBS is back on your profile “Untitled”, and")
	}
}

// TestTheNoticeAboutTheScriptIsNotLate: while the dock loads the notice that the script is gone,
// the person chooses the collection with the script again. The notice does not appear.
func TestTheNoticeAboutTheScriptIsNotLate(t *testing.T) {
	t.Parallel()
	loads, loaded := make(chan bool, 9), make(chan bool)
	app := apptest.Start(t)
	app.URL = proxyOf(t, app.URL, func(r *http.Request) bool {
		if r.URL.Path == "/static/dock/gone.js" {
			loads <- true
			<-loaded
		}
		return false
	})
	answer := sync.OnceFunc(func() { close(loaded) })
	t.Cleanup(answer)
	p := pairingAt(t, app, fakeobs.Options{Script: fakeobs.Script{Secret: "shared"}})
	p.starts("shared", obsPassword, p.code())
	p.state("ready")
	p.ClickText("OK")
	p.obs.ChooseSceneCollection("Second", false)
	select {
	case <-loads:
	case <-time.After(time.Minute):
		t.Fatal("the dock did not load the notice")
	}
	before := p.asked()
	p.obs.ChooseSceneCollection("Untitled", true)
	p.poll("another question to the script", func() bool { return p.asked() > before })
	time.Sleep(500 * time.Millisecond) // the script answers
	answer()
	p.WaitFor(`import('./static/dock/gone.js').then(() => true)`)
	time.Sleep(500 * time.Millisecond)
	p.WaitGone(".notice.warning")
}

// asked returns how often the dock has asked the script.
func (p *pairing) asked() (n int) {
	for _, r := range p.obs.Requests() {
		if r.Type == "SetProfileParameter" && r.Data["parameterName"] == "Ask" {
			n++
		}
	}
	return n
}

// A move is a paired dock in OBS, with a server whose public URL has changed after the pairing.
type move struct {
	*dock
	ada      *apptest.Client
	old, now string // addresses of the server
}

func newMove(t *testing.T, engine browser.Engine, script fakeobs.Script) *move {
	t.Helper()
	app := apptest.Start(t)
	ada := app.Broadcaster(app.Operator(), "Ada", "publish")
	m := &move{ada: ada, old: app.URL, now: strings.Replace(app.URL, "127.0.0.1", "localhost", 1)}
	app.Stop()
	app.Again("--public-url", m.now)
	var login web.Enrolment
	ada.Must(http.StatusCreated, "POST", "/api/enrolments", nil, &login)
	far := fakeobs.Start(t, fakeobs.Options{
		Password: "word", Version: fakeobs.OBS31, Script: script,
	})
	m.dock = &dock{Page: browser.Open(t, engine, browser.Options{}), t: t, obs: far}
	m.starts(m.old, m.old, "&enrol="+escaped(login.Code))
	return m
}

// starts opens the dock as OBS does when it starts. A script that supports moves adds the server's
// address.
func (m *move) starts(at, server, more string) {
	m.t.Helper()
	m.Goto("about:blank")
	address := at + "/dock#obs-port=" + m.obs.Port() + "&obs-password=word&obs-secret=shared" +
		"&obs-encoders=obs_x264" + more
	if server != "" {
		address += "&obs-server=" + escaped(server)
	}
	m.Goto(address)
}

func (m *move) isAt(server string) {
	m.t.Helper()
	var address string
	if m.Eval("location.href", &address); address != server+"/dock" {
		m.t.Errorf("the address is %s, want %s/dock without secrets", address, server)
	}
}
