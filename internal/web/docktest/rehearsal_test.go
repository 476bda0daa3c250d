package docktest

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

// playing returns an output for a fake OBS that publishes a clip.
func playing(t *testing.T, o rtcpeer.ClipOptions) fakeobs.WHIPOutput {
	t.Helper()
	clip := rtcpeer.MakeClip(t, o)
	return func(_ context.Context, endpoint, bearer string, _ bool) (fakeobs.Session, error) {
		p, err := rtcpeer.Publish(t, rtcpeer.HTTP(endpoint, bearer),
			rtcpeer.PublishOptions{Clip: clip})
		if err != nil {
			return nil, err
		}
		return sender{p}, nil
	}
}

// rehearsalDock opens ana's dock at a real server, with an OBS that is set up and sends a clip.
func rehearsalDock(
	t *testing.T, engine browser.Engine, o rtcpeer.ClipOptions, look browser.Options,
) (*dock, *apptest.App) {
	t.Helper()
	app := apptest.Start(t)
	app.Broadcaster(app.Operator(), "ana", "publish", "subscribe")
	d := &dock{t: t, obs: fakeobs.Start(t, fakeobs.Options{
		Password: obsPassword, Version: fakeobs.OBS31, Output: playing(t, o),
	})}
	d.Page = browser.Open(t, engine, look)
	d.Goto(app.URL + "/dock")
	d.signInAs("ana", apptest.Password)
	d.connect(obsPassword)
	d.state("not-set-up")
	d.ClickText("Set up OBS")
	d.state("ready")
	return d, app
}

// service returns the endpoint and the token in OBS's service.
func (d *dock) service() (server, token string) { return serviceOf(d.obs.State()) }

func serviceOf(s fakeobs.State) (server, token string) {
	server, _ = s.Service.Settings["server"].(string)
	token, _ = s.Service.Settings["bearer_token"].(string)
	return server, token
}

// isRehearsal reports whether a token is for a rehearsal. It reads the claims, which needs no key.
func isRehearsal(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	return err == nil && strings.Contains(string(claims), `"topic":"rehearsal-`)
}

// rehearses starts a rehearsal, and waits until the stage receives the picture.
func (d *dock) rehearses() {
	d.t.Helper()
	d.ClickText("Try it")
	d.state("rehearsing")
	d.WaitVisible("#rehearsal-screen video")
	d.WaitFor(`document.querySelector('#rehearsal-screen video').videoWidth > 0`)
	if _, token := d.service(); !isRehearsal(token) {
		d.t.Error("OBS streams with another token than that of the rehearsal")
	}
}

// asBefore checks that OBS has the settings that it had before the rehearsal.
func (d *dock) asBefore(server, token string) {
	d.t.Helper()
	before := func(s fakeobs.State) bool {
		at, with := serviceOf(s)
		return at == server && with == token && !s.Active
	}
	d.obs.Wait(d.t, "the endpoint and the token from before, and no stream", before)
}

// marked waits for the result about the picture, the sound or the network, by its key in
// static/strings.
func (d *dock) marked(topic, name string) {
	d.t.Helper()
	d.WaitVisible(`[data-topic="` + topic + `"] [data-mark="` + name + `"]`)
}

// TestTryIt: the dock plays 20 seconds of the broadcast back and shows the results, and OBS gets
// its settings back.
func TestTryIt(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		d, app := rehearsalDock(t, engine, rtcpeer.ClipOptions{}, browser.Options{})
		server, token := d.service()
		d.rehearses()
		d.WaitNoText("Go live")
		d.WaitFor(moving)
		d.WaitFor(`(() => { const clip = getComputedStyle(document.querySelector('#rehearsal-level .level')).clipPath;
			return /^inset\(0(px)? \d+%/.test(clip) && !clip.includes('100%'); })()`)
		d.WaitFor(`document.querySelector('#rehearsal-screen video').muted`)
		d.ClickText("Switch the sound on")
		d.WaitFor(`!document.querySelector('#rehearsal-screen video').muted`)

		t.Log("nobody else sees the rehearsal, not even the operator")
		olga := browser.Open(t, browser.Current, browser.Options{})
		olga.Goto(app.URL + "/dock")
		signInAs(olga, "olga")
		olga.WaitVisible(`input[name="obsPassword"]`)
		olga.Goto(app.URL + "/watch")
		olga.WaitText("The stage is empty now")

		d.state("rehearsed")
		d.marked("picture", "small") // the clip has 360 lines
		d.marked("sound", "soundMono")
		// Which of these marks appears depends on the machine: if its processor is busy, packets
		// arrive late or get lost.
		d.WaitVisible(`[data-topic="network"] :is([data-mark="networkRoom"], ` +
			`[data-mark="roundTrip"], [data-mark="headRoom"], [data-mark="loss"], ` +
			`[data-mark="stuck"])`)
		d.asBefore(server, token)

		t.Log("afterwards the dock goes live with the token from before")
		d.ClickText("Go live")
		d.state("live")
		d.asLive(token)
		d.Click("button.danger")
		d.state("ready")
	})
}

// TestTryItWhenTheServerAnswersAgain: each dock loads the code that cleans up after a rehearsal
// when it connects to OBS, and "Try it" needs that code, too. If the server does not answer at the
// first time, "Try it" works as soon as the server answers, although old browsers remember what
// they could not load.
func TestTryItWhenTheServerAnswersAgain(t *testing.T) {
	t.Parallel()
	app := apptest.Start(t)
	app.Broadcaster(app.Operator(), "ana", "publish", "subscribe")
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		var away atomic.Bool
		var missed atomic.Int32
		away.Store(true)
		origin := proxyOf(t, app.URL, func(r *http.Request) bool {
			if !away.Load() || r.URL.Path != "/static/lib/rehearsing.js" {
				return false
			}
			missed.Add(1)
			return true
		})
		d := &dock{t: t, obs: fakeobs.Start(t, fakeobs.Options{
			Password: obsPassword, Version: fakeobs.OBS31,
			Output: playing(t, rtcpeer.ClipOptions{}),
		})}
		d.Page = browser.Open(t, engine, browser.Options{})
		d.Allow("net::ERR_EMPTY_RESPONSE")
		d.Goto(origin + "/dock")
		d.signInAs("ana", apptest.Password)
		d.connect(obsPassword)
		d.state("not-set-up")
		if missed.Load() == 0 {
			t.Fatal("the dock did not load the code when it connected to OBS")
		}
		d.ClickText("Set up OBS")
		d.state("ready")
		away.Store(false)
		d.rehearses()
	})
}

func (d *dock) asLive(token string) {
	d.t.Helper()
	if _, now := d.service(); now != token {
		d.t.Error("the token that was in OBS is not used any more")
	}
}

// TestARehearsalFindsWhatIsWrong: no sound, B-frames, and a keyframe every five seconds.
func TestARehearsalFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	d, _ := rehearsalDock(t, browser.Current,
		rtcpeer.ClipOptions{Silent: true, BFrames: 2, Keyint: 150},
		browser.Options{ColorScheme: "dark"})
	server, token := d.service()
	d.rehearses()
	d.shoot(browser.Current, "rehearsing", []int{250, 320, 460})
	d.state("rehearsed")
	d.marked("picture", "bFrames")
	d.marked("picture", "keyframes")
	d.marked("sound", "silent")
	d.marked("network", "networkRoom")
	d.WaitText("see that the microphone is not muted")
	d.asBefore(server, token)
	d.shoot(browser.Current, "rehearsed", []int{250, 320, 460})
	d.ClickText("Set up OBS again")
	d.state("ready")
	d.shoot(browser.Current, "ready-try", []int{250, 320, 460})
}

// TestARehearsalThatIsCutOff: the token of a rehearsal does not stay in OBS, no matter how the
// rehearsal ends.
func TestARehearsalThatIsCutOff(t *testing.T) {
	t.Parallel()
	d, _ := rehearsalDock(t, browser.OBS31, rtcpeer.ClipOptions{}, browser.Options{})
	server, token := d.service()

	t.Log("the rehearsal is cancelled")
	d.rehearses()
	d.ClickText("Cancel")
	d.state("ready")
	d.asBefore(server, token)

	t.Log("the page is reloaded during a rehearsal")
	d.rehearses()
	d.Reload()
	d.WaitVisible(`input[name="obsPassword"]`)
	d.connect(obsPassword)
	d.state("ready")
	d.obs.Wait(t, "a token to go live with", func(s fakeobs.State) bool {
		_, now := serviceOf(s)
		return now != "" && !isRehearsal(now)
	})
	server, token = d.service()

	t.Log("OBS crashes during a rehearsal, and starts again")
	d.rehearses()
	d.obs.Crash()
	d.state("no-obs")
	if err := d.obs.Restart(); err != nil {
		t.Fatal(err)
	}
	d.state("rehearsed")
	d.WaitText("The rehearsal did not take place")
	d.asBefore(server, token)
	d.ClickText("OK")
	d.state("ready")

	t.Log("the person stops the stream in OBS")
	d.rehearses()
	d.obs.StopByHand()
	d.state("rehearsed")
	d.asBefore(server, token)
	d.ClickText("OK")

	t.Log("a stream that somebody started in OBS is not stopped")
	d.state("ready")
	release := d.obs.Hold("GetStreamStatus")
	d.ClickText("Try it")
	d.obs.StartByHand()
	d.obs.WaitStream(t, "STARTED")
	release()
	d.state("live")
	d.Click("button.danger")
	d.state("ready")

	t.Log("the person signs out during a rehearsal")
	d.rehearses()
	d.Click(".menu summary")
	d.ClickText("Sign out")
	d.WaitVisible(`input[name="name"]`)
	d.obs.WaitStream(t, "STOPPED")
	if _, now := d.service(); isRehearsal(now) {
		t.Error("OBS still has the token of the rehearsal")
	}
}
