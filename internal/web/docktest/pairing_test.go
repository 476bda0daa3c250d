package docktest

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
)

// The address that the script gives to OBS opens a dock that is signed in and connected.
func TestAPairedDockNeedsNothingMore(t *testing.T) {
	t.Parallel()
	for _, engine := range []browser.Engine{browser.OBS30, browser.OBS31} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			app := apptest.Start(t)
			ada := app.Broadcaster(app.Operator(), "Ada", "publish")
			const odd = `a #&= "%+ß password`
			far := fakeobs.Start(t, fakeobs.Options{Password: odd, Version: fakeobs.OBS31})
			status, _, script := ada.Do(http.MethodGet, "/api/obs/script", nil)
			code := regexp.MustCompile(`local code, code_expires = "([^"]+)"`).FindSubmatch(script)
			if code == nil {
				t.Fatalf("got %d %s", status, script)
			}
			d := &dock{Page: browser.Open(t, engine, browser.Options{}), t: t, obs: far}
			d.Goto(app.URL + "/dock#obs-port=" + far.Port() + "&obs-password=" + escaped(odd) +
				"&obs-secret=s&obs-encoders=obs_x264&enrol=" + escaped(string(code[1])))
			d.state("not-set-up")
			var address string
			if d.Eval("location.href", &address); address != app.URL+"/dock" {
				t.Errorf("the address is %s, want it without secrets", address)
			}
			d.Reload()
			d.state("not-set-up")
		})
	}
}

// escaped escapes as the script does: everything but letters and digits.
func escaped(text string) string {
	return regexp.MustCompile(`\+`).ReplaceAllString(url.QueryEscape(text), "%20")
}
