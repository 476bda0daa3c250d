package browser

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/chromedp"
)

// A Suite runs the tests of a package, as a *testing.M does.
type Suite interface{ Run() int }

// Share returns a suite in which tests share running browsers, because a browser costs more time to
// start than most tests take. Each page still has a profile of its own. Packages with many tests in
// browsers use it:
//
//	func TestMain(m *testing.M) { os.Exit(browser.Share(m).Run()) }
//
// In other packages every Open starts a browser.
func Share(m Suite) Suite { return sharing{m} }

type sharing struct{ Suite }

func (s sharing) Run() int {
	shared = &pool{running: map[kind]*process{}}
	defer shared.end()
	return s.Suite.Run()
}

// shared has the browsers of all tests, or is nil if each test starts its own.
var shared *pool

// A kind tells browsers apart that were started with different flags.
type kind struct {
	engine    Engine
	fakeMedia bool
}

// A pool has one running browser of each kind.
type pool struct {
	mu      sync.Mutex
	running map[kind]*process
}

// get returns the running browser of a kind. It starts the browser if it does not run yet or has
// crashed.
func (p *pool) get(k kind, path string) (*process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.running[k]; b != nil {
		if !b.lost() {
			return b, nil
		}
		delete(p.running, k)
		b.end() // removes its profile
	}
	b, err := start(k, path)
	if err == nil {
		p.running[k] = b
	}
	return b, err
}

func (p *pool) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.running {
		b.end()
	}
}

// A process is a running browser.
type process struct {
	ctx context.Context // has the blank page that opens at the start
	end func()

	mu    sync.Mutex
	notes []string // the last log records of chromedp
}

// maxNotes is how many log records of chromedp a process keeps.
const maxNotes = 50

func start(k kind, path string) (*process, error) {
	allocator, stop := chromedp.NewExecAllocator(context.Background(), flags(k, path)...)
	b := &process{}
	ctx, cancel := chromedp.NewContext(allocator,
		chromedp.WithErrorf(b.note), chromedp.WithLogf(b.note))
	b.ctx = ctx
	b.end = func() {
		defer stop()
		defer cancel()
		limited, done := context.WithTimeout(ctx, closeLimit)
		defer done()
		_ = chromedp.Cancel(limited) // a browser that has crashed counts as ended
	}
	// The browser ends with the context of the first action, so this context has no deadline. A
	// timer replaces the deadline.
	late := time.AfterFunc(startLimit, cancel)
	defer late.Stop()
	if err := chromedp.Do(ctx); err != nil {
		b.end()
		return nil, err
	}
	return b, nil
}

// lost reports whether the browser has ended by itself.
func (b *process) lost() bool {
	select {
	case <-chromedp.FromContext(b.ctx).Browser.LostConnection:
		return true
	default:
		return false
	}
}

// note keeps a log record of chromedp, unless it is about an event of Chromium 103 whose format
// chromedp cannot parse.
func (b *process) note(format string, args ...any) {
	if strings.HasPrefix(format, "could not unmarshal event") {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.notes) == maxNotes {
		b.notes = slices.Delete(b.notes, 0, 1)
	}
	b.notes = append(b.notes, time.Now().Format(time.TimeOnly)+" "+fmt.Sprintf(format, args...))
}

func (b *process) noted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notes)
}
