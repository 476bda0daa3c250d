package browser

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/quick"
)

// A recorder is a testing.TB that records failures, to test how a Page fails.
type recorder struct {
	testing.TB
	failed   bool
	said     []string
	cleanups []func()
}

func (r *recorder) Helper()                   {}
func (r *recorder) Failed() bool              { return r.failed }
func (r *recorder) Log(args ...any)           { r.said = append(r.said, fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, a ...any) { r.failed = true; r.Log(fmt.Sprintf(f, a...)) }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); runtime.Goexit() }
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }

// run runs the given function as a test, and returns its messages.
func run(t *testing.T, body func(testing.TB)) string {
	t.Helper()
	quick.LeavesOut(t, "browsers")
	r := &recorder{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		body(r)
	}()
	<-ended
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return strings.Join(r.said, "\n")
}

func TestAFailureShowsThePage(t *testing.T) {
	t.Parallel()
	said := run(t, func(t testing.TB) {
		page := Open(t, OBS30, Options{})
		page.Goto(`data:text/html,<p>The stage is dark.<button disabled>Go live</button>`)
		page.Eval(`nothing.here`, nil)
	})
	for _, want := range []string{"nothing is not defined", "The stage is dark."} {
		if !strings.Contains(said, want) {
			t.Errorf("the failure does not say %q:\n%s", want, said)
		}
	}
	picture := regexp.MustCompile(`screenshot: (.*)`).FindStringSubmatch(said)
	if picture == nil {
		t.Fatalf("the failure names no screenshot:\n%s", said)
	}
	if err := os.Remove(picture[1]); err != nil {
		t.Error(err)
	}
}

func TestAProblemFailsTheTestAtItsEnd(t *testing.T) {
	t.Parallel()
	said := run(t, func(t testing.TB) {
		page := Open(t, OBS31, Options{})
		page.Allow("not so bad")
		page.Eval(`console.error('not so bad')`, nil)
		page.Eval(`console.error('bad')`, nil)
	})
	if want := "the page in Chromium 127: console: bad"; said != want {
		t.Errorf("got %q, want %q", said, want)
	}
}

func TestAMissingBrowserIsNamed(t *testing.T) {
	t.Parallel()
	said := run(t, func(t testing.TB) { Open(t, "Chromium 1", Options{}) })
	if !strings.HasPrefix(said, "Chromium 1 is not on this machine") ||
		!strings.HasSuffix(said, "`make test` installs it") {
		t.Errorf("the failure: got %q, want the browser's name and how to install it", said)
	}
}
