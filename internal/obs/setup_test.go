package obs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/realobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	endpoint = "https://stage.example/whip"
	bearer   = "a.participant.token"
)

func connect(t testing.TB, url, password string) *obs.Client {
	t.Helper()
	c, err := obs.Connect(t.Context(), obs.Options{URL: url, Password: stage.NewSecret(password)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func issue(context.Context) (obs.Pass, error) {
	return obs.Pass{Participant: "p1", Endpoint: endpoint, Bearer: stage.NewSecret(bearer),
		ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func target() obs.Target { return obs.Target{Limits: stage.DefaultLimits(), Issue: issue} }

func quiet(obs.Step) {}

func setUp(t *testing.T, c *obs.Client, target obs.Target) obs.Report {
	t.Helper()
	report, err := obs.SetUp(t.Context(), c, target, quiet)
	if err != nil {
		t.Fatalf("SetUp: %v", err)
	}
	return report
}

func mustBe(t *testing.T, err error, code string) {
	t.Helper()
	var e *stage.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("got %v, want an error with code %s", err, code)
	}
	if err != nil && strings.Contains(err.Error(), bearer) {
		t.Errorf("the error tells the token: %v", err)
	}
}

// mustSay compares an error with a sentence of the dock, or with a part of it.
func mustSay(t *testing.T, err error, sentence string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), sentence) {
		t.Errorf("got %v, want %q as in the dock", err, sentence)
	}
}

// standing returns all settings of OBS as a text, to compare them.
func standing(t *testing.T, c *obs.Client) string {
	t.Helper()
	r, err := obs.Read(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var service json.RawMessage // includes the secrets, which a Reading omits when it is printed
	if err := c.Call(t.Context(), "GetStreamServiceSettings", nil, &service); err != nil {
		t.Fatal(err)
	}
	r.Service = obs.Service{}
	return fmt.Sprintf("%+v %s", r, service)
}

// servers starts the OBSes for the tests of SetUp: fakes of three versions, and a real OBS. The
// real one has no WHIP; a relay presents its custom RTMP service as WHIP.
func servers() map[string]func(t *testing.T) *obs.Client {
	fake := func(v fakeobs.Version) func(t *testing.T) *obs.Client {
		return func(t *testing.T) *obs.Client {
			return connect(t, fakeobs.Start(t, fakeobs.Options{Version: v}).URL(), "")
		}
	}
	return map[string]func(t *testing.T) *obs.Client{
		"OBS 30.2": fake(fakeobs.OBS30_2), "OBS 31": fake(fakeobs.OBS31),
		"OBS 32.1": fake(fakeobs.OBS32_1),
		"real OBS": func(t *testing.T) *obs.Client {
			return connect(t, pretendWHIP(t, realobs.Start(t, "secret").URL()), "secret")
		},
	}
}

func TestSetUpFromFresh(t *testing.T) {
	t.Parallel()
	for name, start := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			before := standing(t, c)
			var steps []obs.Step
			report, err := obs.SetUp(t.Context(), c, target(), func(s obs.Step) {
				steps = append(steps, s)
			})
			if err != nil {
				t.Fatalf("SetUp: %v", err)
			}
			want := []obs.Step{obs.StepCheck, obs.StepProfile, obs.StepSettings, obs.StepService,
				obs.StepRebuild, obs.StepVerify}
			if !slices.Equal(steps, want) || !report.Changed || report.Previous != "Untitled" ||
				!obs.Ready(report.Findings) {
				t.Errorf("SetUp: got the steps %v and %+v, want all steps and a ready OBS",
					steps, report)
			}
			r, err := obs.Read(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if r.Profile != "Stagedoor" || r.Service.Settings["server"] != endpoint ||
				r.Service.Settings["service"] != "WHIP" {
				t.Errorf("OBS has profile %q and service %+v", r.Profile, r.Service)
			}
			for key, want := range map[string]string{
				"Output/Mode": "Simple", "SimpleOutput/StreamAudioEncoder": "opus",
				"AdvOut/AudioEncoder": "ffmpeg_opus", "SimpleOutput/VBitrate": "2500",
				"SimpleOutput/UseAdvanced": "true",
				"SimpleOutput/x264Settings": "keyint=60 bframes=0 profile=baseline " +
					"tune=zerolatency sliced-threads=0", "SimpleOutput/StreamEncoder": "x264",
			} {
				if got := r.Params[key]; got != want {
					t.Errorf("%s: got %q, want %q", key, got, want)
				}
			}

			// A second run of SetUp changes nothing.
			ready := standing(t, c)
			again := setUp(t, c, target())
			if again.Changed {
				t.Error("the second run changed something")
			}
			if again.Previous != "Untitled" {
				t.Errorf("with ours selected: got %q, want the profile that Back selects",
					again.Previous)
			}
			if got := standing(t, c); got != ready {
				t.Errorf("after the second run: got %s, want %s", got, ready)
			}

			// Back selects the person's profile. All is as before, except that the list contains a
			// new profile.
			profile, err := obs.Back(t.Context(), c)
			if err != nil || profile != "Untitled" {
				t.Fatalf("Back: got %q, %v, want the person's profile", profile, err)
			}
			if got := strings.Replace(standing(t, c), "[Stagedoor Untitled]", "[Untitled]",
				1); got != before {
				t.Errorf("after Back: got %s, want %s", got, before)
			}

			// Another SetUp uses the existing profile.
			if report := setUp(t, c, target()); !report.Changed || !obs.Ready(report.Findings) {
				t.Errorf("a second set-up: got %+v, want a change, and a ready OBS", report)
			}
		})
	}
}

// TestTwoClientsGoBack: two clients select the person's profile at the same time. The second one
// finds it selected, and does not wait for a switch that does not come.
func TestTwoClientsGoBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	o := fakeobs.Start(t, fakeobs.Options{})
	clients := []*obs.Client{connect(t, o.URL(), ""), connect(t, o.URL(), "")}
	setUp(t, clients[0], target())
	release := o.Hold("GetPersistentData") // the last request before the switch
	var going sync.WaitGroup
	for _, c := range clients {
		going.Go(func() {
			if profile, err := obs.Back(ctx, c); err != nil || profile != "Untitled" {
				t.Errorf("got %q, %v, want the person's profile", profile, err)
			}
		})
	}
	time.Sleep(500 * time.Millisecond) // a client that does not wait would read meanwhile
	release()
	going.Wait()
}

// TestSetUpIsUndone: no matter at which step SetUp fails, it leaves OBS unchanged. Before the last
// step, OBS has the token.
func TestSetUpIsUndone(t *testing.T) {
	t.Parallel()
	for name, start := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			before := standing(t, c)
			failing := target()
			failing.Issue = func(context.Context) (obs.Pass, error) {
				return obs.Pass{}, stage.Errorf(stage.ErrTooMany,
					"too many tokens").WithCode("too_many_tokens")
			}
			_, err := obs.SetUp(t.Context(), c, failing, quiet)
			mustBe(t, err, "too_many_tokens")
			if got := standing(t, c); got != before {
				t.Errorf("after the failure: got %s, want %s", got, before)
			}
			for _, last := range []obs.Step{obs.StepProfile, obs.StepRebuild, obs.StepVerify} {
				ctx, cancel := context.WithCancel(t.Context())
				_, err := obs.SetUp(ctx, c, target(), func(s obs.Step) {
					if s != last {
						return
					}
					if now := standing(t, c); last == obs.StepVerify &&
						!strings.Contains(now, bearer) {
						t.Errorf("before the failure: got %s, want the token", now)
					}
					cancel()
				})
				if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "put back") {
					t.Errorf("%s: got %v, want the cancellation alone", last, err)
				}
				if got := standing(t, c); got != before {
					t.Errorf("after the failure at %s: got %s, want %s", last, got, before)
				}
			}
		})
	}
}

func TestSetUpWithoutWHIP(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) *obs.Client{
		"Ubuntu's OBS": func(t *testing.T) *obs.Client {
			return connect(t, fakeobs.Start(t,
				fakeobs.Options{NoWHIP: true, Platform: "ubuntu"}).URL(), "")
		},
		// The relay changes the version of this real OBS 29, so that only the status 700 shows that
		// WHIP is missing.
		"real OBS": func(t *testing.T) *obs.Client {
			return connect(t, pretendVersion(t, realobs.Start(t, "secret").URL()), "secret")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			before := standing(t, c)
			_, err := obs.SetUp(t.Context(), c, target(), quiet)
			mustBe(t, err, "obs_no_whip")
			if err == nil || !strings.Contains(err.Error(), "without WHIP") ||
				!strings.Contains(err.Error(), "Flat") {
				t.Errorf("got %v, want a sentence with the cure", err)
			}
			if got := standing(t, c); got != before {
				t.Errorf("after 700: got %s, want %s", got, before)
			}
		})
	}
}

// refusesUntouched checks that SetUp fails with this code and leaves OBS unchanged.
func refusesUntouched(t *testing.T, c *obs.Client, code string) {
	t.Helper()
	before := standing(t, c)
	_, err := obs.SetUp(t.Context(), c, target(), quiet)
	mustBe(t, err, code)
	if got := standing(t, c); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
}

func TestOldOBSIsLeftAlone(t *testing.T) {
	t.Parallel()
	o := realobs.Start(t, "secret")
	refusesUntouched(t, connect(t, o.URL(), "secret"), "obs_whip")
}

func TestNeverWhileAnOutputIsActive(t *testing.T) {
	t.Parallel()
	for _, output := range []fakeobs.Output{fakeobs.Recording, fakeobs.ReplayBuffer,
		fakeobs.VirtualCam} {
		t.Run(string(output), func(t *testing.T) {
			t.Parallel()
			o := fakeobs.Start(t, fakeobs.Options{})
			o.SetOutput(output, true)
			_, err := obs.SetUp(t.Context(), connect(t, o.URL(), ""), target(), quiet)
			mustBe(t, err, "obs_busy")
			for _, r := range o.Requests() {
				if !strings.HasPrefix(r.Type, "Get") && r.Type != "BroadcastCustomEvent" {
					t.Errorf("OBS was sent %s while it was busy", r.Type)
				}
			}
		})
	}
}

// TestTheEncoderIsRebuilt: OBS uses Opus only after the profile was selected again. This works even
// if Stagedoor's profile is the only one.
func TestTheEncoderIsRebuilt(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]fakeobs.Options{
		"fresh":            {},
		"ours alone":       {Profile: "Stagedoor"},
		"30.2, ours alone": {Profile: "Stagedoor", Version: fakeobs.OBS30_2},
		"Advanced before":  {Params: map[string]string{"Output/Mode": "Advanced"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := fakeobs.Start(t, opts)
			setUp(t, connect(t, o.URL(), ""), target())
			s := o.State()
			if s.Encoders.Audio != "opus" || s.Encoders.Mode != "Simple" ||
				s.Profile != "Stagedoor" || s.Crashed {
				t.Errorf("OBS after the set-up: got %+v, want Opus in Simple mode", s)
			}
			if slices.ContainsFunc(s.Profiles, func(name string) bool {
				return strings.Contains(name, "bounce")
			}) {
				t.Errorf("a temporary profile was left: %v", s.Profiles)
			}
		})
	}
}

func TestSetUpOfOursIsTakenBack(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{
		Profile: "Stagedoor", NoWHIP: true,
		Params: map[string]string{"SimpleOutput/VBitrate": "9000"},
		Service: fakeobs.Service{Type: "rtmp_custom",
			Settings: map[string]any{"server": "rtmp://there", "key": "k"}},
	})
	refusesUntouched(t, connect(t, o.URL(), ""), "obs_no_whip")
}

// TestAnEmptyServiceIsTakenBack: a failed SetUp restores a service without settings. OBS refuses a
// request with no settings, so SetUp writes blank ones. The token is gone.
func TestAnEmptyServiceIsTakenBack(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"rtmp_common", "whip_custom"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := fakeobs.Start(t, fakeobs.Options{Profile: "Stagedoor",
				Service: fakeobs.Service{Type: kind}})
			c := connect(t, o.URL(), "")
			failing, cancel := context.WithCancel(t.Context())
			_, err := obs.SetUp(failing, c, target(), func(s obs.Step) {
				if s == obs.StepRebuild {
					cancel()
				}
			})
			if err == nil || strings.Contains(err.Error(), "put back") {
				t.Errorf("SetUp: got %v, want no word of something that is left", err)
			}
			service := o.State().Service
			for name, value := range service.Settings {
				if value != "" && value != false {
					t.Errorf("the service still has %s %v", name, value)
				}
			}
			if service.Type != kind || o.Param("SimpleOutput", "x264Settings") != "" {
				t.Errorf("got %+v and x264Settings %q", service,
					o.Param("SimpleOutput", "x264Settings"))
			}
		})
	}
}

// TestAdvancedModeOfOursStays: SetUp keeps Advanced mode in Stagedoor's profile, no matter which
// profile is selected when SetUp begins. Before SetUp, the findings of Check say that it will keep
// the mode.
func TestAdvancedModeOfOursStays(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{Profile: "Stagedoor",
		Params: map[string]string{"Output/Mode": "Advanced",
			"AdvOut/Encoder": "obs_nvenc_h264_tex"}})
	c := connect(t, o.URL(), "")
	call := func(request, profile string) {
		if err := c.Call(t.Context(), request, map[string]any{"profileName": profile},
			nil); err != nil {
			t.Fatal(err)
		}
		o.Wait(t, profile, func(s fakeobs.State) bool { return s.Profile == profile })
	}
	call("CreateProfile", "Church")
	o.Edit(func(params map[string]string, _ *fakeobs.Service) {
		params["Output/Mode"] = "Advanced"
	})
	findings, err := obs.Check(t.Context(), c, stage.DefaultLimits())
	if err != nil || !slices.ContainsFunc(findings, func(f obs.Finding) bool {
		return f.ID == "mode" && f.Level == obs.Fix &&
			strings.Contains(f.Text, "has its own output mode, which stays")
	}) {
		t.Errorf("the findings before the set-up: got %+v, %v, want that the mode stays",
			findings, err)
	}
	setUp(t, c, target())
	if s := o.State(); s.Encoders.Mode != "Advanced" || s.Encoders.Video != "obs_nvenc_h264_tex" ||
		s.Encoders.Audio != "opus" {
		t.Errorf("the encoders after the set-up: got %+v, want Advanced mode and NVENC", s.Encoders)
	}
}

// TestChoicesAreInherited: a new profile keeps the person's settings that are within the stage's
// limits.
func TestChoicesAreInherited(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{Params: map[string]string{"SimpleOutput/VBitrate": "1200",
		"Audio/SampleRate": "44100"}, Screen: [2]int{1600, 900}})
	setUp(t, connect(t, o.URL(), ""), target())
	if got := o.Param("SimpleOutput", "VBitrate"); got != "1200" {
		t.Errorf("bitrate: got %s, want 1200", got)
	}
	if got := o.Param("Audio", "SampleRate"); got != "44100" {
		t.Errorf("sample rate: got %s, want 44100", got)
	}
}

// TestLinkedAccount: an account that is linked to the person's profile does not affect Stagedoor's
// profile. If an account is linked to Stagedoor's profile, SetUp refuses, because only the person
// can unlink it.
func TestLinkedAccount(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{Account: "Twitch"})
	setUp(t, connect(t, o.URL(), ""), target())
	if got := o.Param("Auth", "Type"); got != "" {
		t.Errorf("our profile has the account %q", got)
	}
	ours := fakeobs.Start(t, fakeobs.Options{Account: "Twitch", Profile: "Stagedoor"})
	_, err := obs.SetUp(t.Context(), connect(t, ours.URL(), ""), target(), quiet)
	mustBe(t, err, "obs_account")
}

func standingOf(r obs.Reading) string {
	text, err := json.Marshal(r)
	return fmt.Sprintf("%+v %#v %s %v", r, r, text, err)
}

// TestOrderOfSetUp compares the requests to OBS, and their order, with testdata/setup.json. A
// JavaScript test compares the requests of the dock with the same file.
func TestOrderOfSetUp(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/setup.json")
	if err != nil {
		t.Fatal(err)
	}
	var runs []struct {
		Name     string
		Profiles []string
		Params   map[string]string
		Fails    bool
		Requests []string
	}
	if err := json.Unmarshal(text, &runs); err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		t.Run(run.Name, func(t *testing.T) {
			t.Parallel()
			o := fakeobs.Start(t, fakeobs.Options{Profile: run.Profiles[0], Params: run.Params,
				NoReplayBuffer: true})
			c := connect(t, o.URL(), "")
			for _, more := range run.Profiles[1:] {
				do(t, c, "CreateProfile", more)
				o.Wait(t, "the profile", func(s fakeobs.State) bool { return s.Profile == more })
				do(t, c, "SetCurrentProfile", run.Profiles[0])
			}
			before := len(o.Requests())
			target := target()
			if run.Fails {
				target.Issue = func(context.Context) (obs.Pass, error) {
					return obs.Pass{}, errors.New("no token")
				}
			}
			if _, err := obs.SetUp(t.Context(), c, target, quiet); (err != nil) != run.Fails {
				t.Fatalf("SetUp: %v", err)
			}
			if got := written(o.Requests()[before:]); !slices.Equal(got, run.Requests) {
				t.Errorf("got  %q\nwant %q", got, run.Requests)
			}
		})
	}
}

func do(t *testing.T, c *obs.Client, request, profile string) {
	t.Helper()
	if err := c.Call(t.Context(), request, map[string]any{"profileName": profile},
		nil); err != nil {
		t.Fatal(err)
	}
}

// written returns the requests and their arguments. Consecutive readings of parameters count as
// one. It omits the custom events by which a client claims OBS (see turns.go), and the request for
// the name of the previous profile, which only the terminal sends.
func written(requests []fakeobs.Request) (lines []string) {
	for _, r := range requests {
		line := r.Type
		switch name, _ := r.Data["profileName"].(string); {
		case line == "BroadcastCustomEvent", line == "GetPersistentData",
			line == "GetProfileParameter" && len(lines) > 0 && lines[len(lines)-1] == line:
			continue
		case line == "SetProfileParameter":
			line += fmt.Sprintf(" %v/%v", r.Data["parameterCategory"], r.Data["parameterName"])
		case name != "":
			line += " " + name
		}
		lines = append(lines, line)
	}
	return lines
}
