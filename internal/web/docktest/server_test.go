package docktest

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// A sender replaces libdatachannel in a fake OBS: a publisher with real H.264, and AAC if OBS's
// encoder is AAC.
type sender struct{ *rtcpeer.Publisher }

func (s sender) Done() <-chan struct{} { return s.Closed() }
func (s sender) Close() error {
	defer s.Publisher.Close()
	return s.HangUp(context.Background())
}

func sending(t *testing.T) fakeobs.WHIPOutput {
	t.Helper()
	good := rtcpeer.MakeClip(t, rtcpeer.ClipOptions{})
	aac := rtcpeer.MakeClip(t, rtcpeer.ClipOptions{AAC: true})
	return func(_ context.Context, endpoint, bearer string, opus bool) (fakeobs.Session, error) {
		clip := aac
		if opus {
			clip = good
		}
		p, err := rtcpeer.Publish(t, rtcpeer.HTTP(endpoint, bearer),
			rtcpeer.PublishOptions{Clip: clip})
		if err != nil {
			return nil, err
		}
		return sender{p}, nil
	}
}

// TestTheWholeRoad goes from the printed setup link to a viewer who sees and hears the broadcast,
// with the pages of the real server.
func TestTheWholeRoad(t *testing.T) {
	t.Parallel()
	theWholeRoad(t, replicas.App(t))
}

// TestStoriesOnAFleet runs some of the stories on three servers behind nginx, one of which is
// killed every 20 seconds. With -fleet, all stories run that way.
func TestStoriesOnAFleet(t *testing.T) {
	t.Parallel()
	if replicas.Chosen() {
		return // all stories run on a fleet already
	}
	stories := map[string]func(*testing.T){
		"road":      func(t *testing.T) { theWholeRoad(t, replicas.AppOnFleet(t)) },
		"moderator": func(t *testing.T) { aBarredOBSStaysDisconnected(t, replicas.AppOnFleet(t)) },
		"AWS": func(t *testing.T) {
			anAWSStageToLive(t, replicas.AppOnFleet(t, "--ivs-region", "us-west-2",
				"--ivs-endpoint", apptest.Emulate(t)))
		},
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t)
		})
	}
}

func theWholeRoad(t *testing.T, app *apptest.App) {
	far := fakeobs.Start(t, fakeobs.Options{Password: obsPassword, Version: fakeobs.OBS31,
		Output: sending(t)})

	olga := browser.Open(t, browser.Current, browser.Options{ColorScheme: "dark"})
	olga.Goto(app.SetupURL)
	olga.WaitVisible("#f-name")
	var history string
	olga.Eval("location.href", &history)
	if strings.Contains(history, "code") {
		t.Errorf("the code stays in the address: %s", history)
	}
	olga.Type("#f-name", "olga")
	choosePassword(olga)
	keep(olga, "setup")
	olga.ClickText("Create the operator")
	olga.WaitText("What comes next")
	keep(olga, "first-hour")
	olga.ClickText("Invite a broadcaster")
	invite := inviteAna(olga)

	ana := &dock{Page: browser.Open(t, browser.OBS31, browser.Options{ColorScheme: "dark"}), t: t,
		obs: far}
	ana.Goto(invite)
	ana.WaitText("Hello ana")
	choosePassword(ana.Page)
	ana.keep("invite")
	ana.ClickText("Set password")
	ana.WaitText("Open the dock")
	ana.keep("start")
	ana.Goto(app.URL + "/dock")
	ana.WaitVisible(`input[name="obsPassword"]`)
	ana.connect(obsPassword)
	ana.state("not-set-up")
	ana.ClickText("Set up OBS")
	ana.state("ready")
	ana.goLive(app)
	ana.WaitText("640×360")
	ana.WaitText("Opus, ")
	ana.keep("dock-live")

	olga.WaitText("640×360")
	olga.Click(`.places a[href$="/operator/people"]`)
	olga.ClickText("ana")
	olga.WaitText("OBS 31.1.2")
	keep(olga, "operator")
	olga.Goto(app.URL + "/watch")
	olga.WaitFor(`document.querySelector('video')?.videoWidth === 640`)
	olga.ClickText("Switch the sound on")
	olga.WaitFor(moving)
	olga.WaitFor(audible)
	keep(olga, "watch")
	olga.WaitText("ana")
	olga.Eval(`(() => {
		const slider = document.querySelector('.volume input');
		slider.value = 0.25;
		slider.dispatchEvent(new Event('input'));
	})()`, nil)
	olga.WaitFor(`document.querySelector('video').volume === 0.25`)
	olga.ClickText("Full screen")
	olga.WaitFor(`document.fullscreenElement?.id === 'wall'`)
	olga.Press("Escape")
	olga.Eval(`document.exitFullscreen().catch(() => {})`, nil)
	olga.WaitFor(`document.fullscreenElement === null`)

	t.Log("the account page says which token is live, and asks before it ends the broadcast")
	account := ana.Tab()
	account.Goto(app.URL + "/account")
	account.WaitText("here, now")
	account.WaitText("live now")
	account.Click(`li[data-participant] button[aria-label="Revoke: main"]`)
	account.WaitText("This token is live.")
	account.ClickText("Cancel")

	ana.Click("button.danger")
	ana.state("ready")
	ana.Goto(app.URL + "/account")
	ana.WaitText("Tokens of the last 14 days")
	ana.Type("#f-keyName", "the hall's OBS")
	ana.ClickText("Make a key")
	ana.WaitText("Copy the key now.")
	ana.keep("account")
	olga.WaitText("The stage is empty now")
}

// goLive clicks "Go live". On a fleet, the server of the stage may be killed while OBS connects.
// OBS then gives up, because it was the first connection, and the dock offers another try. On a
// busy machine, the next server may be killed during that try.
func (d *dock) goLive(app *apptest.App) {
	d.t.Helper()
	d.ClickText("Go live")
	again := app.OnFleet()
	for tries := 0; again && tries < 5; tries++ {
		d.WaitFor(`document.documentElement.dataset.state === 'live' || ` + goLiveAgain)
		d.Eval(`(() => { const button = `+goLiveAgain+`; button?.click(); return !!button; })()`, &again)
	}
	d.state("live")
}

// goLiveAgain is an expression for the button of a broadcast that did not start.
const goLiveAgain = `[...document.querySelectorAll('button')]` +
	`.find(button => button.innerText === 'Go live again')`

func choosePassword(page *browser.Page) {
	page.Type(`input[name="password"]`, apptest.Password)
	page.Type(`input[name="repeat"]`, apptest.Password)
}

// inviteAna adds a broadcaster, gives her access to the stage, and returns her invite link.
func inviteAna(olga *browser.Page) (link string) {
	olga.Type("#new-names", "ana")
	olga.Click(`details[open] form button[type="submit"]`)
	olga.WaitVisible("#c-invite-ana")
	olga.Eval(`document.querySelector("#c-invite-ana").value`, &link)
	olga.ClickText("ana")
	olga.WaitText("no access yet")
	olga.Click(`form button[type="submit"]`)
	olga.WaitText("12 hours")
	olga.Click(`.places a[href$="/operator/live"]`)
	return link
}

// moving is an expression that holds while the video shows new frames.
const moving = `(async () => {
	const frames = () => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames;
	const before = frames();
	await new Promise(resolve => setTimeout(resolve, 300));
	return frames() > before;
})()`

// audible is an expression that holds while the video is not muted and its sound is not silent.
const audible = `(async () => {
	const video = document.querySelector('video');
	const context = new AudioContext(), meter = context.createAnalyser();
	context.createMediaStreamSource(video.srcObject).connect(meter);
	await new Promise(resolve => setTimeout(resolve, 300));
	const samples = new Float32Array(meter.fftSize);
	meter.getFloatTimeDomainData(samples);
	await context.close();
	return !video.muted && samples.some(x => Math.abs(x) > 0.01);
})()`

// TestSoundThatNobodyHears: another tool has switched the service of OBS, which then sends AAC
// labelled as Opus. The stage reports this to the dock.
func TestSoundThatNobodyHears(t *testing.T) {
	t.Parallel()
	app := replicas.App(t)
	app.Broadcaster(app.Operator(), "ana", "publish", "subscribe")
	far := fakeobs.Start(t, fakeobs.Options{Password: obsPassword, Profile: "Stagedoor",
		Screen: [2]int{1280, 720}, Output: sending(t)})
	// These parameters are set, but OBS has not rebuilt its encoders, because no profile was
	// activated afterwards.
	far.Edit(func(params map[string]string, service *fakeobs.Service) {
		*service = fakeobs.Service{Type: "whip_custom",
			Settings: object{"service": "WHIP", "server": "x"}}
		for name, value := range map[string]string{"StreamAudioEncoder": "opus",
			"UseAdvanced": "true", "x264Settings": "keyint=60 profile=baseline tune=zerolatency " +
				"sliced-threads=0", "VBitrate": "2500"} {
			params["SimpleOutput/"+name] = value
		}
	})
	d := &dock{Page: browser.Open(t, browser.OBS30, browser.Options{}), t: t, obs: far}
	d.Goto(app.URL + "/dock")
	d.signInAs("ana", apptest.Password)
	d.connect(obsPassword)
	d.state("ready")
	d.goLive(app)
	d.WaitText("Viewers cannot hear you")
	d.ClickText("Stop, then set up OBS again")
	d.state("ready")
	if got := far.AudioCodecInUse(); got != "opus" {
		t.Errorf("the encoder that OBS has built: got %q, want opus", got)
	}
	d.goLive(app)
	d.WaitText("Opus, ")
	d.WaitNoText("Viewers cannot hear you")
}

// TestOBSDoesNotReconnectAfterABar: after a moderator has barred a broadcaster, OBS does not
// connect again.
func TestOBSDoesNotReconnectAfterABar(t *testing.T) {
	t.Parallel()
	aBarredOBSStaysDisconnected(t, replicas.App(t))
}

func aBarredOBSStaysDisconnected(t *testing.T, app *apptest.App) {
	olga := app.Operator()
	app.Broadcaster(olga, "ana", "publish", "subscribe")
	far := fakeobs.Start(t, fakeobs.Options{Password: obsPassword, Output: sending(t)})
	d := &dock{Page: browser.Open(t, browser.OBS31, browser.Options{}), t: t, obs: far}
	d.Goto(app.URL + "/dock")
	d.signInAs("ana", apptest.Password)
	d.connect(obsPassword)
	d.state("not-set-up")
	d.ClickText("Set up OBS")
	d.state("ready")
	d.goLive(app)

	page := browser.Open(t, browser.Current, browser.Options{})
	mia := app.Broadcaster(olga, "mia", "subscribe")
	olga.Must(http.StatusOK, "PATCH", "/api/v1/users/"+string(mia.Me().ID),
		web.V1UserChange{Role: access.Moderator}, nil)
	page.Goto(app.URL)
	page.Type("#f-name", "mia")
	page.Type("#f-password", apptest.Password)
	page.ClickText("Sign in")
	page.ClickText("See who is live, and moderate")
	page.WaitText("receives 640×360")
	var menu string
	page.Eval(`document.querySelector('.places').innerText.replaceAll('\n', ' ')`, &menu)
	if menu != "Live Records" {
		t.Errorf("a moderator's menu: got %q, want Live and Records", menu)
	}
	page.ClickText("Disconnect")
	page.Type("#f-reason", "The hall is closing.")
	// Meanwhile the row changes, because mia also watches. The field for the reason keeps the
	// focus, unless the server of the broadcast is killed, because the row is then a new one.
	watch := page.Tab()
	var link string
	page.WaitVisible(`a[aria-label="Watch: ana"]`)
	page.Eval(`document.querySelector('a[aria-label="Watch: ana"]').href`, &link)
	watch.Goto(link)
	page.WaitText("1 watching")
	if !app.OnFleet() {
		page.WaitFor(`document.activeElement.id === 'f-reason'`)
	}
	page.Accessible()
	page.ClickText("Disconnect and bar")
	page.WaitText("No stage has a broadcast at the moment.")

	d.state("trouble")
	d.WaitText("The hall is closing.")
	page.Click(`.places a[href$="/operator/records"]`)
	page.WaitText("participant.barred")
	far.Wait(t, "OBS to be quiet", func(s fakeobs.State) bool {
		return !s.Active && s.Stream == "STOPPED"
	})
}
