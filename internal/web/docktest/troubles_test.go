package docktest

import (
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
)

// readyOBS returns the options of an OBS that is set up, after f has changed them.
func readyOBS(f func(*fakeobs.Options)) fakeobs.Options {
	for _, r := range rows() {
		if r.name == "ready" {
			params := map[string]string{}
			for name, value := range r.obs.Params {
				params[name] = value
			}
			r.obs.Params = params
			f(&r.obs)
			return r.obs
		}
	}
	panic("there is no row “ready”")
}

func freshOBS(f func(*fakeobs.Options)) fakeobs.Options {
	o := fakeobs.Options{Password: obsPassword, Params: map[string]string{}}
	f(&o)
	return o
}

func asIs(*fakeobs.Options) {}

// wide sets OBS's picture so large that the set-up must call SetVideoSettings.
func wide(o *fakeobs.Options) { o.Screen = [2]int{3440, 1440} }

// troubles returns the states of the dock in which OBS is not ready or has failed, except those
// that `rows` returns.
func troubles() []row {
	set := func(pairs ...string) func(*fakeobs.Options) {
		return func(o *fakeobs.Options) {
			for i := 0; i < len(pairs); i += 2 {
				o.Params[pairs[i]] = pairs[i+1]
			}
		}
	}
	return []row{
		// Finding OBS, and reading it.
		{"obs-unsupported", "no-obs", freshOBS(func(o *fakeobs.Options) { o.OtherRPC = true }),
			(*dock).connected, "has another version than Stagedoor needs. Update to OBS 30 or later."},
		{"read-failed", "checking", freshOBS(asIs), (*dock).readFailed,
			"The settings of OBS could not be read: 702"},
		{"read-silent", "checking", freshOBS(asIs), (*dock).readSilent,
			"OBS did not answer in time. Is a window in OBS waiting for an answer?"},
		{"same-obs", "live", readyOBS(asIs), (*dock).sameOBS,
			"Another dock of yours is open on the same OBS. Close one of them."},

		// Findings.
		{"found-many", "not-set-up", readyOBS(func(o *fakeobs.Options) {
			o.Screen, o.FPS = [2]int{3440, 1440}, 144
			o.Service.Settings = object{"server": "https://there.example/whip", "bearer_token": ""}
			set("SimpleOutput/VBitrate", "12000", "SimpleOutput/ABitrate", "320",
				"SimpleOutput/x264Settings", "keyint=60 bframes=3 profile=baseline",
				"Output/DelayEnable", "true",
				"Output/Reconnect", "false", "Output/RetryDelay", "30",
				"Stream1/WHIPSimulcastTotalLayers", "3")(o)
		}), func(d *dock) {
			d.connected()
			d.says("above 8500 the stage ends the broadcast. The video bitrate becomes 2500 kb/s.",
				"stages take at most 160. The audio bitrate becomes 160 kb/s.",
				"B-frames are switched off.", "A stream delay is set",
				"OBS does not reconnect after a break. Reconnecting is switched on.",
				"OBS waits 30 s before it connects again",
				"OBS sends 3 picture sizes at once (simulcast)",
				"would not show it as WHIP, and would overwrite it. The name is added.",
				"144 pictures a second; the stage takes 10 to 60. The frame rate becomes 30.")
		}, "the stage takes even sizes from 160p to 720p. The picture becomes 1280×536."},
		{"found-mac", "not-set-up", freshOBS(func(o *fakeobs.Options) {
			o.Encoder, o.Platform = "apple_h264", "macos"
			o.Service = fakeobs.Service{Type: "rtmp_common", Settings: object{"service": "Twitch"}}
			set("Stream1/EnableMultitrackVideo", "true", "SimpleOutput/VBitrate", "6000")(o)
		}), func(d *dock) {
			d.connected()
			d.says("Apple’s encoder produces B-frames",
				"OBS streams to “Twitch”. The service becomes WHIP.", "multitrack video is on",
				"more than the stage advises. The video bitrate becomes 2500 kb/s.")
		}, "A new profile “Stagedoor” is made; “Untitled” stays as it is."},
		{"found-hevc", "not-set-up",
			freshOBS(func(o *fakeobs.Options) { o.Encoder = "nvenc_hevc" }), (*dock).connected,
			"the only codec that stages take. The video encoder becomes x264."},
		{"found-advanced", "not-set-up",
			freshOBS(set("Output/Mode", "Advanced", "AdvOut/Encoder", "obs_nvenc_av1_tex",
				"AdvOut/ApplyServiceSettings", "false")), func(d *dock) {
				d.connected()
				d.says("“obs_nvenc_av1_tex” does not make H.264",
					"OBS is set to ignore what the service requires")
			}, "“Stagedoor” is made in Simple mode."},
		{"ready-advanced", "ready",
			readyOBS(set("Output/Mode", "Advanced", "AdvOut/Encoder",
				"com.apple.videotoolbox.videoencoder.ave.avc")), func(d *dock) {
				d.ready()
				d.says("untick “Use B-Frames”")
				d.WaitFor(`document.querySelectorAll('main .findings .person').length === 2 && document.querySelectorAll('.section .person').length === 0`)
			}, "Keyframe Interval 1 or 2 s (not 0), Profile baseline, Bitrate up to 2500 kb/s."},
		{"found-account", "not-set-up",
			readyOBS(func(o *fakeobs.Options) { o.Account = "YouTube - RTMP" }), (*dock).connected,
			"linked with YouTube - RTMP, which writes its own key at every start. Disconnect " +
				"the account in Settings → Stream."},
		{"found-busy", "not-set-up", freshOBS(asIs), (*dock).busy,
			"The replay buffer runs. Stop it first"},
		{"setup-without-outputs", "ready", freshOBS(func(o *fakeobs.Options) {
			o.NoReplayBuffer, o.NoVirtualCam = true, true
		}), func(d *dock) {
			d.connected()
			d.ClickText("Set up OBS")
		}, "OBS is ready"},

		// Setting up.
		{"setup-running", "setup-failed", freshOBS(wide), (*dock).setupRunning,
			"OBS refused (error 500). Stop the stream, the recording, the replay buffer and the " +
				"virtual camera"},
		{"setup-timeout", "setup-failed", freshOBS(asIs),
			func(d *dock) { d.setsUpHeld("SetCurrentProfile") },
			"OBS did not answer in time. Is a window in OBS waiting for an answer?"},
		{"setup-profile", "setup-failed", freshOBS(asIs), (*dock).setupProfile,
			"OBS did not select the profile “Stagedoor”. Is a window in OBS waiting for an " +
				"answer?"},
		{"setup-closed", "setup-failed", freshOBS(asIs), (*dock).setupClosed,
			"OBS closed the connection during the set-up."},
		{"setup-refused", "setup-failed", freshOBS(asIs), (*dock).setupRefused,
			"OBS refused: 702. Try again; if that does not help, restart OBS."},
		{"setup-not-undone", "setup-failed", freshOBS(asIs), (*dock).notUndone,
			"Not everything could be put back: look at the profile in OBS’s menu Profile."},
		{"setup-not-kept", "setup-failed", freshOBS(asIs), (*dock).notKept,
			"OBS did not keep one of the settings: A keyframe comes only every 8.3 s"},

		// Going live, and while live.
		{"live-running", "trouble", readyOBS(asIs), (*dock).runningAlready,
			"OBS is streaming already and refused (error 500). Press Stop, then go live again."},
		{"live-obs-silent", "trouble", readyOBS(asIs), (*dock).obsSilent,
			"OBS did not answer in time. Look at OBS: is a window there waiting for an answer?"},
		{"live-obs-gone", "trouble", readyOBS(asIs), (*dock).obsGone,
			"The connection to OBS was lost meanwhile. Go live again when OBS is back."},
		{"live-not-ours", "trouble", readyOBS(asIs), (*dock).notOurs,
			"OBS is not set up for the stage any more. Set it up again."},
		{"live-elsewhere", "trouble", readyOBS(asIs), (*dock).liveElsewhere,
			"OBS is streaming to another service."},
		{"live-lost", "trouble", readyOBS(asIs), (*dock).lost,
			"The broadcast ended, and neither OBS nor the stage says why."},
		{"live-wont-stop", "trouble", readyOBS(asIs), (*dock).wontStop,
			"OBS does not stop. Press “Stop Streaming” in OBS itself"},
		{"live-bad-picture", "live", readyOBS(asIs), (*dock).badPicture,
			"A keyframe comes only every 8.3 s (at most 2 s is right)"},
		{"live-no-sound", "live", readyOBS(asIs), func(d *dock) { d.receives("video") },
			"The stage receives no sound: look at the mixer in OBS"},
		{"live-no-picture", "live", readyOBS(asIs), func(d *dock) { d.receives("audio") },
			"The stage receives no picture: does OBS show one"},
	}
}

// says waits for each of the sentences.
func (d *dock) says(sentences ...string) {
	d.t.Helper()
	for _, s := range sentences {
		d.WaitText(s)
	}
}

func (d *dock) readFailed() {
	d.obs.Pretend("GetVideoSettings", 702)
	d.connected()
}

func (d *dock) readSilent() {
	d.obs.Hold("GetVideoSettings")
	d.hurries()
	d.connected()
}

func (d *dock) sameOBS() {
	d.live()
	d.server.tell("docks", object{"docks": []any{object{
		"id": "another0", "since": time.Now(), "agent": "Mozilla/5.0 Chrome/127 OBS/32.1.2",
		"live": true, "participantId": d.server.participant(),
	}}})
}

func (d *dock) busy() {
	d.obs.SetOutput(fakeobs.ReplayBuffer, true)
	d.obs.SetOutput(fakeobs.VirtualCam, true)
	d.connected()
	d.says("The virtual camera runs. Stop it first")
}

// setsUpHeld starts the set-up. OBS answers the given request only after the result `release` is
// called.
func (d *dock) setsUpHeld(request string) (release func()) {
	d.connected()
	d.state("not-set-up")
	d.hurries()
	release = d.obs.Hold(request)
	d.ClickText("Set up OBS")
	d.state("setting-up")
	return release
}

// setupRunning starts a recording during the set-up.
func (d *dock) setupRunning() {
	release := d.setsUpHeld("SetVideoSettings")
	d.obs.Wait(d.t, "our profile", func(s fakeobs.State) bool { return s.Profile == "Stagedoor" })
	d.obs.SetOutput(fakeobs.Recording, true)
	release()
}

// setupProfile is the state when OBS answers but does nothing, because a dialog blocks its window.
func (d *dock) setupProfile() {
	d.connected()
	d.state("not-set-up")
	d.hurries()
	d.obs.Pretend("CreateProfile", 100)
	d.ClickText("Set up OBS")
	d.says("Everything is as it was before.")
}

func (d *dock) setupClosed() {
	d.setsUpHeld("SetStreamServiceSettings")
	d.WaitFor(`document.querySelector('.progress .now').textContent === "WHIP and your token"`)
	d.obs.Crash()
	d.state("no-obs")
	if err := d.obs.Restart(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dock) setupRefused() {
	d.connected()
	d.state("not-set-up")
	d.obs.Pretend("SetStreamServiceSettings", 702)
	d.ClickText("Set up OBS")
	d.says("Everything is as it was before.")
}

func (d *dock) notUndone() {
	d.obs.Pretend("RemoveProfile", 702)
	d.setupFailed()
	d.says("30 tokens in 10 minutes is the limit")
}

func (d *dock) notKept() {
	d.connected()
	d.state("not-set-up")
	d.obs.Pretend("SetProfileParameter", 100)
	d.ClickText("Set up OBS")
	d.says("Everything is as it was before.")
}

// runningAlready is the state when OBS refuses StartStream, because the stream was started in OBS
// itself.
func (d *dock) runningAlready() {
	d.hasToken()
	d.obs.Pretend("StartStream", 500)
	d.ClickText("Go live")
}

// hasToken waits for the token that the dock writes into OBS when there is no broadcast.
func (d *dock) hasToken() {
	d.ready()
	d.WaitText("The token in OBS is valid until")
}

func (d *dock) obsSilent() {
	d.hasToken()
	d.hurries()
	d.obs.Hold("StartStream")
	d.ClickText("Go live")
}

func (d *dock) obsGone() {
	d.hasToken()
	d.obs.Hold("GetStreamServiceSettings")
	d.ClickText("Go live")
	d.state("starting")
	d.obs.Crash()
	d.state("no-obs")
	if err := d.obs.Restart(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dock) streamsTo(service fakeobs.Service) {
	d.obs.Edit(func(_ map[string]string, s *fakeobs.Service) { *s = service })
}

func (d *dock) notOurs() {
	d.hasToken()
	d.streamsTo(fakeobs.Service{Type: "rtmp_custom",
		Settings: object{"server": "rtmp://elsewhere.example/live", "key": "k"}})
	d.ClickText("Go live")
	d.says("Set up OBS again")
}

func (d *dock) liveElsewhere() {
	d.hasToken()
	d.streamsTo(fakeobs.Service{Type: "rtmp_custom",
		Settings: object{"server": "rtmp://elsewhere.example/live", "key": "k"}})
	d.obs.StartByHand()
}

// lost is the state after a failure of ICE, after which OBS does not reconnect.
func (d *dock) lost() {
	d.live()
	d.far.Lose()
	d.says("Go live again")
}

func (d *dock) wontStop() {
	d.live()
	d.hurries()
	d.obs.Pretend("StopStream", 100)
	d.ClickText("Stop")
}

func (d *dock) badPicture() {
	d.live()
	bad := reception()
	bad["video"] = object{"codec": "H264", "profile": "High", "width": 1920, "height": 1080,
		"fps": 30, "bitrate": 9_400_000, "keyframeInterval": 8.3, "bFrames": true, "layers": 1}
	bad["loss"] = 0.05
	d.server.present(bad)
	d.says("The picture has 9.4 Mb/s; the stage takes at most 8.5.",
		"The picture is 1080p; the stage takes at most 720p.",
		"The picture has B-frames and may stutter for viewers.",
		"The picture arrives in the H.264 profile High",
		"5 % of what OBS sends gets lost on the way.", "Stop, then set up OBS again")
}

// receives is the state when the stage has received only the video or only the audio, for longer
// than a start takes.
func (d *dock) receives(only string) {
	d.live()
	half := reception()
	delete(half, map[string]string{"video": "audio", "audio": "video"}[only])
	d.server.present(half)
	d.later()
}

// later moves the page's clock past the time that a start may take.
func (d *dock) later() {
	d.Eval(`(() => { const now = Date.now; Date.now = () => now() + 20_000; })()`, nil)
}

// TestWhatOBSSendsAndTheStageReceives: the dock shows sentences that are based on several seconds
// of OBS's statistics.
func TestWhatOBSSendsAndTheStageReceives(t *testing.T) {
	t.Parallel()
	d := unconnected(t, browser.OBS31, readyOBS(func(o *fakeobs.Options) { o.Lag = 0.25 }),
		browser.Options{Width: 250})
	d.live()
	d.says("This computer encodes too slowly: 25", "This computer draws the scene too slowly: 25")
	d.server.present(object{"loss": 0, "since": time.Now().UTC()})
	d.later()
	d.says("OBS sends, but the stage receives nothing. A firewall may hold back UDP: try " +
		"another network")
}

// TestAdvancedModeIsForThePerson: if setting OBS up again cannot cure a problem that the stage
// measures, the page says what the person can do.
func TestAdvancedModeIsForThePerson(t *testing.T) {
	t.Parallel()
	d := unconnected(t, browser.OBS31, readyOBS(func(o *fakeobs.Options) {
		o.Params["Output/Mode"], o.Params["AdvOut/Encoder"] = "Advanced", "obs_nvenc_h264_tex"
	}), browser.Options{Width: 250})
	d.live()
	d.WaitNoText("Keyframe Interval 1 or 2 s")
	far := reception()
	far["video"].(object)["keyframeInterval"] = 8.3
	d.server.present(far)
	d.says("A keyframe comes only every 8.3 s", "Keyframe Interval 1 or 2 s (not 0)")
	d.WaitNoText("Stop, then set up OBS again")
}

// TestTheServersReasonInGerman: the server gives the reason in English. The dock shows it in the
// person's language, together with the operator's own text.
func TestTheServersReasonInGerman(t *testing.T) {
	t.Parallel()
	d := unconnected(t, browser.OBS31, readyOBS(asIs), browser.Options{Width: 250, Lang: "de"})
	d.connected()
	d.state("ready")
	d.ClickText("Auf Sendung gehen")
	d.obs.WaitStream(t, "STARTED")
	d.server.stage("publishing", "", "")
	d.state("live")
	d.server.stage("ended", "kicked", "The hall is closing.")
	d.far.Answer(fakeobs.Refuse(401))
	d.far.Drop()
	d.state("trouble")
	d.says("Der Betreiber hat deine Sendung beendet: The hall is closing.")
}
