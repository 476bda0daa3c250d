package docktest

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/obs/encoders"
)

// The address that the script gives to OBS opens a dock that is signed in and connected.
func TestAPairedDockNeedsNothingMore(t *testing.T) {
	t.Parallel()
	for _, engine := range []browser.Engine{browser.OBS30, browser.OBS31} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			app := replicas.App(t)
			ada := app.Broadcaster(app.Operator(), "Ada", "publish")
			const odd = `a #&= "%+ß password`
			far := fakeobs.Start(t, fakeobs.Options{
				Password: odd, Version: fakeobs.OBS31,
				Script: fakeobs.Script{Secret: "shared",
					Encoders: []string{"jim_nvenc", "obs_x264"}, Fit: fit},
			})
			status, _, script := ada.Do(http.MethodGet, "/api/obs/script", nil)
			code := regexp.MustCompile(`local code, code_expires = "([^"]+)"`).FindSubmatch(script)
			if code == nil {
				t.Fatalf("got %d %s", status, script)
			}
			d := &dock{Page: browser.Open(t, engine, browser.Options{}), t: t, obs: far}
			d.Goto(app.URL + "/dock#obs-port=" + far.Port() + "&obs-password=" + escaped(odd) +
				"&obs-secret=shared&obs-encoders=jim_nvenc%20obs_x264&enrol=" +
				escaped(string(code[1])))
			d.state("not-set-up")
			var address string
			if d.Eval("location.href", &address); address != app.URL+"/dock" {
				t.Errorf("the address is %s, want it without secrets", address)
			}
			d.Reload()
			d.state("not-set-up")
			d.usesTheGraphicsCard()
			d.Goto(app.URL + "/account")
			d.WaitText("Docks save no files")
			d.WaitFor(`[...document.querySelectorAll(".pictures img")].filter((i) => i.complete && i.naturalWidth > 0).length === 3`)
		})
	}
}

func fit(id string, kbits, seconds int) map[string]any {
	e, _ := encoders.Find(id)
	return e.Fit(kbits, seconds)
}

// usesTheGraphicsCard sets OBS up for its hardware encoder, and back for x264.
func (d *dock) usesTheGraphicsCard() {
	d.t.Helper()
	d.keep("dock-graphics-card")
	d.ClickText("Use my graphics card (NVIDIA NVENC)")
	d.state("ready")
	file, built := d.obs.File("Stagedoor"), d.obs.State().Encoders
	if file["keyint_sec"] != 2.0 || file["bf"] != 0.0 || built.Mode != "Advanced" ||
		built.Audio != "opus" {
		d.t.Errorf("the encoder's file is %v, OBS built %+v", file, built)
	}
	d.Click("details.section summary")
	d.WaitText("The encoder’s file fits")
	d.ClickText("Use x264 instead of the graphics card")
	d.WaitText("Use my graphics card")
	d.state("ready")
	if built := d.obs.State().Encoders; built.Mode != "Simple" {
		d.t.Errorf("OBS built %+v for x264", built)
	}
}

// escaped escapes as the script does: everything but letters and digits.
func escaped(text string) string {
	return regexp.MustCompile(`\+`).ReplaceAllString(url.QueryEscape(text), "%20")
}
