package stagetest

import (
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

func TestMain(m *testing.M) { os.Exit(apptest.Main(browser.Share(m))) }

// sdkFrom serves the file of an SDK from another origin than the pages, as AWS's CDN does.
func sdkFrom(t *testing.T, path string) string {
	t.Helper()
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		http.ServeFile(w, r, path)
	}))
	t.Cleanup(cdn.Close)
	return cdn.URL + "/1.41.0/amazon-ivs-web-broadcast.js"
}

const stockSDK = "../../../node_modules/amazon-ivs-web-broadcast/dist/amazon-ivs-web-broadcast.js"

// studio creates an AWS stage at the emulator, and gives ana and bea access to it.
func (h *harness) studio(t *testing.T) (made web.Stage) {
	t.Helper()
	h.olga.Must(http.StatusCreated, "POST", "/api/stages",
		web.NewStage{Name: "studio", Region: "us-west-2"}, &made)
	for _, who := range []*apptest.Client{h.ana, h.bea} {
		grant := "/api/users/" + string(who.Me().ID) + "/grants/" + url.PathEscape(string(made.ARN))
		h.olga.Must(http.StatusNoContent, "PUT", grant,
			web.GrantRequest{Capabilities: []string{"publish", "subscribe"}}, nil)
	}
	return made
}

func TestTheSamePagesOnAStageOfAWS(t *testing.T) {
	t.Parallel()
	h := open(t, "--ivs-region", "us-west-2", "--ivs-endpoint", apptest.Emulate(t), "--ivs-sdk",
		sdkFrom(t, stockSDK), "--ivs-sdk-integrity", integrity(t, stockSDK))
	studio := h.studio(t)
	goLive := func() *rtcpeer.Publisher {
		var token web.Token
		h.bea.Must(http.StatusCreated, "POST", "/api/tokens",
			map[string]any{"stage": studio.ARN, "for": "publish"}, &token)
		p, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
			rtcpeer.PublishOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}

	page := h.dock(browser.OBS30, "ana", browser.Options{Width: 460})
	choose(page, studio)
	page.WaitText("The stage is empty")
	bea := goLive()
	moves(page, tile(h.bea))
	loud(page, tile(h.bea))

	t.Log("a participant is hidden and shown again")
	page.ClickText("Hide bea for me")
	page.WaitGone(tile(h.bea))
	page.ClickText("Show bea")
	moves(page, tile(h.bea))

	t.Log("the browser source and the chat work as on a local stage")
	var made web.CreatedView
	h.ana.Must(http.StatusCreated, "POST", "/api/views",
		map[string]any{"stage": studio.ARN, "view": h.bea.Me().ID}, &made)
	source := browser.Open(t, browser.OBS31, browser.Options{Width: 640, Height: 360})
	source.Goto(made.URL)
	shows(source, 1)
	page.Type("#say", "Hello from AWS")
	page.Press("Enter")
	page.WaitFor(`document.querySelector('.messages')?.innerText.includes('Hello from AWS')`)

	t.Log("the token of the source cannot write to the chat")
	address, _ := url.Parse(made.URL)
	key := h.Browser()
	key.Key = address.Fragment
	var token web.ViewToken
	key.Must(http.StatusCreated, "POST", "/api/views/token", nil, &token)
	key.Key = token.Token.Token
	key.Refused(http.StatusForbidden, "view_only", "POST",
		"/api/stages/"+url.PathEscape(string(studio.ARN))+"/chat", web.NewMessage{Text: "hi"})

	t.Log("the participant leaves and comes back")
	bea.Close()
	page.WaitGone(tile(h.bea))
	transparent(source)
	goLive()
	moves(page, tile(h.bea))
	shows(source, 1)

	t.Log("a fresh token in time: the new session plays before the old one ends")
	page.Eval(`(real => { window.old = document.querySelector('video').srcObject; Date.now = () => real() + 10 * 3600_000; })(Date.now)`, nil)
	page.WaitFor(`document.querySelector('video').srcObject !== window.old`)
	moves(page, tile(h.bea))
	page.WaitNoText("connection lost")

	t.Log("when the key is revoked, the source is empty")
	h.ana.Must(http.StatusNoContent, "DELETE", "/api/views/"+made.ID, nil, nil)
	source.WaitFor(`document.documentElement.dataset.phase === 'refused'`)
	transparent(source)

	t.Log("/watch plays it as well, until the login ends")
	watch := page.Tab()
	watch.Goto(h.URL + "/watch")
	watch.WaitVisible("h1")
	pick(watch, studio)
	moves(watch, "article.video")
	watch.ClickText("Switch the sound on")
	watch.WaitFor(`document.querySelector("article.video video").muted === false`)
	h.ana.Must(http.StatusNoContent, "DELETE", "/api/logins", nil, nil)
	watch.WaitVisible("#f-name")
}

// pick picks the stage from the list of /watch.
func pick(page *browser.Page, st web.Stage) {
	page.Eval(`(select => { select.value = '`+string(st.ARN)+`'; select.dispatchEvent(new Event('change')); })(document.querySelector('h1 + select'))`, nil)
}

// choose picks the stage from the list of the tab People.
func choose(page *browser.Page, st web.Stage) {
	page.Eval(`(select => { select.value = '`+string(st.ARN)+`'; select.dispatchEvent(new Event('change')); })(document.querySelector('.bar select'))`, nil)
}

func TestAnotherSDKThanThePinnedOneIsNotRun(t *testing.T) {
	t.Parallel()
	changed := filepath.Join(t.TempDir(), "sdk.js")
	if err := os.WriteFile(changed, []byte(`document.title = 'pwned'`), 0o600); err != nil {
		t.Fatal(err)
	}
	h := open(t, "--ivs-region", "us-west-2", "--ivs-endpoint", apptest.Emulate(t), "--ivs-sdk",
		sdkFrom(t, changed), "--ivs-sdk-integrity", integrity(t, stockSDK))
	studio := h.studio(t)
	page := h.dock(browser.Current, "ana", browser.Options{Width: 460})
	page.Allow("Failed to find a valid digest")
	choose(page, studio)
	page.WaitText("Amazon’s web SDK could not be loaded.")
	page.WaitFor(`document.title !== 'pwned'`)
}

func integrity(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum384(text)
	return "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}
