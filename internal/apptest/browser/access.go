package browser

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/chromedp"
)

// axe is axe-core, which finds faults for people who use a screen reader or a keyboard, or who see
// badly. The debugger evaluates it, so that no Content-Security-Policy has to permit it.
var axe = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return "", fmt.Errorf("%w: `make test` installs it", err)
	}
	return string(text), nil
})

// examined contains the skeletons of the pages that were examined. Many tests show the same pages,
// so each skeleton is examined only once.
var examined sync.Map

// ours detects a page of Stagedoor. Pages of stock clients and of sign-in services are not
// examined.
const ours = `document.readyState === 'complete' &&
	[...document.scripts].some(s => new URL(s.src || 'x:').pathname.includes('/static/'))`

// skeleton is a script that returns the parts of a page that decide about the findings: elements,
// attributes and the theme.
const skeleton = `(() => {
	const names = ['class', 'role', 'lang', 'dir', 'type', 'hidden', 'disabled', 'tabindex', 'open'];
	const of = e => [e.tagName, ...names.map(n => e.getAttribute(n)), ...[...e.attributes].filter(a => a.name.startsWith('aria-')).map(a =>
		/label$|valuenow|-text$/.test(a.name) ? a.name : a.name + a.value), e.childNodes.length > 0].join(' ');
	return [location.pathname, document.title !== '', document.documentElement.dataset.theme, matchMedia('(prefers-color-scheme: light)').matches,
		...[...document.querySelectorAll('*')].map(of)].join('\n');
})()`

// findings is a script that runs axe-core and adds a check that axe-core lacks: an element with
// Hebrew or Arabic text needs a direction of its own. Otherwise the text has the wrong order, and
// loses its beginning if it is cut off.
const findings = `(async () => {
	const enabled = { enabled: true };
	const rules = { 'label-content-name-mismatch': enabled };
	// OBS shows a browser source as part of the video, so its page has no heading.
	if (location.pathname.endsWith('/source')) rules['page-has-heading-one'] = { enabled: false };
	const { violations } = await axe.run(document, { resultTypes: ['violations'], rules });
	const list = violations.flatMap(v => v.nodes.map(n =>
		v.id + ': ' + n.target.join(' ') + ': ' + n.failureSummary.replace(/\s+/g, ' ') + ': ' + n.html.slice(0, 200)));
	const own = e => [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join('').trim();
	const backward = [...document.body.querySelectorAll('*')].filter(e =>
		/^[\u0590-\u08ff]/.test(own(e)) && getComputedStyle(e).direction !== 'rtl');
	return [...list, ...backward.map(e => 'dir="auto" is missing: ' + e.outerHTML.slice(0, 200))];
})()`

// Accessible fails the test if axe-core has findings on the current page. Every page of Stagedoor
// is also examined at the end of its test.
func (p *Page) Accessible() {
	p.t.Helper()
	list, err := p.examine()
	if err != nil {
		p.fail("axe-core: %v", err)
	}
	for _, finding := range list {
		p.t.Errorf("the page in %s is not accessible: %s", p.engine, finding)
	}
}

// examine returns the findings of axe-core on the current page, unless a page with the same
// skeleton was examined before.
func (p *Page) examine() ([]string, error) {
	script, err := axe()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(p.ctx, waitLimit)
	defer cancel()
	if is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](ours)); err != nil || !is {
		return nil, err
	}
	bones, err := chromedp.Run(ctx, chromedp.Evaluate[string](skeleton))
	if err != nil {
		return nil, err
	}
	if _, known := examined.LoadOrStore(sha256.Sum256([]byte(bones)), true); known {
		return nil, nil
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script+"\n;true")); err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.Evaluate[[]string](findings, chromedp.EvalAwaitPromise))
}

// examineAtEnd examines the page with which its test ends. The test does not fail if that page
// navigates at that moment, or if its browser has ended.
func (p *Page) examineAtEnd() {
	p.t.Helper()
	p.mu.Lock()
	closed := p.closing
	p.mu.Unlock()
	if closed || p.t.Failed() {
		return
	}
	list, err := p.examine()
	if err != nil {
		leaves := func(word string) bool { return strings.Contains(err.Error(), word) }
		if !slices.ContainsFunc([]string{"context", "navigat", "collected", "closed"}, leaves) {
			p.t.Errorf("the page in %s cannot be examined: %v", p.engine, err)
		}
		return
	}
	for _, finding := range list {
		p.t.Errorf("the page in %s is not accessible: %s", p.engine, finding)
	}
}
