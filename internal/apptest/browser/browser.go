// Package browser drives real browsers in tests: the current Chromium, and the two in which the
// docks of OBS run.
//
//	page := browser.Open(t, browser.OBS30, browser.Options{Width: 320, Height: 640})
//	page.Goto(app.URL + "/dock")
//	page.Type("#name", "ana")
//	page.ClickText("Sign in")
//	page.WaitText("Signed in as ana")
//
// Every page except a Tab has a profile of its own, and can reach only this machine. A logged
// error, an uncaught exception or a violation of the Content-Security-Policy fails the test at its
// end, unless Allow permitted it.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/stagedoor/stagedoor/internal/apptest/quick"
)

// An Engine is a build of Chromium.
type Engine string

// The engines that Stagedoor is written for.
const (
	Current Engine = "Chromium"     // the Chromium of the system, without windows and menus
	OBS30   Engine = "Chromium 103" // the docks of OBS 28 to 30
	OBS31   Engine = "Chromium 127" // the docks of OBS 31 and 32

	// The whole Chromium of the system, with the cache of pages for "Back" that Current lacks. It
	// needs much more CPU time.
	Desktop Engine = "desktop Chromium"
)

// Engines lists the engines for a test that runs in each of them.
func Engines() []Engine { return []Engine{Current, OBS30, OBS31} }

// inDock reports whether the engine is one that OBS uses for docks.
func (e Engine) inDock() bool { return e != Current && e != Desktop }

// agent returns the text that OBS adds to the user agent in docks.
func (e Engine) agent() string {
	switch e {
	case OBS30:
		return "OBS/30.2.3"
	case OBS31:
		return "OBS/32.0.4"
	}
	return ""
}

// path returns the path of the engine's binary, which `make test` installs.
func (e Engine) path() (string, error) {
	if e.inDock() {
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		number := strings.TrimPrefix(string(e), "Chromium ")
		path := filepath.Join(root, ".cache", "chromium-"+number, "chromium")
		_, err = os.Stat(path)
		return path, err
	}
	// The headless shell needs 40 % less CPU time than the whole Chromium.
	if e == Current {
		return exec.LookPath("chromium-headless-shell")
	}
	return exec.LookPath("chromium")
}

// moduleRoot returns the folder of go.mod; tests run in the folder of their package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// Options describe the browser. The zero value is a dock of 320 × 640 in the engines of OBS, and a
// window of 1280 × 800 in the current one.
type Options struct {
	Width, Height int
	// pages get a camera with a test picture and a microphone with beeps, without a prompt
	FakeMedia   bool
	ColorScheme string // "light" or "dark"
	Lang        string // preferred language, such as "de-AT"
	// added to the user agent; "OBS/30.2.3" or similar by default in the engines of OBS
	UserAgent string
}

func (o Options) withDefaults(e Engine) Options {
	width, height := 1280, 800
	if e.inDock() {
		width, height = 320, 640
	}
	if o.Width == 0 {
		o.Width = width
	}
	if o.Height == 0 {
		o.Height = height
	}
	if o.UserAgent == "" {
		o.UserAgent = e.agent()
	}
	if o.Lang == "" {
		o.Lang = "en-US"
	}
	return o
}

// machine limits how many tests of one binary have pages open at once. Two cores can decode the
// video of two pages, and not of ten.
var machine = newTurns(2)

// startLimit is how long a browser may take to start on a busy machine.
const startLimit = time.Minute

// Open opens a blank page with a fresh profile. The page ends with the test. A test may open
// several pages. For the first one, Open waits until it is the turn of the test.
func Open(t testing.TB, engine Engine, options Options) *Page {
	t.Helper()
	quick.LeavesOut(t, "browsers")
	path, err := engine.path()
	if err != nil {
		t.Fatalf("%s is not on this machine (%v): `make test` installs it", engine, err)
	}
	t.Cleanup(machine.take(t.Name()))
	p := &Page{t: t, engine: engine, options: options.withDefaults(engine)}
	p.process = processFor(t, kind{engine, options.FakeMedia}, path)
	p.open(p.process.ctx, chromedp.WithNewBrowserContext())
	return p
}

// processFor returns the browser that the tests share, or one that ends with the test.
func processFor(t testing.TB, k kind, path string) *process {
	t.Helper()
	get := func() (*process, error) { return start(k, path) }
	if shared != nil {
		get = func() (*process, error) { return shared.get(k, path) }
	}
	b, err := get()
	if err != nil {
		t.Fatalf("%s does not start: %v", k.engine, err)
	}
	if shared == nil {
		t.Cleanup(b.end)
	}
	return b
}

// LAN is a host name of this machine, but to the browser it looks like another machine: pages over
// http at this name are no secure contexts.
const LAN = "stagedoor.lan"

// flags keep the browser on this machine and awake. See also
// https://peter.sh/experiments/chromium-command-line-switches/
func flags(k kind, path string) []chromedp.ExecAllocatorOption {
	list := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		// Only the names of this machine resolve, so that a page that loads anything from elsewhere
		// fails its test. LAN resolves, too. It stands for another machine, which browsers trust
		// less than this one.
		chromedp.Flag("host-resolver-rules", "MAP "+LAN+
			" 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE "+
			"*.localhost"),
		// Media stays on the loopback interface, and the browser announces no names by multicast.
		chromedp.Flag("allow-loopback-in-peer-connection", true),
		// The suggestions below the address bar are a page with a renderer of its own, which took a
		// quarter of the CPU time of a short test.
		chromedp.Flag("disable-features",
			"WebRtcHideLocalIpsWithMdns,Translate,MediaRouter,OptimizationHints,"+
				"WebUIOmniboxPopup,WebUIOmniboxAimPopup"),
	)
	if k.fakeMedia {
		list = append(list,
			chromedp.Flag("use-fake-device-for-media-stream", true),
			chromedp.Flag("use-fake-ui-for-media-stream", true))
	}
	return list
}

// open creates the page and its context. It is called once per page.
func (p *Page) open(parent context.Context, options ...chromedp.ContextOption) {
	p.t.Helper()
	ctx, cancel := chromedp.NewContext(parent, append(options, chromedp.WithListener(p.listen))...)
	p.ctx = ctx
	p.t.Cleanup(func() { p.close(cancel) })
	// The target ends with the context of the first action, so this context has no deadline. A
	// timer replaces the deadline.
	late := time.AfterFunc(startLimit, cancel)
	err := chromedp.Do(ctx)
	late.Stop()
	if err != nil {
		p.t.Fatalf("%s opens no page: %v", p.engine, err)
	}
	if err := p.become(ctx); err != nil {
		p.t.Fatalf("%s does not take its settings: %v", p.engine, err)
	}
}

// become applies the options to the page.
func (p *Page) become(ctx context.Context) error {
	version, err := chromedp.CallBrowser(ctx, browser.GetVersion, cdp.Empty{})
	if err != nil {
		return err
	}
	agent := strings.ReplaceAll(version.UserAgent, "HeadlessChrome", "Chrome")
	if p.options.UserAgent != "" {
		agent += " " + p.options.UserAgent
	}
	if _, err := chromedp.Call(ctx, emulation.SetUserAgentOverride,
		emulation.SetUserAgentOverrideParams{UserAgent: agent,
			AcceptLanguage: p.options.Lang}); err != nil {
		return err
	}
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{
			Width: int64(p.options.Width), Height: int64(p.options.Height),
			DeviceScaleFactor: 1}); err != nil {
		return err
	}
	// Several pages are open at once, and a page in the background must behave like a visible one.
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled,
		emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		return err
	}
	if p.options.ColorScheme != "" {
		scheme := []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: p.options.ColorScheme},
		}
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia,
			emulation.SetEmulatedMediaParams{Features: scheme}); err != nil {
			return err
		}
	}
	// The docks of OBS answer no permission request, so the clipboard API fails there. A desktop
	// browser permits it. The headless shell would not.
	clipboard := browser.PermissionSettingGranted
	if p.engine.inDock() {
		clipboard = browser.PermissionSettingDenied
	}
	return p.permit(ctx, "clipboard-write", clipboard)
}

func (p *Page) permit(ctx context.Context, name string, setting browser.PermissionSetting) error {
	_, err := chromedp.CallBrowser(ctx, browser.SetPermission, browser.SetPermissionParams{
		Permission: &browser.PermissionDescriptor{Name: name}, Setting: setting,
		BrowserContextID: chromedp.FromContext(ctx).BrowserContextID})
	return err
}
