package encoders_test

import (
	"reflect"
	"testing"

	"github.com/stagedoor/stagedoor/internal/obs/encoders"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestEveryEncoderOfTheTableFits: for every encoder, the table sets a keyframe interval, no
// B-frames, a bitrate and a profile.
func TestEveryEncoderOfTheTableFits(t *testing.T) {
	t.Parallel()
	table, err := encoders.Table()
	if err != nil || len(table) < 9 || table[len(table)-1].ID != "obs_x264" {
		t.Fatalf("%v, %v: want nine encoders at least, x264 last", table, err)
	}
	limits := stage.DefaultLimits()
	for _, e := range table {
		settings := e.Fit(2500, 2)
		if settings["keyint_sec"] != 2.0 || settings["bf"] != 0.0 ||
			settings["bitrate"] != 2500.0 ||
			settings["profile"] == nil || settings["rate_control"] == nil || e.Name == "" ||
			e.Hardware == (e.ID == "obs_x264") {
			t.Errorf("%s: got %+v, want settings that fit, and a name", e.ID, settings)
		}
		if unfit := e.Unfit(settings, limits); len(unfit) > 0 {
			t.Errorf("%s: what makes it fit does not fit: %v", e.ID, unfit)
		}
		settings["keyint_sec"], settings["bf"], settings["preset"] = 10.0, 2.0, "p7"
		if unfit := e.Unfit(settings, limits); !reflect.DeepEqual(unfit,
			[]string{"bf", "keyint_sec"}) {
			t.Errorf("%s: %v does not fit, want bf and keyint_sec", e.ID, unfit)
		}
		if got, want := e.Request(map[string]any{"bitrate": 800.0}, limits),
			(encoders.Request{Encoder: e.ID, Bitrate: 800, Interval: 2}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
