package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// closeLimit is how long a browser may take to end.
const closeLimit = 10 * time.Second

// Allow permits faults of the page whose message contains one of the texts.
func (p *Page) Allow(texts ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = append(p.allowed, texts...)
}

// Problems returns the logged errors, uncaught exceptions and violated policies so far, including
// permitted ones.
func (p *Page) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.problems)
}

// listen records faults of the page. The goroutine that reads from the browser calls it.
func (p *Page) listen(event any) {
	switch event := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if (event.Type == runtime.ConsoleAPICalledTypeError ||
			event.Type == runtime.ConsoleAPICalledTypeAssert) && !fromSDK(event.StackTrace) {
			p.problem("console: " + texts(event.Args))
		}
	case *runtime.EventExceptionThrown:
		p.problem("uncaught: " + exception(event.ExceptionDetails))
	case *cdplog.EventEntryAdded:
		// A failed request, for example a 401 before signing in, is not a fault of the page. The
		// browser logs it even if the page handles it.
		if event.Entry.Level == cdplog.EntryLevelError &&
			event.Entry.Source != cdplog.EntrySourceNetwork {
			p.problem(string(event.Entry.Source) + ": " + event.Entry.Text)
		}
	}
}

// fromSDK reports whether Amazon's web SDK has logged a message. It also logs errors from which it
// recovers.
func fromSDK(trace *runtime.StackTrace) bool {
	return trace != nil && len(trace.CallFrames) > 0 &&
		strings.HasSuffix(trace.CallFrames[0].URL, "/amazon-ivs-web-broadcast.js")
}

func texts(args []*runtime.RemoteObject) string {
	var words []string
	for _, arg := range args {
		var text string
		switch {
		case json.Unmarshal(arg.Value, &text) == nil:
			words = append(words, text)
		case arg.Preview != nil && arg.Subtype == "" && len(arg.Preview.Properties) > 0:
			for _, member := range arg.Preview.Properties {
				words = append(words, member.Name+"="+member.Value)
			}
		case arg.Description != "":
			words = append(words, arg.Description)
		default:
			words = append(words, string(arg.Value))
		}
	}
	return strings.Join(words, " ")
}

func exception(details *runtime.ExceptionDetails) string {
	text := details.Text
	if details.Exception != nil {
		text += " " + texts([]*runtime.RemoteObject{details.Exception})
	}
	return fmt.Sprintf("%s (%s:%d)", text, details.URL, details.LineNumber+1)
}

func (p *Page) problem(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closing {
		p.problems = append(p.problems, text)
	}
}

// retire stops the collection of faults, since faults while a browser closes do not count.
func (p *Page) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
}

// close closes the page at the end of its test.
func (p *Page) close(cancel context.CancelFunc) {
	p.t.Helper()
	p.examineAtEnd()
	if p.t.Failed() {
		p.t.Log(p.evidence())
	}
	p.retire()
	for _, problem := range p.problems {
		if !slices.ContainsFunc(p.allowed, func(text string) bool {
			return strings.Contains(problem,
				text)
		}) {
			p.t.Errorf("the page in %s: %s", p.engine, problem)
		}
	}
	ctx, stop := context.WithTimeout(p.ctx, closeLimit)
	defer stop()
	_ = chromedp.Cancel(ctx) // a page that has ended counts as closed
	cancel()
}

// fail ends the test. Afterwards `close` prints the text and the problems of the page.
func (p *Page) fail(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf(string(p.engine)+": "+format, args...)
}

// evidence takes a screenshot of the page of a failed test. It returns the text of the page, the
// path of the screenshot, and the last log records of chromedp.
func (p *Page) evidence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at the end of the test:\n", p.engine)
	ctx, cancel := context.WithTimeout(p.ctx, closeLimit)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + '\n' + (document.body?.innerText ?? '')`))
	if err != nil {
		text = "no answer: " + err.Error()
	}
	b.WriteString(indent(text))
	if path, err := p.evidencePath(); err == nil &&
		p.shoot(path, chromedp.CaptureScreenshot()) == nil {
		fmt.Fprintf(&b, "screenshot: %s\n", path)
	}
	for _, note := range p.process.noted() {
		fmt.Fprintf(&b, "chromedp: %s\n", note)
	}
	return b.String()
}

func (p *Page) evidencePath() (string, error) {
	root, err := moduleRoot()
	name := strings.NewReplacer("/", "_", " ", "_").
		Replace(fmt.Sprintf("%s-%s-%d", p.t.Name(), p.engine, time.Now().UnixMilli()))
	return filepath.Join(root, ".cache", "failures", name+".png"), err
}

func indent(text string) string {
	return "    | " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    | ") + "\n"
}
