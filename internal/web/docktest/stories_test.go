package docktest

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/realobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestNothingIsLostOnReload: a reload keeps the remembered password, the connection and the
// broadcast.
func TestNothingIsLostOnReload(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		d := unconnected(t, engine, fakeobs.Options{Password: obsPassword}, browser.Options{})
		d.signIn()
		d.Click(`input[name="remember"]`)
		d.connect(obsPassword)
		d.state("not-set-up")
		d.ClickText("Set up OBS")
		d.state("ready")
		d.Reload()
		d.state("ready")

		d.ClickText("Go live")
		d.obs.WaitStream(t, "STARTED")
		d.server.stage("publishing", "", "")
		d.state("live")
		d.Reload()
		d.state("starting")
		d.server.awaitPage()
		d.server.present(reception())
		d.state("live")
		if got := d.obs.State().Attempts; got != 1 {
			t.Errorf("OBS called %d times, want 1", got)
		}
	})
}

// TestThePasswordIsForgotten: the dock stores the password of OBS only if the person has ticked the
// box for that.
func TestThePasswordIsForgotten(t *testing.T) {
	t.Parallel()
	d := openDock(t, browser.OBS31, fakeobs.Options{Password: obsPassword}, browser.Options{})
	d.state("not-set-up")
	var kept string
	d.Eval(`JSON.stringify({...localStorage, ...sessionStorage})`, &kept)
	if strings.Contains(kept, obsPassword) {
		t.Errorf("the browser keeps the password unasked: %s", kept)
	}
	d.Reload()
	d.WaitText("Enter its WebSocket password")
}

// TestARestartedOBSIsFoundAgain: the dock connects to a restarted OBS by itself.
func TestARestartedOBSIsFoundAgain(t *testing.T) {
	t.Parallel()
	d := openDock(t, browser.OBS31, fakeobs.Options{Password: obsPassword}, browser.Options{})
	d.state("not-set-up")
	d.obs.Quit()
	d.WaitText("as soon as OBS runs")
	if err := d.obs.Restart(); err != nil {
		t.Fatal(err)
	}
	d.state("not-set-up")
}

// TestAnotherBuildOfOBSIsJudgedAnew: the dock does not apply its findings about one build of OBS to
// the next build.
func TestAnotherBuildOfOBSIsJudgedAnew(t *testing.T) {
	t.Parallel()
	opts := fakeobs.Options{Password: obsPassword, NoWHIP: true, Platform: "ubuntu"}
	d := openDock(t, browser.OBS31, opts, browser.Options{})
	d.ClickText("Set up OBS")
	d.WaitText("built without WHIP")
	d.obs.Quit()
	d.WaitText("as soon as OBS runs")
	d.obs.Replace(true)
	if err := d.obs.Restart(); err != nil {
		t.Fatal(err)
	}
	d.state("not-set-up")
	d.WaitNoText("built without WHIP")
	d.ClickText("Set up OBS")
	d.state("ready")
}

// TestTheEndOfOBSIsNamed: if OBS crashes during a broadcast and restarts, the dock does not show
// LIVE, but that OBS was closed or crashed. If the person disconnects the page from OBS, the dock
// says so.
func TestTheEndOfOBSIsNamed(t *testing.T) {
	t.Parallel()
	d := unconnected(t, browser.OBS30, rowNamed("live").obs, browser.Options{})
	d.live()
	d.obs.Crash()
	d.state("no-obs")
	d.WaitText("as soon as OBS runs")
	d.WaitFor(`(window.states = [], new MutationObserver(() => states.push(document.documentElement.dataset.state)).observe(document.documentElement, { attributes: true }), true)`)
	if err := d.obs.Restart(); err != nil {
		t.Fatal(err)
	}
	d.WaitText("it was closed, or it crashed")
	d.WaitFor(`states.length > 0 && !states.includes('live')`)

	d.WaitFor(`(document.querySelector('details.section').open = true)`)
	d.ClickText("Disconnect")
	d.WaitText("You disconnected this page from OBS")
}

// TestAPageWithoutHTTPS: in a browser tab, the page says why the browser may block OBS. In a dock
// the page connects, because OBS's older Chromium permits that.
func TestAPageWithoutHTTPS(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		d := unconnected(t, engine, fakeobs.Options{Password: obsPassword}, browser.Options{})
		d.Goto(strings.Replace(d.server.URL, "127.0.0.1", browser.LAN, 1) + "/dock")
		var secure bool
		if d.Eval("isSecureContext", &secure); secure {
			t.Fatal("the page is a secure context, so this shows nothing")
		}
		d.signIn()
		if engine == browser.Current {
			d.WaitText("Open this page by https in a tab, or as a dock inside OBS.")
			return
		}
		d.connect(obsPassword)
		d.state("not-set-up")
		d.ClickText("Set up OBS")
		d.state("ready")
	})
}

// TestBackToMyProfile undoes the set-up. A second set-up uses the profile of the first one.
func TestBackToMyProfile(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		d := openDock(t, engine,
			fakeobs.Options{Password: obsPassword, Profile: "Church", Version: fakeobs.OBS30_2},
			browser.Options{})
		d.state("not-set-up")
		d.ClickText("Set up OBS")
		d.state("ready")
		d.ClickText("Connected to OBS 30.2.3")
		d.ClickText("Back to my profile “Church”")
		d.WaitText("OBS is back on your profile “Church”.")
		d.state("not-set-up")
		if got := d.obs.State().Profile; got != "Church" {
			t.Errorf("the profile: got %q, want Church", got)
		}
		d.ClickText("Set up OBS")
		d.state("ready")
	})
}

// TestCopyInADock: docks do not permit the clipboard API, so the page copies with execCommand.
func TestCopyInADock(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		d := unconnected(t, engine, fakeobs.Options{}, browser.Options{})
		d.obs.Quit() // “By hand” works without OBS
		d.signIn()
		d.ClickText("By hand")
		d.ClickText("Get a token")
		d.WaitVisible("#c-token")
		var masked string
		d.Eval(`document.querySelector("#c-token").type`, &masked)
		if masked != "password" {
			t.Errorf("the token is shown unasked")
		}
		d.Click(`[aria-label="Copy: Bearer token"]`)
		d.WaitText("Copied")
		if got := d.Clipboard(); !strings.HasPrefix(got, "token-of-participant1-") {
			t.Errorf("the clipboard: got %q, want the token", got)
		}
		d.Eval(`document.querySelector("#c-token").type`, &masked)
		if masked != "password" {
			t.Errorf("copying has unmasked the token")
		}
	})
}

// TestWhenNothingCopies: if the page cannot copy at all, it selects the text and names the keys to
// press.
func TestWhenNothingCopies(t *testing.T) {
	t.Parallel()
	d := unconnected(t, browser.OBS30, fakeobs.Options{}, browser.Options{})
	d.signIn()
	d.Eval(`document.execCommand = () => false`, nil)
	d.ClickText("By hand")
	d.ClickText("Get a token")
	d.WaitVisible("#c-token")
	d.Click(`[aria-label="Copy: Bearer token"]`)
	d.WaitText("Press Ctrl+C")
	var selected string
	d.Eval(`getSelection().toString()`, &selected)
	if !strings.HasPrefix(selected, "token-of-participant1-") {
		t.Errorf("the selected text: got %q, want the token", selected)
	}
}

// TestTheTokenIsClearedFromThePage: the page removes a token when it expires, and when the person
// is signed out elsewhere.
func TestTheTokenIsClearedFromThePage(t *testing.T) {
	t.Parallel()
	d := unconnected(t, browser.OBS31, fakeobs.Options{}, browser.Options{})
	d.signIn()
	d.server.become(func() { d.server.lives = 3 * time.Second })
	d.ClickText("By hand")
	d.ClickText("Get a token")
	d.WaitVisible("#c-token")
	d.WaitGone("#c-token")

	d.server.become(func() { d.server.lives = time.Hour })
	d.ClickText("Get a token")
	d.WaitVisible("#c-token")
	d.server.tell("bye", object{"reason": "signed_out"})
	d.WaitText("You were signed out.")
	var page string
	d.Eval(`document.documentElement.outerHTML`, &page)
	if strings.Contains(page, "token-of") {
		t.Error("the token is still in the page")
	}
}

// TestADeadTokenIsRenewedOnce: the dock replaces an invalid token once. Otherwise OBS would retry
// with that token for three hours.
func TestADeadTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		d := unconnected(t, engine, rowNamed("live").obs, browser.Options{})
		d.live()
		d.rescued("token-of-participant2-")
	})
}

// rescued makes OBS lose the stage and retry with an invalid token, until the dock writes another
// token into OBS.
func (d *dock) rescued(fresh string) {
	d.t.Helper()
	// OBS also retries while the dock, on a busy machine, has not yet received the event below.
	d.far.Answer(func(ctx context.Context, url, token string, opus bool) (fakeobs.Session, error) {
		if !strings.HasPrefix(token, fresh) {
			return fakeobs.Refuse(401)(ctx, url, token, opus)
		}
		return fakeobs.Accept()(ctx, url, token, opus)
	})
	d.far.Drop()
	d.obs.WaitStream(d.t, "RECONNECTING")
	d.server.stage("refused", "token_expired", "The token has expired: get a new one.")
	d.obs.Wait(d.t, "a new token", func(s fakeobs.State) bool {
		token, _ := s.Service.Settings["bearer_token"].(string)
		return s.Stream == "STARTED" && strings.HasPrefix(token, fresh)
	})
	d.server.stage("publishing", "", "")
	d.state("live")
}

// TestATokenIsRenewedInTime: the dock renews the token while OBS is not live.
func TestATokenIsRenewedInTime(t *testing.T) {
	t.Parallel()
	d := openDock(t, browser.OBS31, fakeobs.Options{Password: obsPassword}, browser.Options{})
	d.state("not-set-up")
	d.ClickText("Set up OBS")
	d.state("ready")
	d.ageToken()
	d.server.become(func() { d.server.lives = 30 * time.Hour })
	d.ClickText("Connected to OBS 32.1.2")
	d.ClickText("Look again")
	d.obs.Wait(t, "a token of a day", func(s fakeobs.State) bool {
		token, _ := s.Service.Settings["bearer_token"].(string)
		return strings.HasPrefix(token, "token-of-"+d.server.participant()+"-") &&
			d.server.participant() != "participant1"
	})
	d.WaitText("The token in OBS is valid until " + time.Now().Add(30*time.Hour).Format("Jan 2"))
}

// TestTheBrowserBlocksTheConnectionToOBS: Chrome asks for permission before a page connects to
// programs on this computer, and the person may have denied it.
func TestTheBrowserBlocksTheConnectionToOBS(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"denied": "Your browser does not let this page reach programs on this computer.",
		"prompt": "Your browser will ask whether this page may reach programs on this computer",
	} {
		d := unconnected(t, browser.Current, fakeobs.Options{Password: obsPassword},
			browser.Options{Width: 320})
		_, port, _ := strings.Cut(strings.TrimPrefix(d.server.URL, "http://"), ":")
		// The page needs a host name: a page at 127.0.0.1 needs no permission.
		d.Goto("http://stage.localhost:" + port + "/dock")
		d.Eval(`navigator.permissions.query = async () => ({state: '`+answer+`'})`, nil)
		d.signIn()
		d.WaitText(want)
		d.shoot(browser.Current, "obs-"+answer, everyWidth())
	}
}

func TestTheDockReportsTheStateOfOBS(t *testing.T) {
	t.Parallel()
	d := openDock(t, browser.OBS31, fakeobs.Options{Password: obsPassword},
		browser.Options{Lang: "de-AT"})
	d.state("not-set-up")
	d.WaitText("OBS einrichten")
	d.poll("the dock to tell of OBS", func() bool {
		obs, _ := d.server.said()["obs"].(object)
		return obs["version"] == "32.1.2" && obs["state"] == "not_set_up" &&
			strings.Contains(toJSON(obs["findings"]), "Sound is encoded as AAC")
	})
}

// TestLanguages: the dock uses the language of the browser.
func TestLanguages(t *testing.T) {
	t.Parallel()
	for lang, want := range map[string]string{"de-AT": "Anmelden", "es": "Iniciar sesión",
		"fr-FR": "Sign in"} {
		d := unconnected(t, browser.OBS31, fakeobs.Options{}, browser.Options{Lang: lang})
		d.WaitText(want)
	}
}

// TestByKeyboard goes live without a mouse.
func TestByKeyboard(t *testing.T) {
	t.Parallel()
	d := openDock(t, browser.OBS31, fakeobs.Options{Password: obsPassword}, browser.Options{})
	d.state("not-set-up")
	d.focus("Set up OBS")
	d.Press("Enter")
	d.state("ready")
	d.focus("Go live")
	d.Press("Enter")
	d.obs.WaitStream(t, "STARTED")
	d.server.stage("publishing", "", "")
	d.state("live")
	var focused string
	d.Eval(`document.activeElement.tagName`, &focused)
	if focused != "H1" {
		t.Errorf("the focus is at %s, want at the heading of the new state", focused)
	}
	var heard string
	d.Eval(`document.querySelector('[aria-live]').textContent`, &heard)
	if heard != "LIVE" {
		t.Errorf("a screen reader hears %q, want LIVE", heard)
	}
}

// focus presses Tab until a button has the focus.
func (d *dock) focus(label string) {
	d.t.Helper()
	for range 20 {
		d.Press("Tab")
		var at string
		d.Eval(`document.activeElement.textContent`, &at)
		if at == label {
			return
		}
	}
	d.t.Fatalf("Tab does not lead to %q", label)
}

// TestTheDockInARealOBS sets up a real OBS as far as possible, since Debian's OBS is too old for
// WHIP. A paired dock does not change it by itself.
func TestTheDockInARealOBS(t *testing.T) {
	t.Parallel()
	real := realobs.Start(t, obsPassword)
	port := strings.TrimPrefix(real.URL(), "ws://127.0.0.1:")
	d := &dock{
		Page: browser.Open(t, browser.OBS30, browser.Options{}), t: t, server: newFakeServer(t),
	}
	d.Goto(d.server.URL + "/dock")
	d.signIn()
	d.Type(`input[name="address"]`, "127.0.0.1:"+port)
	d.Type(`input[name="obsPassword"]`, "not this one")
	d.Click(`.card form button[type="submit"]`)
	d.WaitText("OBS refused that password")
	d.Type(`input[name="obsPassword"]`, obsPassword)
	d.Click(`.card form button[type="submit"]`)
	d.state("not-set-up")
	d.WaitText("OBS 29.0.2 is too old")
	d.ClickText("By hand")
	d.ClickText("Get a token")
	d.WaitVisible("#c-token")

	d.Goto("about:blank")
	d.Goto(d.server.URL + "/dock#obs-secret=shared&obs-password=" + obsPassword +
		"&obs-port=" + port)
	d.state("not-set-up")
	d.WaitText("OBS 29.0.2 is too old")
	client, err := obs.Connect(t.Context(), obs.Options{
		URL: real.URL(), Password: stage.NewSecret(obsPassword),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var list struct{ Profiles []string }
	if err := client.Call(t.Context(), "GetProfileList", nil, &list); err != nil ||
		!slices.Equal(list.Profiles, []string{"Untitled"}) {
		t.Errorf("the profiles are %v (%v), want the person's alone", list.Profiles, err)
	}
}

// TestTheDockIsLight limits the compressed size of everything that /dock loads.
func TestTheDockIsLight(t *testing.T) {
	t.Parallel()
	const most = 110 << 10
	server := newFakeServer(t)
	seen, total := map[string]bool{}, 0
	var load func(path string)
	load = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		text := get(t, server.URL+path)
		total += zipped(text)
		for _, next := range mentioned(path, text) {
			load(next)
		}
	}
	load("/dock")
	if !seen["/static/lib/golive.js"] || !seen["/static/vendor/obs-ws.global.js"] {
		t.Fatalf("the walk has missed modules: %v", seen)
	}
	if seen["/static/stage/onstage.js"] || seen["/static/stage/stage.css"] {
		t.Error("what the tab People needs is loaded before it is opened")
	}
	t.Logf("%d files, %d bytes with gzip", len(seen), total)
	if total > most {
		t.Errorf("the dock weighs %d bytes, want at most %d", total, most)
	}
}

var (
	inPage   = regexp.MustCompile(`(?:href|src)="(static/[^"]+)"`)
	inModule = regexp.MustCompile(`(?m)^import [^;]*?'(\.{1,2}/[^']+)'`)
)

// mentioned lists the files that a page or a module loads immediately.
func mentioned(path string, text []byte) (paths []string) {
	for _, m := range inPage.FindAllSubmatch(text, -1) {
		paths = append(paths, "/"+string(m[1]))
	}
	if !strings.HasSuffix(path, ".js") {
		return paths
	}
	base, _ := http.NewRequest("GET", "http://x"+path, nil)
	for _, m := range inModule.FindAllSubmatch(text, -1) {
		if u, err := base.URL.Parse(string(m[1])); err == nil {
			paths = append(paths, u.Path)
		}
	}
	return paths
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, resp.Status, err)
	}
	return text
}

func zipped(text []byte) int {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(text)
	z.Close()
	return b.Len()
}
