package browser

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Shared returns the tests of a package such that their pages share one process per engine.
// Starting a browser costs about a second of CPU time, more than most tests need.
//
//	func TestMain(m *testing.M) { os.Exit(browser.Shared(m).Run()) }
//
// Without Shared, each Open starts a process of its own.
func Shared(m *testing.M) interface{ Run() int } { return sharing{m} }

type sharing struct{ m *testing.M }

func (s sharing) Run() int {
	running.keep()
	defer running.end()
	return s.m.Run()
}

// A kind of browsers: those that differ only in what a page can choose can share a process.
type kind struct {
	engine    Engine
	fakeMedia bool
}

// A process is a running browser.
type process struct {
	kind kind
	ctx  context.Context // of its first tab, which stays blank
	stop func()
	uses int // pages that tests opened; guarded by the mutex of processes

	mu    sync.Mutex
	notes []string // the last log records of chromedp
}

// notesKept is how many log records of chromedp a process keeps for a test that fails.
const notesKept = 20

// note keeps the log records of chromedp, except those about events of Chromium 103 whose format
// chromedp cannot parse.
func (p *process) note(format string, args ...any) {
	if strings.HasPrefix(format, "could not unmarshal event") {
		return
	}
	text := fmt.Sprintf(format, args...)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes[max(0, len(p.notes)-notesKept+1):], text)
}

func (p *process) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.notes)
}

// processes are the browsers of one test binary. A process that is not kept ends with its last use.
type processes struct {
	mu      sync.Mutex
	keeping bool
	kept    map[kind]*process
}

var running = processes{kept: map[kind]*process{}}

func (r *processes) keep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keeping = true
}

func (r *processes) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keeping = false
	for _, p := range r.kept {
		p.stop()
	}
	clear(r.kept)
}

// use returns a process of this kind, alone a new one. Call drop when the test has ended.
func (r *processes) use(k kind, path string, alone bool) (*process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.kept[k]
	if p != nil && p.ctx.Err() != nil { // it has crashed
		r.forget(p)
		p = nil
	}
	if alone || p == nil {
		var err error
		if p, err = start(k, path); err != nil {
			return nil, err
		}
		if r.keeping && !alone {
			r.kept[k] = p
		}
	}
	p.uses++
	return p, nil
}

// drop ends a use. A process in which a test failed gets no further use, because the cause may be
// the process.
func (r *processes) drop(p *process, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.uses--
	if failed || r.kept[p.kind] != p {
		r.forget(p)
	}
}

// forget keeps the process no longer, and ends it if no test uses it.
func (r *processes) forget(p *process) {
	if r.kept[p.kind] == p {
		delete(r.kept, p.kind)
	}
	if p.uses == 0 {
		p.stop()
	}
}

func start(k kind, path string) (*process, error) {
	allocator, free := chromedp.NewExecAllocator(context.Background(), flags(k, path)...)
	p := &process{kind: k}
	ctx, cancel := chromedp.NewContext(allocator,
		chromedp.WithErrorf(p.note), chromedp.WithLogf(p.note))
	p.ctx = ctx
	p.stop = func() {
		ctx, stop := context.WithTimeout(p.ctx, closeLimit)
		defer stop()
		_ = chromedp.Cancel(ctx) // a browser that has ended counts as closed
		cancel()
		free()
	}
	// The browser lives as long as the context of the first action, so that context has no
	// deadline. A timer replaces the deadline.
	late := time.AfterFunc(startLimit, cancel)
	defer late.Stop()
	if err := chromedp.Do(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}
