package stagetest

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

func connect(page *browser.Page, obs *fakeobs.OBS) {
	page.Eval(`document.querySelector('#sources').open = true`, nil)
	page.Type("#f-address", strings.TrimPrefix(obs.URL(), "ws://"))
	page.Type("#f-password", "secret")
	page.ClickText("Connect")
	page.WaitGone("#f-address")
}

// keyOf returns the view of a browser source in OBS, or nil if its viewing key is not valid.
func (h *harness) keyOf(settings map[string]any) *web.View {
	h.t.Helper()
	address, err := url.Parse(settings["url"].(string))
	if err != nil || strings.Contains(address.RawQuery, "sdv_") {
		h.t.Fatalf("the address of the source: got %v, want a key in its fragment alone",
			settings["url"])
	}
	key := h.Browser()
	key.Key = address.Fragment
	if status, _, _ := key.Do("GET", "/api/view", nil); status != http.StatusOK {
		return nil
	}
	var v web.View
	key.Must(http.StatusOK, "GET", "/api/view", nil, &v)
	return &v
}

func TestOneClickAddsAPersonToTheScene(t *testing.T) {
	t.Parallel()
	h := open(t)
	obs := fakeobs.Start(t, fakeobs.Options{Password: "secret"})
	page := h.dock(browser.OBS31, "ana", browser.Options{Width: 460})
	h.publish(h.bea, rtcpeer.PublishOptions{})
	connect(page, obs)

	page.ClickText("Add bea to the current scene")
	page.WaitText("bea is in the scene “Scene” now.")
	kind, settings, in := obs.Input("Stagedoor: bea")
	if kind != "browser_source" || settings["reroute_audio"] != true ||
		settings["width"] != 1280.0 || settings["height"] != 720.0 || len(in) != 1 {
		t.Errorf("the source: got %s %v in %v, want a browser source of 1280×720 in one scene",
			kind, settings, in)
	}
	if v := h.keyOf(settings); v == nil || v.View != string(h.bea.Me().ID) {
		t.Errorf("the key of the source: got %+v, want one for bea", v)
	}

	t.Log("a second click makes neither a second source nor a second key")
	page.ClickText("Add bea to the current scene")
	page.WaitText("bea is in the scene “Scene” already.")
	var views web.Views
	h.ana.Must(http.StatusOK, "GET", "/api/views", nil, &views)
	if _, _, in := obs.Input("Stagedoor: bea"); len(in) != 1 || len(views.Views) != 1 ||
		views.Views[0].Name != "bea" {
		t.Errorf("after two clicks: in %v, keys %+v", in, views)
	}

	t.Log("the key is revoked on the page; the next click gives the source a new one")
	page.ClickText("Revoke the key for bea")
	page.WaitText("The key is revoked.")
	if v := h.keyOf(settings); v != nil {
		t.Errorf("the revoked key still works: %+v", v)
	}
	page.ClickText("Add bea to the current scene")
	page.WaitText("It has a new one now.")
	_, settings, in = obs.Input("Stagedoor: bea")
	if v := h.keyOf(settings); v == nil || len(in) != 1 {
		t.Errorf("the renewed source: key %+v, in %v", v, in)
	}

	t.Log("a layout is as large as the canvas")
	page.ClickText("Add Everybody to the current scene")
	page.WaitText("Everybody is in the scene “Scene” now.")
	if _, settings, _ := obs.Input("Stagedoor: Everybody"); settings["width"] != 1920.0 ||
		settings["height"] != 1080.0 {
		t.Errorf("the size of the layout: got %v, want that of the canvas", settings)
	}
}

func TestASourceOfAnotherStageStaysWhatItIs(t *testing.T) {
	t.Parallel()
	h := open(t)
	side := h.side()
	obs := fakeobs.Start(t, fakeobs.Options{Password: "secret"})
	page := h.dock(browser.OBS31, "ana", browser.Options{Width: 460})
	connect(page, obs)
	page.ClickText("Add Everybody to the current scene")
	page.WaitText("Everybody is in the scene “Scene” now.")
	_, before, _ := obs.Input("Stagedoor: Everybody")

	choose(page, side)
	page.WaitNoText("Everybody is in the scene")
	page.ClickText("Add Everybody to the current scene")
	page.WaitText("Everybody is in the scene “Scene” now.")
	_, after, _ := obs.Input("Stagedoor: Everybody")
	if v := h.keyOf(after); after["url"] != before["url"] || v == nil ||
		string(v.Stage) != h.ana.MainStage() {
		t.Errorf("the source of the other stage: got %v, want %v with a key for main", after,
			before)
	}
	_, other, in := obs.Input("Stagedoor: Everybody (side)")
	if len(in) != 1 {
		t.Fatalf("the source of the stage side: got %v in %v, want it in one scene", other, in)
	}
	if v := h.keyOf(other); v == nil || v.Stage != side.ARN {
		t.Errorf("the source of the stage side: got the key %+v, want one for that stage", v)
	}

	t.Log("a second click finds the source by its key, and gives it the newly chosen look")
	page.ClickText("Add Everybody to the current scene")
	page.WaitText("Everybody is in the scene “Scene” already.")
	page.Click(".look input")
	page.ClickText("Add Everybody to the current scene")
	page.WaitText("Everybody in the scene “Scene” has the chosen appearance now.")
	_, named, _ := obs.Input("Stagedoor: Everybody (side)")
	if got, want := named["url"],
		strings.Replace(other["url"].(string), "#", "?names=1#", 1); got != want {
		t.Errorf("with names: got %v, want %v", got, want)
	}
	if v := h.keyOf(named); v == nil || v.Stage != side.ARN {
		t.Errorf("with names: got the key %+v, want one for the stage side", v)
	}
}

func TestConnectCountsWhileThePageStillTriesAnOldAddress(t *testing.T) {
	t.Parallel()
	h := open(t)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections, but never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mute.Close() })
	page := h.dock(browser.OBS31, "ana", browser.Options{Width: 460})
	page.Eval(`localStorage.setItem('stagedoor.obs.address', '`+mute.Addr().String()+`')`, nil)
	page.Reload()
	page.WaitText("joined")
	page.Eval(`document.querySelector('#sources').open = true`, nil)
	page.WaitText("Looking for OBS…")

	connect(page, fakeobs.Start(t, fakeobs.Options{Password: "secret"}))
	page.ClickText("Add Everybody to the current scene")
	page.WaitText("Everybody is in the scene “Scene” now.")
}

func TestWhatCannotBeAddedSaysWhy(t *testing.T) {
	t.Parallel()
	h := open(t)
	obs := fakeobs.Start(t, fakeobs.Options{Password: "secret", NoBrowser: true})
	page := h.dock(browser.OBS30, "ana", browser.Options{Width: 460})
	connect(page, obs)
	page.ClickText("Add Who speaks to the current scene")
	page.WaitText("This OBS was built without browser sources.")

	t.Log("the key that was created for the source is deleted")
	page.WaitFor(`(async () => (await (await fetch('../api/views')).json()).views.length === 0)()`)

	t.Log("adding the source by hand always works: its URL is shown once, and the list has the key")
	page.ClickText("Copy a URL that shows Who speaks")
	page.WaitFor(`document.querySelector('#c-source-url')?.value.includes('/source#sdv_')`)
	page.WaitText("never used")
}
