package obs_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/obs"
)

// TestEverythingThatAmazonDocuments compares the settings that SetUp leaves in OBS with Amazon's
// documents for publishers of real-time stages: "Stream Ingest" and "OBS and WHIP Support" in the
// real-time user guide. Each row starts from an OBS in which one setting is wrong. Check must
// return a finding with a reason, and SetUp must correct the setting.
func TestEverythingThatAmazonDocuments(t *testing.T) {
	t.Parallel()
	const options = "SimpleOutput/x264Settings"
	has := func(option string) func(obs.Reading) bool {
		return func(r obs.Reading) bool {
			for _, o := range strings.Fields(r.Params[options]) {
				if o == option {
					return true
				}
			}
			return false
		}
	}
	param := func(name, value string) func(obs.Reading) bool {
		return func(r obs.Reading) bool { return r.Params[name] == value }
	}
	for row, c := range map[string]struct {
		wrong   map[string]string // parameters of the profile "Stagedoor"
		fps     float64
		finding string
		right   func(obs.Reading) bool
	}{
		"video codec: H.264": {wrong: map[string]string{"SimpleOutput/StreamEncoder": "nvenc_hevc"},
			finding: "encoder", right: param("SimpleOutput/StreamEncoder", "x264")},
		"H.264 profile: Baseline": {wrong: map[string]string{"SimpleOutput/UseAdvanced": "true",
			options: "profile=high"}, finding: "h264Profile", right: has("profile=baseline")},
		"keyframe interval: 1 or 2 s": {wrong: map[string]string{"SimpleOutput/UseAdvanced": "true",
			options: "keyint=250"}, finding: "keyframes", right: has("keyint=60")},
		"frame rate: 10 to 60": {fps: 120, finding: "fps",
			right: func(r obs.Reading) bool { return r.Video.FPS() == 30 }},
		"B-frames: 0": {
			wrong:   map[string]string{"SimpleOutput/UseAdvanced": "true", options: "bframes=3"},
			finding: "bframes", right: has("bframes=0")},
		"bitrate: at most 8.5 Mb/s": {
			wrong: map[string]string{"SimpleOutput/VBitrate": "9000"}, finding: "bitrate",
			right: param("SimpleOutput/VBitrate", "2500")},
		"bitrate for OBS: at most 2.5 Mb/s": {
			wrong: map[string]string{"SimpleOutput/VBitrate": "4000"}, finding: "bitrate",
			right: param("SimpleOutput/VBitrate", "2500")},
		"audio codec: Opus": {
			wrong: map[string]string{"SimpleOutput/StreamAudioEncoder": "aac"}, finding: "audio",
			right: param("SimpleOutput/StreamAudioEncoder", "opus")},
		"audio: at most 160 kb/s": {wrong: map[string]string{"SimpleOutput/ABitrate": "192"},
			finding: "audioBitrate", right: param("SimpleOutput/ABitrate", "160")},
		"CPU usage preset: veryfast": {
			wrong: map[string]string{"SimpleOutput/UseAdvanced": "true",
				"SimpleOutput/Preset": "slow"}, finding: "preset",
			right: param("SimpleOutput/Preset", "veryfast")},
		"tune: zerolatency": {
			wrong:   map[string]string{"SimpleOutput/UseAdvanced": "true", options: "tune=film"},
			finding: "tune", right: has("tune=zerolatency")},
		"sliced threads: off": {
			wrong: map[string]string{"SimpleOutput/UseAdvanced": "true",
				options: "tune=zerolatency"}, finding: "slices", right: has("sliced-threads=0")},
	} {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			o := fakeobs.Start(t, fakeobs.Options{Profile: "Stagedoor", Params: c.wrong,
				FPS: c.fps})
			c1 := connect(t, o.URL(), "")
			found, err := obs.Check(t.Context(), c1, target().Limits)
			if err != nil {
				t.Fatal(err)
			}
			reason := ""
			for _, f := range found {
				if f.ID == c.finding && f.Level == obs.Fix {
					reason = f.Text
				}
			}
			if reason == "" {
				t.Errorf("no finding %q that is fixed among %+v", c.finding, found)
			}
			setUp(t, c1, target())
			r, err := obs.Read(t.Context(), c1)
			if err != nil {
				t.Fatal(err)
			}
			if !c.right(r) {
				t.Errorf("OBS has %v at %v frames a second", r.Params, r.Video.FPS())
			}
		})
	}
	t.Run("resolution: 160p to 720p", func(t *testing.T) {
		t.Parallel()
		for _, screen := range [][2]int{{3840, 2160}, {1080, 1920}, {160, 90}} {
			o := fakeobs.Start(t, fakeobs.Options{Profile: "Stagedoor", Screen: screen})
			c := connect(t, o.URL(), "")
			setUp(t, c, target())
			r, err := obs.Read(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if short := min(r.Video.OutputWidth, r.Video.OutputHeight); short < 160 || short > 720 {
				t.Errorf("a screen of %v: the shorter side became %s, want 160 to 720",
					screen, strconv.Itoa(short))
			}
		}
	})
}

// TestTwoClientsOnOneOBS: one client sets OBS up repeatedly. Meanwhile a second client reads the
// settings over one connection, and a third opens a new connection for each reading. The fake OBS
// crashes, and fails the test, if it receives a request about the stream while it switches
// profiles.
func TestTwoClientsOnOneOBS(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{})
	one, other := connect(t, o.URL(), ""), connect(t, o.URL(), "")
	setUp(t, one, target())
	done := make(chan struct{})
	var readers sync.WaitGroup
	for _, read := range []func() error{
		func() error { _, err := obs.Read(t.Context(), other); return err },
		func() error {
			c, err := obs.Connect(t.Context(), options(o.URL(), ""))
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			_, err = obs.Status(t.Context(), c, target().Limits)
			return err
		},
	} {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := read(); err != nil {
					t.Errorf("a reading beside a set-up: %v", err)
					return
				}
			}
		})
	}
	again := target()
	again.Force = true
	for range 3 {
		setUp(t, one, again)
	}
	close(done)
	readers.Wait()
}

// TestTwoSetUpsAtOnce: two set-ups at the same time run one after the other.
func TestTwoSetUpsAtOnce(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{})
	var both sync.WaitGroup
	for range 2 {
		c := connect(t, o.URL(), "")
		both.Go(func() {
			again := target()
			again.Force = true
			if _, err := obs.SetUp(t.Context(), c, again, quiet); err != nil {
				t.Errorf("SetUp: %v", err)
			}
		})
	}
	both.Wait()
	if s := o.State(); s.Crashed || s.Profile != "Stagedoor" || s.Encoders.Audio != "opus" {
		t.Errorf("after both set-ups OBS is %+v, want the Stagedoor profile with Opus", s)
	}
}

// TestNoSetUpWithoutATurn: if OBS does not send the claim of a set-up back, the set-up fails before
// it changes a setting, because another client may set OBS up at the same time.
func TestNoSetUpWithoutATurn(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{})
	c := connect(t, o.URL(), "")
	setUp(t, c, target())
	o.Pretend("BroadcastCustomEvent", 100)
	again := target()
	again.Force = true
	before := len(o.Requests())
	_, err := obs.SetUp(t.Context(), c, again, quiet)
	mustBe(t, err, "obs_silent")
	_, err = obs.Back(t.Context(), c)
	mustBe(t, err, "obs_silent")
	for _, r := range o.Requests()[before:] {
		if !strings.HasPrefix(r.Type, "Get") && r.Type != "BroadcastCustomEvent" {
			t.Errorf("OBS was sent %s without a turn", r.Type)
		}
	}
}
