package docktest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
)

var screenshots = flag.String("screenshots", "",
	"folder for a picture of every state at every width")

// A row is a state of the dock, with the steps to reach it and the text that the dock shows in it.
type row struct {
	name    string
	state   string
	obs     fakeobs.Options
	arrange func(d *dock)
	text    string
}

// rows returns the main states of the dock, including some failures. The function `troubles`
// returns the other failures.
func rows() []row {
	fresh := fakeobs.Options{Password: obsPassword}
	ready := fakeobs.Options{
		Password: obsPassword, Profile: "Stagedoor",
		Service: fakeobs.Service{Type: "whip_custom",
			Settings: object{"service": "WHIP", "server": "", "bearer_token": ""}},
		Params: map[string]string{
			"SimpleOutput/StreamEncoder": "x264", "SimpleOutput/StreamAudioEncoder": "opus",
			"SimpleOutput/VBitrate":    "2500",
			"SimpleOutput/UseAdvanced": "true",
			"SimpleOutput/x264Settings": "keyint=60 bframes=0 profile=baseline tune=zerolatency " +
				"sliced-threads=0",
		},
		Screen: [2]int{1280, 720},
	}
	with := func(o fakeobs.Options, f func(*fakeobs.Options)) fakeobs.Options { f(&o); return o }
	return []row{
		{"signed-out", "", fresh, func(d *dock) { d.WaitVisible(`input[name="password"]`) }, "Sign in"},
		{"wrong-name", "", fresh, (*dock).mistype, "The name or the password is wrong."},
		{"no-obs", "no-obs", fresh, (*dock).withoutOBS, "Tick “Enable WebSocket server”"},
		{"obs-password", "no-obs", fresh, func(d *dock) { d.signIn(); d.connect("") },
			"Enter its WebSocket password"},
		{"obs-wrong-password", "no-obs", fresh,
			func(d *dock) { d.signIn(); d.connect("not this one") },
			"OBS refused that password"},
		{"obs-starting", "no-obs", with(fresh, func(o *fakeobs.Options) { o.NotReady = true }),
			(*dock).connected, "OBS is still starting"},
		{"obs-kicked", "no-obs", fresh, (*dock).kicked, "“Kick” was pressed"},
		{"obs-elsewhere", "no-obs", fresh, (*dock).elsewhere,
			"browsers do not let a web page speak to OBS on another one"},
		{"obs-gone", "no-obs", fresh, (*dock).gone, "as soon as OBS runs"},
		{"obs-too-old", "not-set-up",
			with(fresh, func(o *fakeobs.Options) { o.Version = fakeobs.OBS29 }), (*dock).connected,
			"OBS 29.0.2 is too old"},
		{"obs-without-whip", "not-set-up",
			with(fresh, func(o *fakeobs.Options) { o.NoWHIP = true }), (*dock).withoutWHIP,
			"built without WHIP"},
		{"not-set-up", "not-set-up",
			with(fresh, func(o *fakeobs.Options) { o.Account = "Twitch"; o.Encoder = "nvenc" }),
			(*dock).connected, "which no viewer would hear"},
		{"recording", "not-set-up", fresh, (*dock).recording, "Stop the recording first"},
		{"setting-up", "setting-up", fresh, (*dock).settingUp, "Setting up OBS"},
		{"setup-failed", "setup-failed", fresh, (*dock).setupFailed,
			"Everything is as it was before."},
		{"ready", "ready", ready, (*dock).ready, "The token in OBS is valid until"},
		{"no-stage", "no-stage", ready, (*dock).noStage, "Ask your operator for access to one"},
		{"no-stage-no-obs", "no-obs", ready, (*dock).noStageWithoutOBS,
			"Ask your operator for access to one"},
		{"barred", "no-stage", ready, (*dock).barred, "You are barred from main since"},
		{"by-hand", "ready", ready, (*dock).byHand, "Anyone with the token can publish as you."},
		{"two-docks", "ready", ready, (*dock).twoDocks, "You are live from another place already"},
		{"starting", "starting",
			with(ready, func(o *fakeobs.Options) { o.Output = fakeobs.Hang() }), (*dock).goes,
			"OBS connects to the stage"},
		{"live", "live", ready, (*dock).live, "Constrained Baseline"},
		{"live-wrong", "live", ready, (*dock).liveWrong, "Viewers cannot hear you"},
		{"after", "ready", ready, (*dock).stopped, "It went well."},
		{"live-dying", "live", ready, (*dock).dying, "Stop and go live again at the next pause."},
		{"reconnecting", "reconnecting",
			with(ready, func(o *fakeobs.Options) { o.Second = time.Minute }), (*dock).reconnecting,
			"OBS has lost the stage"},
		{"refused", "trouble", with(ready,
			func(o *fakeobs.Options) { o.Output = fakeobs.Refuse(403) }), (*dock).refused,
			"You may not publish"},
		{"unreachable", "trouble",
			with(ready, func(o *fakeobs.Options) { o.Output = fakeobs.Refuse(503) }), (*dock).goes,
			"OBS could not reach the stage"},
		{"lost-and-why", "reconnecting",
			with(ready, func(o *fakeobs.Options) { o.Second = time.Minute }), (*dock).lostAndWhy,
			"The connection was lost."},
		{"wrong-settings", "trouble", ready, (*dock).wrongSettings, "set B-frames to 0"},
		{"lost-at-once", "trouble", ready, (*dock).lostAtOnce,
			"the connection ended before picture or sound came"},
		{"silent-start", "trouble", ready, (*dock).silentStart,
			"OBS did not start the stream and does not say why."},
		{"no-media", "trouble", ready, (*dock).noMedia, "no picture or sound arrives at the stage"},
		{"kicked-off", "trouble", ready, (*dock).kickedOff, "The operator ended your broadcast"},
		{"barred-live", "trouble", ready, (*dock).barredLive, "You are barred from main since"},
		{"other-token", "trouble", ready, (*dock).otherToken,
			"with a token that this dock did not put there"},
	}
}

func rowNamed(name string) row {
	for _, r := range rows() {
		if r.name == name {
			return r
		}
	}
	panic("there is no state " + name)
}

func (d *dock) mistype() {
	d.WaitVisible(`input[name="name"]`)
	d.Type(`input[name="name"]`, "ana")
	d.Type(`input[name="password"]`, "guess")
	d.Click(`button[type="submit"]`)
}

func (d *dock) connected() {
	d.signIn()
	d.connect(obsPassword)
}

// withoutOBS types an address at which nothing listens. It does not use OBS's usual port, at which
// a program of this machine may listen.
func (d *dock) withoutOBS() {
	d.obs.Quit()
	d.connected()
}

func (d *dock) kicked() {
	d.connected()
	d.state("not-set-up")
	d.obs.Kick()
}

// elsewhere types the address of another computer. The Content-Security-Policy forbids a connection
// to it.
func (d *dock) elsewhere() {
	d.signIn()
	d.Type(`input[name="address"]`, "192.0.2.20")
	d.Click(`.card form button[type="submit"]`)
}

func (d *dock) gone() {
	d.connected()
	d.state("not-set-up")
	d.obs.Quit()
}

func (d *dock) withoutWHIP() {
	d.connected()
	d.ClickText("Set up OBS")
}

func (d *dock) recording() {
	d.obs.SetOutput(fakeobs.Recording, true)
	d.connected()
}

func (d *dock) settingUp() {
	d.connected()
	d.state("not-set-up")
	d.obs.Hold("SetStreamServiceSettings")
	d.ClickText("Set up OBS")
	d.WaitFor(`document.querySelector('.progress .now').textContent === "WHIP and your token"`)
}

func (d *dock) setupFailed() {
	d.connected()
	d.state("not-set-up")
	d.server.become(func() {
		d.server.refuse = object{"detail": "30 tokens in 10 minutes is the limit; try again in 4 " +
			"minutes."}
	})
	d.ClickText("Set up OBS")
}

func (d *dock) ready() {
	d.connected()
	d.state("ready")
}

func (d *dock) noStage() {
	d.server.become(func() { d.server.me["stages"] = []any{} })
	d.connected()
}

// noStageWithoutOBS is a user without a stage who has not connected OBS: the dock says so above the
// instructions for OBS.
func (d *dock) noStageWithoutOBS() {
	d.server.become(func() { d.server.me["stages"] = []any{} })
	d.obs.Quit()
	d.connected()
}

// barred is a user who was barred from the only stage. The dock gives the reason, and does not
// mention actions that need a stage.
func (d *dock) barred() {
	d.server.become(d.server.bar)
	d.connected()
	d.WaitText("Reason: Noise.")
	d.WaitText("You may not publish on any other stage.")
	d.ClickText("By hand")
	d.tellOfAnotherDock()
	d.WaitText("You have another dock open")
	d.WaitNoText("then these two")
	d.WaitNoText("Going live here")
}

// barredLive is the state of a user who is barred during the broadcast.
func (d *dock) barredLive() {
	d.live()
	d.far.Answer(fakeobs.Refuse(401))
	d.server.become(d.server.bar)
	d.server.tell("me", d.server.me)
	d.server.stage("ended", "kicked", "The operator ended your broadcast: Noise.")
	d.far.Drop()
	d.obs.WaitStream(d.t, "STOPPED")
	d.WaitNoText("Go live again")
}

// goes clicks "Go live" as soon as the dock is ready.
func (d *dock) goes() {
	d.ready()
	d.ClickText("Go live")
}

func (d *dock) byHand() {
	d.ready()
	d.ClickText("By hand")
	d.ClickText("Get a token")
}

func (d *dock) twoDocks() {
	d.ready()
	d.tellOfAnotherDock()
}

func (d *dock) tellOfAnotherDock() {
	d.server.tell("docks", object{"docks": []any{object{
		"id": "another0", "since": time.Now().Add(-time.Hour),
		"agent": "Mozilla/5.0 Chrome/127 OBS/32.1.2", "live": true, "participantId": "p9",
	}}})
}

func (d *dock) live() {
	d.goes()
	d.obs.WaitStream(d.t, "STARTED")
	d.server.stage("publishing", "", "")
	d.state("live")
	d.server.present(reception())
}

func (d *dock) liveWrong() {
	d.live()
	bad := reception()
	bad["audio"] = object{"codec": "opus", "bitrate": 158000, "valid": false}
	bad["video"].(object)["keyframeInterval"] = 8.3
	d.server.present(bad)
}

// stopped starts a broadcast and ends it.
func (d *dock) stopped() {
	d.live()
	if *screenshots != "" {
		d.WaitNoText("being measured") // so that the screenshot has all lines
	}
	d.ClickText("Stop")
	d.obs.WaitStream(d.t, "STOPPED")
}

// ageToken makes the token in OBS due for its renewal.
func (d *dock) ageToken() {
	d.Eval(`(() => {
		const kept = JSON.parse(localStorage.getItem('stagedoor.token'));
		localStorage.setItem('stagedoor.token', JSON.stringify({...kept, renewAt: Date.now()}));
	})()`, nil)
}

// dying reloads the dock during a broadcast whose token is due for renewal.
func (d *dock) dying() {
	d.live()
	d.ageToken()
	d.Reload()
	d.connect(obsPassword)
	d.state("starting")
	d.server.awaitPage()
	d.server.present(reception())
}

func (d *dock) reconnecting() {
	d.live()
	d.far.Answer(fakeobs.Refuse(503))
	d.far.Drop()
}

func (d *dock) refused() {
	d.goes()
	d.obs.WaitStream(d.t, "STOPPED")
	d.server.stage("refused", "no_capability",
		"You may not publish on this stage any more. Ask your operator.")
}

// lostAndWhy is the state when the network fails: while OBS reconnects by itself, the stage reports
// what happened.
func (d *dock) lostAndWhy() {
	d.reconnecting()
	d.server.stage("ended", "lost", "The connection was lost.")
}

// wrongSettings is the state when the stage refuses what OBS sends. Going live again would not
// help, because the settings have to change.
func (d *dock) wrongSettings() {
	d.live()
	d.server.stage("ended", "b_frame_present",
		"The stage takes no B-frames and ended the broadcast: set B-frames to 0 in OBS.")
	d.far.Drop()
	d.WaitText("Set up OBS again")
	d.obs.WaitStream(d.t, "STOPPED")
}

// lostAtOnce is the state when ICE fails after the endpoint has answered.
func (d *dock) lostAtOnce() {
	d.goes()
	d.obs.WaitStream(d.t, "STARTED")
	d.far.Lose()
}

// hurries shortens the long waits in golive.js, obs.js and obs-setup.js to a tenth, and the wait
// for a profile to a fortieth. Their outcome stays the same.
func (d *dock) hurries() {
	d.Eval(`(() => {
		const wait = window.setTimeout;
		window.setTimeout = (work, ms, ...rest) => wait(work, ms === 60_000 ? 1_500 : ms === 5_000 || (ms >= 10_000 && ms <= 20_000) ? ms / 10 : ms, ...rest);
	})()`, nil)
}

// silentStart is the state when OBS's output does not start: OBS reports STARTING, and nothing
// after it.
func (d *dock) silentStart() {
	d.ready()
	d.hurries()
	d.obs.FailNextStart(fakeobs.AfterStarting)
	d.ClickText("Go live")
}

// noMedia is the state when the endpoint has answered 201, but OBS's packets do not arrive.
func (d *dock) noMedia() {
	d.ready()
	d.hurries()
	d.ClickText("Go live")
	d.obs.WaitStream(d.t, "STARTED")
}

func (d *dock) kickedOff() {
	d.live()
	d.server.stage("ended", "kicked", "The operator ended your broadcast: the hall is closing.")
	d.far.Answer(fakeobs.Refuse(401))
	d.far.Drop()
}

func (d *dock) otherToken() {
	d.obs.Edit(func(_ map[string]string, service *fakeobs.Service) {
		service.Settings = object{"service": "WHIP", "server": "https://elsewhere.example/whip",
			"bearer_token": "x"}
	})
	d.ready()
	d.obs.StartByHand()
}

// TestEveryState goes through the table in each engine. In each row it checks the state, the
// sentence, and that the page does not scroll sideways.
func TestEveryState(t *testing.T) {
	t.Parallel()
	everyEngine(t, func(t *testing.T, engine browser.Engine) {
		look := browser.Options{Width: 250, Height: 700,
			ColorScheme: map[bool]string{true: "light", false: "dark"}[engine == browser.Current]}
		walk := func(r row, widths ...int) {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				d := around(t, r.obs, func() *browser.Page { return browser.Open(t, engine, look) })
				r.arrange(d)
				if r.state != "" {
					d.state(r.state)
				}
				d.WaitText(r.text)
				d.shoot(engine, r.name, widths)
			})
		}
		for _, r := range rows() {
			walk(r, everyWidth()...)
		}
		// The failures have the same layout as the main states, so each is shown at one width and
		// in one engine.
		for i, r := range troubles() {
			if browser.Engines()[i%len(browser.Engines())] == engine {
				walk(r, 250)
			}
		}
	})
}

func everyWidth() []int { return []int{250, 320, 460, 1280} }

// shoot checks that the state fits certain widths of a dock and of a desktop window, and takes
// screenshots.
func (d *dock) shoot(engine browser.Engine, name string, widths []int) {
	d.t.Helper()
	for _, width := range widths {
		d.Resize(width, 700)
		var wide int
		d.Eval(`document.documentElement.scrollWidth - innerWidth`, &wide)
		if wide > 0 {
			d.t.Errorf("%s at %d px is %d px too wide", name, width, wide)
		}
		if *screenshots == "" || (engine == browser.OBS30 && len(widths) > 1) {
			continue
		}
		d.FullScreenshot(filepath.Join(*screenshots,
			fmt.Sprintf("%s-%d-%s.png", name, width,
				map[bool]string{true: "browser", false: "dock"}[engine == browser.Current])))
	}
}

func (d *dock) keep(name string) { keep(d.Page, name) }

// keep takes a screenshot, if there is a folder for screenshots.
func keep(page *browser.Page, name string) {
	if *screenshots != "" {
		page.FullScreenshot(filepath.Join(*screenshots, name+".png"))
	}
}

func TestMain(m *testing.M) {
	if os.Getenv(apptest.AsProgram) == "" {
		flag.Parse()
	}
	if *screenshots != "" {
		if err := os.MkdirAll(*screenshots, 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(apptest.Main(browser.Share(m)))
}
