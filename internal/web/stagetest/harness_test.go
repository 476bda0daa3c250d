// Package stagetest tests browser sources, and the tab People, both in the dock and as a separate
// dock. It uses real browsers, a real server and real media.
package stagetest

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// A harness is a server with the operator olga and the broadcasters ana and bea.
type harness struct {
	*apptest.App
	t              testing.TB
	olga, ana, bea *apptest.Client
}

func open(t testing.TB, flags ...string) *harness {
	t.Helper()
	app := replicas.App(t, flags...)
	olga := app.Operator()
	return &harness{App: app, t: t, olga: olga,
		ana: app.Broadcaster(olga, "ana", "publish", "subscribe"),
		bea: app.Broadcaster(olga, "bea", "publish", "subscribe")}
}

// publish publishes a picture and a tone.
func (h *harness) publish(who *apptest.Client, o rtcpeer.PublishOptions) *rtcpeer.Publisher {
	h.t.Helper()
	token := who.Token("publish")
	p, err := rtcpeer.Publish(h.t, rtcpeer.HTTP(token.Endpoint, token.Token), o)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// dock opens the tab People as a separate dock, and signs a user in.
func (h *harness) dock(engine browser.Engine, name string, o browser.Options) *browser.Page {
	h.t.Helper()
	page := browser.Open(h.t, engine, o)
	page.Goto(h.URL + "/dock/stage")
	page.Type("#f-name", name)
	page.Type("#f-password", apptest.Password)
	page.ClickText("Sign in")
	page.WaitText("joined")
	return page
}

// side creates a second stage, which ana may watch.
func (h *harness) side() web.Stage {
	h.t.Helper()
	var side web.Stage
	h.olga.Must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Name: "side"}, &side)
	grant := "/api/users/" + string(h.ana.Me().ID) + "/grants/" + url.PathEscape(string(side.ARN))
	h.olga.Must(http.StatusNoContent, "PUT", grant,
		web.GrantRequest{Capabilities: []string{"subscribe"}}, nil)
	return side
}

// source opens the page of a view, as a browser source in OBS does.
func (h *harness) source(
	engine browser.Engine, who *apptest.Client, view string,
) (*browser.Page, web.CreatedView) {
	h.t.Helper()
	made := h.view(who, view)
	page := browser.Open(h.t, engine, browser.Options{Width: 640, Height: 360})
	page.Goto(made.URL)
	return page, made
}

func (h *harness) view(who *apptest.Client, view string) (made web.CreatedView) {
	h.t.Helper()
	who.Must(http.StatusCreated, "POST", "/api/views",
		map[string]any{"stage": who.MainStage(), "view": view}, &made)
	return made
}

// tile is the CSS selector of a person's tile.
func tile(who *apptest.Client) string { return `article[data-user="` + string(who.Me().ID) + `"]` }

// moves waits until the video that matches the selector shows pictures that change.
func moves(page *browser.Page, selector string) {
	page.WaitFor(`(async () => {
		const video = document.querySelector('` + selector + ` video');
		if (!(video.videoWidth > 0) || getComputedStyle(video).visibility !== 'visible') return false;
		const frames = () => video.getVideoPlaybackQuality().totalVideoFrames;
		const before = frames();
		await new Promise(resolve => setTimeout(resolve, 400));
		return frames() > before;
	})()`)
}

// loud waits until the level meter in the element that matches the selector shows a loud sound.
func loud(page *browser.Page, selector string) {
	page.WaitFor(`Number(/ (\d+)%/.exec(document.querySelector('` + selector + ` .level').style.clipPath)?.[1]) < 70`)
}
