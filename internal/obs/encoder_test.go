package obs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/obs/encoders"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func fitted(id string, kbits, seconds int) map[string]any {
	e, _ := encoders.Find(id)
	return e.Fit(kbits, seconds)
}

// TestAHardwareEncoderIsSetByTheScript: for a hardware encoder, SetUp has the script write the
// encoder's file. It fails without the script, or if OBS does not have the encoder.
func TestAHardwareEncoderIsSetByTheScript(t *testing.T) {
	t.Parallel()
	const card = "h264_texture_amf"
	o := fakeobs.Start(t, fakeobs.Options{
		Script: fakeobs.Script{Secret: "shared", Encoders: []string{card, "obs_x264"}, Fit: fitted},
	})
	dial := func(secret string) *obs.Client {
		c, err := obs.Connect(t.Context(),
			obs.Options{URL: o.URL(), Script: stage.NewSecret(secret)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	want := target()
	want.Encoder = "auto"
	for _, secret := range []string{"", "another"} {
		_, err := obs.SetUp(t.Context(), dial(secret), want, quiet)
		mustBe(t, err, "obs_no_script")
	}
	c := dial("shared")
	want.Encoder = "jim_nvenc"
	_, err := obs.SetUp(t.Context(), c, want, quiet)
	mustBe(t, err, "obs_no_encoder")
	if s := o.State(); s.Profile != "Untitled" {
		t.Fatalf("the profile is %s after set-ups that failed, want Untitled", s.Profile)
	}

	want.Encoder = "auto"
	if report := setUp(t, c, want); !report.Changed || !obs.Ready(report.Findings) {
		t.Errorf("got the report %+v, want a change, and an OBS that is ready", report)
	}
	if file := o.File("Stagedoor"); file["keyint_sec"] != 2.0 || file["bf"] != 0.0 ||
		file["bitrate"] != 2500.0 {
		t.Errorf("the encoder's file is %v, want the settings of the set-up", file)
	}
	if report := setUp(t, c, want); report.Changed {
		t.Error("the second set-up changed something")
	}
	want.Encoder = "x264"
	if report := setUp(t, c, want); !report.Changed {
		t.Error("nothing was changed for x264")
	}
	r, err := obs.Read(t.Context(), c)
	if err != nil || r.Params["Output/Mode"] != "Simple" {
		t.Errorf("got the mode %s (%v), want Simple", r.Params["Output/Mode"], err)
	}
}

// TestAFailedSetUpGivesTheEncodersFileBack: a failed set-up restores the encoder's file, even if it
// began in another profile.
func TestAFailedSetUpGivesTheEncodersFileBack(t *testing.T) {
	t.Parallel()
	const card = "h264_texture_amf"
	for _, before := range []string{"Stagedoor", "Untitled"} {
		t.Run(before, func(t *testing.T) {
			t.Parallel()
			o := fakeobs.Start(t, fakeobs.Options{
				Script: fakeobs.Script{Secret: "shared", Encoders: []string{card}, Fit: fitted},
			})
			c, err := obs.Connect(t.Context(),
				obs.Options{URL: o.URL(), Script: stage.NewSecret("shared")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			want := target()
			want.Encoder = "auto"
			setUp(t, c, want)
			file := o.File("Stagedoor")
			file["bf"] = 2.0 // a setting of the person
			if before != "Stagedoor" {
				if _, err := obs.Back(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			want.Issue = func(context.Context) (obs.Pass, error) {
				return obs.Pass{}, errors.New("no token")
			}
			if _, err := obs.SetUp(t.Context(), c, want, quiet); err == nil {
				t.Fatal("a set-up without a token went well")
			}
			if got := o.File("Stagedoor"); got["bf"] != 2.0 {
				t.Errorf("the encoder's file is %v, want the person's", got)
			}
			if s := o.State(); s.Profile != before {
				t.Errorf("the profile is %s, want %s", s.Profile, before)
			}
		})
	}
}

// TestAFailedUndoRestoresTheRest: if SetUp cannot restore a part, it restores all other parts. The
// error contains the cause of each failure.
func TestAFailedUndoRestoresTheRest(t *testing.T) {
	t.Parallel()
	const card = "h264_texture_amf"
	for _, test := range []struct {
		name, before string
		refused      string // the request that fails; if empty, the script is gone
		stays        string // the part of OBS that is not restored
		err          string
	}{
		{"no script", "Stagedoor", "", "", "script"},
		{"no script, another profile", "Untitled", "", "", "script"},
		{"no parameters", "Stagedoor", "SetProfileParameter", "params", "702"},
		{"no video", "Stagedoor", "SetVideoSettings", "video", "702"},
		{"no service", "Stagedoor", "SetStreamServiceSettings", "service", "702"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := fakeobs.Start(t, fakeobs.Options{
				Profile: "Stagedoor",
				Service: fakeobs.Service{Type: "rtmp_custom",
					Settings: map[string]any{"server": "rtmp://there", "key": "k"}},
				Script: fakeobs.Script{Secret: "shared", Encoders: []string{card}, Fit: fitted},
			})
			c, err := obs.Connect(t.Context(),
				obs.Options{URL: o.URL(), Script: stage.NewSecret("shared")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			if err := c.Call(t.Context(), "SetVideoSettings",
				map[string]any{"outputWidth": 1920, "outputHeight": 1080}, nil); err != nil {
				t.Fatal(err)
			}
			if test.before != "Stagedoor" {
				do(t, c, "CreateProfile", test.before)
				o.Wait(t, "the profile", func(s fakeobs.State) bool {
					return s.Profile == test.before
				})
			}
			parts := func() map[string]string {
				r, err := obs.Read(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				return map[string]string{"profile": r.Profile, "params": fmt.Sprint(r.Params),
					"video": fmt.Sprint(r.Video), "service": fmt.Sprint(o.State().Service)}
			}
			want := parts()
			advanced := target()
			advanced.Encoder = "auto"
			ctx, cancel := context.WithCancel(t.Context())
			_, err = obs.SetUp(ctx, c, advanced, func(s obs.Step) {
				switch {
				case s != obs.StepRebuild:
					return
				case test.refused == "":
					o.ChooseSceneCollection("Second", false)
				default:
					o.Pretend(test.refused, 702)
				}
				cancel()
			})
			mustSay(t, err, "Not everything could be put back")
			mustSay(t, err, test.err)
			if test.refused != "" {
				o.Pretend(test.refused, 0)
			}
			got := parts()
			for part := range want {
				if restored := got[part] == want[part]; restored != (part != test.stays) {
					t.Errorf("%s: got %s, was %s", part, got[part], want[part])
				}
			}
		})
	}
}
