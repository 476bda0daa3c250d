package browser

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestMain(m *testing.M) { os.Exit(Shared(m).Run()) }

// TestAProcessIsSharedUntilItIsSuspect: one process serves test after test, until it ends or a test
// in it fails.
func TestAProcessIsSharedUntilItIsSuspect(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("make quick leaves browsers out")
	}
	t.Cleanup(machine.take(t.Name()))
	path, err := Current.path()
	if err != nil {
		t.Fatal(err)
	}
	r := &processes{kept: map[kind]*process{}}
	r.keep()
	t.Cleanup(r.end)
	use := func(alone bool) *process {
		p, err := r.use(kind{engine: Current}, path, alone)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	ended := func(p *process) bool { return p.ctx.Err() != nil }

	first := use(false)
	r.drop(first, false)
	if again := use(false); again != first {
		t.Error("the second test got another process")
	}
	alone := use(true)
	if alone == first {
		t.Error("a test that wanted to be alone got the process of others")
	}
	if r.drop(alone, false); !ended(alone) {
		t.Error("the process of a test that was alone still runs")
	}

	use(false)
	if r.drop(first, true); ended(first) {
		t.Error("a failed test ended the process of another test")
	}
	second := use(false)
	if second == first {
		t.Error("a test got the process in which another one failed")
	}
	if r.drop(first, false); !ended(first) {
		t.Error("the process in which a test failed still runs after its last test")
	}

	if err := chromedp.FromContext(second.ctx).Browser.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	<-second.ctx.Done()
	third := use(false)
	if third == second {
		t.Error("a test got a process that had crashed")
	}
	r.drop(second, false)
	r.drop(third, false)
	if r.end(); !ended(third) {
		t.Error("a process outlives the tests")
	}
}
