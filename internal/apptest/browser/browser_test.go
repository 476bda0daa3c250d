package browser_test

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
)

// serve serves a small site that uses everything that Stagedoor's pages use: modules, fetch,
// server-sent events, a WebSocket, a Content-Security-Policy.
func serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	files := http.FileServer(http.Dir("testdata"))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.Query().Has("free") {
			w.Header().Set("Content-Security-Policy",
				"default-src 'self'; connect-src 'self' ws://127.0.0.1:*")
		}
		http.SetCookie(w, &http.Cookie{
			Name: "seen", Value: "yes", HttpOnly: true, Path: "/", MaxAge: 3600,
			SameSite: http.SameSiteLaxMode,
		})
		files.ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /greet", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: tick\ndata: 1\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("GET /socket", echo)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"echo"}})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, text, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, text) != nil {
			return
		}
	}
}

// inEach runs the test in every engine.
func inEach(
	t *testing.T, options browser.Options, test func(t *testing.T, page *browser.Page,
		engine browser.Engine),
) {
	t.Helper()
	for _, engine := range browser.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			test(t, browser.Open(t, engine, options), engine)
		})
	}
}

func TestWhatThePagesOfStagedoorNeedRunsInEveryEngine(t *testing.T) {
	t.Parallel()
	url := serve(t)
	inEach(t, browser.Options{}, func(t *testing.T, page *browser.Page, engine browser.Engine) {
		page.Goto(url + "/page.html")
		page.Type("#name", "Ana")
		page.ClickText("Greet") // a module enables the button
		page.WaitText("Good evening, Ana!")
		page.WaitText("tick 1")
		page.WaitText("over the socket")
		page.ClickText("Copy the greeting")
		page.WaitFor(`window.copiedBy`)

		var way string
		page.Eval(`window.copiedBy`, &way)
		want := "execCommand"
		if engine == browser.Current {
			want = "api"
		}
		if way != want {
			t.Errorf("copied by %q, want %q", way, want)
		}
		if got := page.Clipboard(); got != "Good evening, Ana!" {
			t.Errorf("the clipboard: got %q, want the copied text", got)
		}
	})
}

// TestAClickOnWhatMovesIsTriedAgain checks that a click is repeated if the button moves while the
// mouse presses it. In that case, the browser dispatches no click event.
func TestAClickOnWhatMovesIsTriedAgain(t *testing.T) {
	t.Parallel()
	url := serve(t)
	inEach(t, browser.Options{}, func(t *testing.T, page *browser.Page, _ browser.Engine) {
		page.Goto(url + "/page.html?free")
		page.WaitText("tick 1")
		page.WaitFor(`(() => {
			window.clicks = 0;
			const moving = Object.assign(document.createElement('button'), { textContent: 'Moving' });
			const above = Object.assign(document.createElement('p'), { style: 'height: 0' });
			moving.addEventListener('pointerdown', () => { above.style.height = '200px'; }, { once: true });
			moving.onclick = () => { clicks++; };
			document.body.append(above, moving);
			return true;
		})()`)
		page.ClickText("Moving")
		var clicks int
		if page.Eval(`window.clicks`, &clicks); clicks != 1 {
			t.Errorf("the button got %d clicks, want 1", clicks)
		}
	})
}

func TestEveryEngineReceivesH264(t *testing.T) {
	t.Parallel()
	url := serve(t)
	inEach(t, browser.Options{}, func(t *testing.T, page *browser.Page, _ browser.Engine) {
		page.Goto(url + "/page.html")
		var codec string
		page.Eval(`window.h264Loop()`, &codec)
		if codec != "video/H264" {
			t.Errorf("the codec of the loop: got %q, want H.264", codec)
		}
		page.WaitFor(`document.getElementById('video').videoWidth === 320`)
		page.WaitFor(`document.getElementById('video').currentTime > 0`)
	})
}

func TestTheEnginesAreThoseOfTheDocks(t *testing.T) {
	t.Parallel()
	url := serve(t)
	want := map[browser.Engine][]string{
		browser.Current: {"Chrome/"},
		browser.OBS30:   {"Chrome/103.", " OBS/30."},
		browser.OBS31:   {"Chrome/127.", " OBS/32."},
	}
	inEach(t, browser.Options{Lang: "de-AT", ColorScheme: "dark", Width: 333, Height: 555},
		func(t *testing.T, page *browser.Page, engine browser.Engine) {
			page.Goto(url + "/page.html")
			for _, part := range want[engine] {
				if agent := page.UserAgent(); !strings.Contains(agent, part) {
					t.Errorf("the user agent is %q, want %q in it", agent, part)
				}
			}
			var has bool
			page.Eval(`CSS.supports('selector(:has(a))')`, &has)
			if has != (engine != browser.OBS30) {
				t.Errorf("the browser supports :has(): got %v, want it except in OBS 30", has)
			}
			var seen []any
			page.Eval(`[navigator.language, matchMedia('(prefers-color-scheme: dark)').matches, innerWidth, innerHeight]`, &seen)
			if got := fmt.Sprint(seen); got != "[de-AT true 333 555]" {
				t.Errorf("language, colour scheme and size of the page: got %s, want what "+
					"Options set", got)
			}
		})
}

func TestFakeCameraAndMicrophone(t *testing.T) {
	t.Parallel()
	page := browser.Open(t, browser.Current, browser.Options{FakeMedia: true})
	page.Goto(serve(t) + "/page.html")
	var kinds []string
	page.Eval(`navigator.mediaDevices.getUserMedia({audio: true, video: true}).then(s => s.getTracks().map(t => t.kind).sort())`, &kinds)
	if !slices.Equal(kinds, []string{"audio", "video"}) {
		t.Errorf("the fake media: got the tracks %v, want audio and video", kinds)
	}
}

func TestWhatAPageDoesWrongIsCollected(t *testing.T) {
	t.Parallel()
	url := serve(t)
	inEach(t, browser.Options{}, func(t *testing.T, page *browser.Page, _ browser.Engine) {
		page.Allow("logged by the page", "thrown by the page", "Content Security Policy")
		page.Goto(url + "/page.html")
		if got := page.Problems(); len(got) > 0 {
			t.Fatalf("problems before the page was used: got %v, want none", got)
		}
		// A 404 does not count as an error of the page.
		page.Eval(`fetch('/nowhere').then(r => r.text())`, nil)
		page.Eval(`console.error('logged by the page', 1, new Error('with a cause'))`, nil)
		page.Eval(`void setTimeout(() => { throw new Error('thrown by the page') })`, nil)
		page.Eval(`void fetch('http://127.0.0.2:1/').catch(() => {})`, nil)

		for _, want := range []string{"logged by the page 1 Error: with a cause",
			"thrown by the page", "Content Security Policy"} {
			waitFor(t, want, func() bool {
				return slices.ContainsFunc(page.Problems(),
					func(p string) bool { return strings.Contains(p, want) })
			})
		}
		if got := strings.Join(page.Problems(), "\n"); strings.Contains(got, "404") {
			t.Errorf("what the network refused is among the problems: %s", got)
		}
	})
}

func TestNothingButThisMachineIsReached(t *testing.T) {
	t.Parallel()
	url := serve(t)
	inEach(t, browser.Options{}, func(t *testing.T, page *browser.Page, _ browser.Engine) {
		page.Goto(url + "/page.html?free") // ?free, because the policy would forbid the request
		var result string
		page.Eval(`fetch('http://stage.example/', {mode: 'no-cors'}).then(() => 'reached', e => e.message)`, &result)
		if result == "reached" {
			t.Errorf("the page reached another host, want only loopback")
		}
	})
}

func TestProfilesAreFreshAndTabsShareOne(t *testing.T) {
	t.Parallel()
	url := serve(t)
	inEach(t, browser.Options{}, func(t *testing.T, page *browser.Page, engine browser.Engine) {
		page.Goto(url + "/page.html")
		page.Eval(`localStorage.setItem('kept', 'here')`, nil)
		cookies := page.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "seen" || !cookies[0].HttpOnly ||
			cookies[0].SameSite != http.SameSiteLaxMode || !cookies[0].Expires.After(time.Now()) {
			t.Errorf("the cookies: got %v, want the one of the page", cookies)
		}
		kept := func(p *browser.Page) (value *string) {
			p.Goto(url + "/page.html")
			p.Eval(`localStorage.getItem('kept')`, &value)
			return value
		}
		if got := kept(page.Tab()); got == nil || *got != "here" {
			t.Errorf("another tab: got %v, want what the first one kept", got)
		}
		if got := kept(browser.Open(t, engine, browser.Options{})); got != nil {
			t.Errorf("another browser: got %q, want nothing", *got)
		}
	})
}

func TestScreenshotShowsThePageAtItsSize(t *testing.T) {
	t.Parallel()
	url := serve(t)
	inEach(t, browser.Options{Width: 250, Height: 400},
		func(t *testing.T, page *browser.Page, engine browser.Engine) {
			page.Goto(url + "/page.html")
			path := filepath.Join(t.TempDir(), "new", "page.png")
			page.Screenshot(path)
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			picture, err := png.Decode(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			if size := picture.Bounds().Size(); size.X != 250 || size.Y != 400 {
				t.Errorf("the picture is %v, want 250 × 400", size)
			}
			first, colours := picture.At(0, 0), 0
			for x := range 250 {
				for y := range 400 {
					if picture.At(x, y) != first {
						colours++
					}
				}
			}
			if colours < 100 {
				t.Errorf("the picture is blank")
			}
		})
}

func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: never came", what)
		}
	}
}
