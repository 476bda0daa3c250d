package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// film returns the output of a fake OBS: a WHIP publisher with real H.264 and Opus, which uses the
// endpoint and the token that OBS received.
func film(t *testing.T) fakeobs.WHIPOutput {
	sound, aac := rtcpeer.MakeClip(t, rtcpeer.ClipOptions{}),
		rtcpeer.MakeClip(t, rtcpeer.ClipOptions{AAC: true})
	return func(_ context.Context, endpoint, bearer string, opus bool) (fakeobs.Session, error) {
		clip := sound
		if !opus {
			clip = aac
		}
		p, err := rtcpeer.Publish(t, rtcpeer.HTTP(endpoint, bearer),
			rtcpeer.PublishOptions{Clip: clip})
		return hangsUp{p}, err
	}
}

// TestOBSCommands runs every command from the set-up to a broadcast, with an access key, a fake
// OBS, a Stagedoor server and real media.
func TestOBSCommands(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	ana := a.Broadcaster(a.Operator(), "ana", "publish")
	var key web.NewAccessKey
	ana.Must(http.StatusCreated, "POST", "/api/keys", web.NewKey{Name: "lecture room"}, &key)
	o := fakeobs.Start(t, fakeobs.Options{Password: "secret", Output: film(t)})

	var out bytes.Buffer
	cmd := &obs.Commands{
		OBS: obs.Options{URL: o.URL(), Password: stage.NewSecret("secret"),
			Timeout: 20 * time.Second, Ready: 20 * time.Second},
		Server: a.URL, Key: stage.NewSecret(key.Key),
		HTTP: http.DefaultClient, Now: time.Now, Out: &out,
	}
	run := func(what string, f func(context.Context) error, says string) {
		t.Helper()
		out.Reset()
		if err := f(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if !strings.Contains(out.String(), says) {
			t.Errorf("%s said %q, want %q in it", what, out.String(), says)
		}
		if strings.Contains(out.String(), key.Key) || strings.Contains(out.String(), "eyJ") {
			t.Errorf("%s tells a secret: %s", what, out.String())
		}
	}
	setUp := func(ctx context.Context) error { return cmd.SetUp(ctx, false) }

	fails := func(err error, code string) {
		t.Helper()
		var e *stage.Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("got %v, want an error with code %s", err, code)
		}
		if err != nil && strings.Contains(err.Error(), "eyJ") {
			t.Errorf("the error tells the token: %v", err)
		}
	}

	fails(cmd.Live(t.Context()), "obs_not_ready")
	run("status", cmd.Status, "not set up")
	run("setup", setUp, "OBS is ready")
	run("setup again", setUp, "Everything was set already.")
	run("live", cmd.Live, "LIVE as participant")
	run("live again", cmd.Live, "live already")
	if got := o.AudioCodecInUse(); got != "opus" {
		t.Errorf("OBS sends %s, want opus", got)
	}
	cmd.JSON = true
	out.Reset()
	if err := cmd.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	var status obs.State
	if err := json.Unmarshal(out.Bytes(), &status); err != nil || !status.Live ||
		status.Profile != "Stagedoor" {
		t.Errorf("status in JSON: got %s, %v, want live in the profile Stagedoor",
			out.String(), err)
	}
	var judged struct {
		Limits   stage.Limits
		LimitsOf string
	}
	if err := json.Unmarshal(out.Bytes(), &judged); err != nil || judged.LimitsOf != "stage" ||
		judged.Limits.MaxHeight == 0 {
		t.Errorf("the limits of the reading: got %+v, %v, want those of the stage", judged, err)
	}
	cmd.JSON = false
	run("stop", cmd.Stop, "does not stream")
	run("back", cmd.Back, "“Untitled” is selected")

	for what, bad := range map[string]func(*obs.Commands){
		"unauthorized":       func(c *obs.Commands) { c.Key = stage.NewSecret("sdk_wrong") },
		"no_stage":           func(c *obs.Commands) { c.Stage = "cellar" },
		"no_server":          func(c *obs.Commands) { c.Key = stage.Secret{} },
		"server_unreachable": func(c *obs.Commands) { c.Server = "http://127.0.0.1:1" },
		"obs_password":       func(c *obs.Commands) { c.OBS.Password = stage.NewSecret("wrong") },
	} {
		broken := *cmd
		bad(&broken)
		fails(broken.SetUp(t.Context(), false), what)
	}
}
