package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Every wait polls the page until its condition holds, or until the limit has passed. The limit is
// long because the machine may be overloaded.
const (
	waitLimit = time.Minute
	pollPause = 50 * time.Millisecond
)

// A Page is one tab. A method that fails ends the test, and prints the text of the page and a
// screenshot. Only the goroutine of the test may call methods.
type Page struct {
	t       testing.TB
	engine  Engine
	options Options
	process *process
	ctx     context.Context

	mu       sync.Mutex
	closing  bool
	allowed  []string
	problems []string // faults of the page
}

// Tab opens another page of the same browser, with the same profile and cookies.
func (p *Page) Tab() *Page {
	p.t.Helper()
	tab := &Page{t: p.t, engine: p.engine, options: p.options, process: p.process,
		allowed: p.allowed}
	tab.open(p.ctx)
	return tab
}

// Goto opens the address and waits until it has loaded.
func (p *Page) Goto(url string) {
	p.t.Helper()
	p.load("open "+url, func(ctx context.Context) (bool, error) {
		answer, err := chromedp.Call(ctx, page.Navigate, page.NavigateParams{URL: url})
		if err == nil && answer.ErrorText != "" {
			err = errors.New(answer.ErrorText)
		}
		sameDocument := answer.LoaderID == ""
		return !sameDocument, err
	})
}

// Reload reloads the page.
func (p *Page) Reload() {
	p.t.Helper()
	p.load("reload", func(ctx context.Context) (bool, error) {
		_, err := chromedp.Call(ctx, page.Reload, page.ReloadParams{})
		return true, err
	})
}

// load calls a function that begins to load a document, and waits until that document is complete.
// The time origin tells documents apart. chromedp would wait for events of the browser, and on a
// busy machine it has missed them.
func (p *Page) load(what string, begin func(context.Context) (loads bool, err error)) {
	p.t.Helper()
	var before float64
	p.poll("the page to answer", func(ctx context.Context) (_ string, err error) {
		before, err = chromedp.Run(ctx, chromedp.Evaluate[float64](`performance.timeOrigin`))
		return "", err
	})
	ctx, cancel := context.WithTimeout(p.ctx, waitLimit)
	defer cancel()
	loads, err := begin(ctx)
	if err != nil {
		p.fail("%s: %v", what, err)
	}
	if loads {
		p.wait("the page to load", fmt.Sprintf(
			`performance.timeOrigin !== %v && document.readyState === 'complete'`, before))
	}
}

// Back goes to the previous page, as the button of the browser does. It does not wait for that
// page.
func (p *Page) Back() {
	p.t.Helper()
	// history.back itself could end the page before the browser answers the evaluation.
	p.Eval(`void setTimeout(() => history.back())`, nil)
}

// Click waits until the first visible element of a CSS selector is enabled and uncovered, and
// clicks it with the mouse.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.click("css", selector)
}

// ClickText clicks the button, link, tab, label or summary with exactly this text or accessible
// name.
func (p *Page) ClickText(text string) {
	p.t.Helper()
	p.click("text", text)
}

func (p *Page) click(how, what string) {
	p.t.Helper()
	p.poll(fmt.Sprintf("click %q", what), func(ctx context.Context) (why string, err error) {
		spot, err := chromedp.Run(ctx, chromedp.Evaluate[struct {
			Why  string
			X, Y float64
		}](call(spotToClick, how, what), chromedp.EvalAwaitPromise))
		if err != nil || spot.Why != "" {
			return spot.Why, err
		}
		if err := chromedp.Do(ctx, chromedp.MouseClickXY(spot.X, spot.Y)); err != nil {
			return "", err
		}
		missed, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.clickMissed === true`))
		if missed && err == nil {
			return "it moved away from under the mouse", nil
		}
		return "", nil // the click may have opened another page
	})
}

// Type replaces the value of the field of a CSS selector.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.Click(selector)
	p.Write(text)
}

var keys = map[string]string{
	"Enter": kb.Enter, "Tab": kb.Tab, "Escape": kb.Escape, "Space": " ",
	"ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight, "Home": kb.Home, "End": kb.End,
}

// Press presses a key in the focused element. The key is a letter or a name in `keys`.
func (p *Page) Press(key string) {
	p.t.Helper()
	if named, ok := keys[key]; ok {
		key = named
	}
	if err := p.do(chromedp.KeyEvent(key)); err != nil {
		p.fail("press %q: %v", key, err)
	}
}

// Write types text into the focused field, in place of its value.
func (p *Page) Write(text string) {
	p.t.Helper()
	p.Eval(`document.activeElement.select?.()`, nil)
	_, err := chromedp.Call(p.ctx, input.InsertText, input.InsertTextParams{Text: text})
	if err != nil {
		p.fail("write %q: %v", text, err)
	}
}

// inFocus reports whether the element with a CSS selector or an exact label has the focus. It also
// returns the name of the focused element, and whether its focus is visible.
const inFocus = `wanted => {
	const at = document.activeElement;
	if (!at || at === document.body) return { name: 'nothing', seen: true }; // it is still loading
	const style = getComputedStyle(at);
	const label = (at.getAttribute('aria-label') || at.innerText || '').trim();
	const fits = /[#[]/.test(wanted) ? at.matches(wanted) : label === wanted;
	const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 ||
		style.boxShadow !== 'none';
	const box = at.getBoundingClientRect();
	const within = box.bottom > 0 && box.top < innerHeight;
	return { fits, seen: seen && within, name: at.tagName.toLowerCase() + ' ' + (label || at.id || at.name || '') };
}`

// TabTo presses Tab until the element has the focus. It fails if Tab never reaches the element, or
// if an element on the way shows no visible focus.
func (p *Page) TabTo(wanted string) {
	p.t.Helper()
	var way []string
	p.poll("Tab to "+wanted, func(context.Context) (string, error) {
		way = nil
		for range 80 {
			p.Press("Tab")
			var at struct {
				Fits, Seen bool
				Name       string
			}
			p.Eval(call(inFocus, wanted), &at)
			if !at.Seen {
				p.fail("%s has the focus, and nobody can see it", at.Name)
			}
			if at.Fits {
				return "", nil
			}
			way = append(way, strings.Join(strings.Fields(at.Name), " "))
		}
		return strings.Join(way, ", "), nil
	})
}

// WaitText waits until the page shows the text.
func (p *Page) WaitText(text string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("the text %q", text), call(`text => document.body?.innerText.includes(text)`, text))
}

// WaitNoText waits until the page no longer shows the text.
func (p *Page) WaitNoText(text string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("the text %q to go", text), call(`text => !document.body?.innerText.includes(text)`, text))
}

// WaitVisible waits until an element of the CSS selector can be seen.
func (p *Page) WaitVisible(selector string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("%q to be visible", selector),
		call(findVisible, "css", selector)+" !== undefined")
}

// WaitGone waits until no element of the CSS selector can be seen.
func (p *Page) WaitGone(selector string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("%q to go", selector), call(findVisible, "css", selector)+" === undefined")
}

// WaitFor waits until a JavaScript expression, or the promise that it returns, is truthy. An
// exception counts as false.
func (p *Page) WaitFor(expression string) {
	p.t.Helper()
	p.wait(expression, expression)
}

func (p *Page) wait(what, expression string) {
	p.t.Helper()
	p.poll("wait for "+what, func(ctx context.Context) (string, error) {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](
			fmt.Sprintf("(async () => !!(await (%s)))()", expression), chromedp.EvalAwaitPromise))
		if err != nil || holds {
			return "", err
		}
		return "not so", nil
	})
}

// WaitEmpty waits until the given expression gives an empty list of texts. If it does not, the
// failure shows the list.
func (p *Page) WaitEmpty(expression string) {
	p.t.Helper()
	p.poll("wait until nothing is in "+expression, func(ctx context.Context) (string, error) {
		left, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](
			expression, chromedp.EvalAwaitPromise))
		return strings.Join(left, "; "), err
	})
}

// poll calls the given function until it returns no reason to wait.
func (p *Page) poll(what string, ask func(context.Context) (why string, err error)) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, waitLimit)
	defer cancel()
	last := "the page did not answer"
	for {
		why, err := ask(ctx)
		switch {
		case err == nil && why == "":
			return
		case ctx.Err() != nil:
			p.fail("%s: %s after %v", what, last, waitLimit)
		case err != nil:
			last = err.Error() // the document may be loading
		default:
			last = why
		}
		select {
		case <-time.After(pollPause):
		case <-ctx.Done():
		}
	}
}

// Eval evaluates a JavaScript expression, awaits a promise, and decodes its value into `out`,
// unless `out` is nil. Several statements must be in a function: (() => { … })().
func (p *Page) Eval(expression string, out any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, waitLimit)
	defer cancel()
	// The value is passed as JSON text, so that undefined and null are not errors.
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		fmt.Sprintf("(async () => JSON.stringify(await (%s)) ?? 'null')()",
			strings.TrimRight(expression, "; \n")), chromedp.EvalAwaitPromise))
	if err != nil {
		p.fail("evaluate %s: %v", expression, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		p.fail("evaluate %s: got %s: %v", expression, text, err)
	}
}

// Text returns the visible text of the page.
func (p *Page) Text() string {
	p.t.Helper()
	var text string
	p.Eval(`document.body?.innerText ?? ''`, &text)
	return text
}

// Screenshot writes the visible part of the page as a PNG, and creates the file's folder.
func (p *Page) Screenshot(path string) {
	p.t.Helper()
	if err := p.shoot(path, chromedp.CaptureScreenshot()); err != nil {
		p.fail("screenshot: %v", err)
	}
}

// FullScreenshot writes the whole page as a PNG, including the parts that need scrolling.
func (p *Page) FullScreenshot(path string) {
	p.t.Helper()
	if err := p.shoot(path, chromedp.FullScreenshot(100)); err != nil {
		p.fail("screenshot: %v", err)
	}
}

func (p *Page) shoot(path string, action chromedp.Action[[]byte]) error {
	ctx, cancel := context.WithTimeout(p.ctx, waitLimit)
	defer cancel()
	png, err := chromedp.Run(ctx, action)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, png, 0o644)
}

// Cookies returns the cookies that the browser would send to the page's address, including HttpOnly
// ones.
func (p *Page) Cookies() []*http.Cookie {
	p.t.Helper()
	got, err := chromedp.Call(p.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		p.fail("cookies: %v", err)
	}
	cookies := make([]*http.Cookie, 0, len(got.Cookies))
	for _, c := range got.Cookies {
		cookies = append(cookies, cookie(c))
	}
	return cookies
}

func cookie(c *network.Cookie) *http.Cookie {
	sameSite := map[network.CookieSameSite]http.SameSite{
		network.CookieSameSiteLax:    http.SameSiteLaxMode,
		network.CookieSameSiteStrict: http.SameSiteStrictMode,
		network.CookieSameSiteNone:   http.SameSiteNoneMode}
	out := &http.Cookie{
		Name: c.Name, Value: c.Value, Path: c.Path, Domain: c.Domain, HttpOnly: c.HTTPOnly,
		Secure: c.Secure, SameSite: sameSite[c.SameSite],
	}
	if !c.Session {
		out.Expires = time.Unix(int64(c.Expires), 0)
	}
	return out
}

// Clipboard returns the text in the clipboard.
func (p *Page) Clipboard() string {
	p.t.Helper()
	if err := p.permit(p.ctx, "clipboard-read", browser.PermissionSettingGranted); err != nil {
		p.fail("clipboard: %v", err)
	}
	var text string
	p.Eval(`navigator.clipboard.readText()`, &text)
	return text
}

// Resize changes the size of the window.
func (p *Page) Resize(width, height int) {
	p.t.Helper()
	p.options.Width, p.options.Height = width, height
	if err := p.do(chromedp.EmulateViewport(int64(width), int64(height))); err != nil {
		p.fail("resize: %v", err)
	}
}

// UserAgent returns the browser's user agent.
func (p *Page) UserAgent() string {
	p.t.Helper()
	var agent string
	p.Eval(`navigator.userAgent`, &agent)
	return agent
}

func (p *Page) do(action chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(p.ctx, waitLimit)
	defer cancel()
	return chromedp.Do(ctx, action)
}

// call returns a call of a JavaScript function with these arguments.
func call(function string, args ...any) string {
	list, err := json.Marshal(args)
	if err != nil {
		panic(err) // cannot happen: all arguments are texts
	}
	return fmt.Sprintf("(%s)(...%s)", function, list)
}

// findVisible returns the first visible element by a CSS selector or by its text.
const findVisible = `(how, what) => {
	const visible = e => {
		const box = e.getBoundingClientRect();
		return box.width > 0 && box.height > 0 && getComputedStyle(e).visibility === 'visible';
	};
	const clickable = 'button, a, summary, label, option, input[type=submit], input[type=button], [role=button], [role=tab], [role=menuitem]';
	const named = e => [e.innerText, e.value, e.getAttribute('aria-label'), e.title].some(name => typeof name === 'string' && name.trim() === what);
	const all = how === 'css' ? document.querySelectorAll(what) : [...document.querySelectorAll(clickable)].filter(named);
	return [...all].find(visible);
}`

// spotToClick returns the point to click, or the reason why no click is possible yet.
const spotToClick = `async (how, what) => {
	const e = (` + findVisible + `)(how, what);
	if (!e) return {why: 'it is not there, or not visible'};
	if (e.matches(':disabled') || e.closest('[aria-disabled=true], [inert]')) return {why: 'it is disabled'};
	e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});
	const before = e.getBoundingClientRect();
	await new Promise(resolve => setTimeout(resolve, 30));
	const now = e.getBoundingClientRect();
	if (!e.isConnected || before.x !== now.x || before.y !== now.y) return {why: 'it does not stand still'};
	const box = e.getClientRects()[0];
	const x = box.x + box.width / 2, y = box.y + box.height / 2;
	const top = document.elementFromPoint(x, y);
	if (!top || !e.contains(top)) return {why: 'it is covered by ' + (top?.outerHTML ?? 'nothing').slice(0, 200)};
	// The page may still move the element while the mouse presses it. A press that hits another
	// element is blocked; a release on another element makes no click (a select needs none). Both
	// are tried again.
	window.clickMissed = true;
	let elsewhere = false;
	const guard = event => {
		if (event.type === 'pointerdown') elsewhere = !e.contains(event.target);
		if (elsewhere) { event.preventDefault(); event.stopImmediatePropagation(); return; }
		if (event.type === 'click' || e.matches('select')) window.clickMissed = !e.contains(event.target);
	};
	const types = ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click'];
	window.clickGuard?.();
	window.clickGuard = () => { for (const type of types) window.removeEventListener(type, guard, true); };
	for (const type of types) window.addEventListener(type, guard, true);
	return {why: '', x, y};
}`
