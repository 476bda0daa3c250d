package replicas

import (
	"flag"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
)

var (
	onFleet = flag.Bool("fleet", false,
		"run the stories on three servers behind nginx instead of on one")
	killEvery = flag.Duration("kill-every", 20*time.Second,
		"with -fleet: how often one of the servers is killed; 0: never")
)

// App is apptest.Start. With -fleet, it starts three servers behind nginx, and kills one of them
// every 20 seconds, or as often as -kill-every says.
func App(t testing.TB, flags ...string) *apptest.App {
	t.Helper()
	if !*onFleet {
		return apptest.Start(t, flags...)
	}
	return AppOnFleet(t, flags...)
}

// AppOnFleet is App with -fleet.
func AppOnFleet(t testing.TB, flags ...string) *apptest.App {
	t.Helper()
	return start(t, 3, flags...).app()
}

// Chosen reports whether -fleet is set.
func Chosen() bool { return *onFleet }

// app returns the fleet as an App with the address of nginx.
func (f *Fleet) app() *apptest.App {
	setup := ""
	if !f.settled() {
		setup = f.SetupURL()
	}
	calm := func() {}
	if *killEvery > 0 {
		calm = f.killEvery(*killEvery)
	}
	stop := func() {
		calm()
		for _, m := range f.Servers {
			m.Kill(syscall.SIGTERM)
		}
	}
	again := func(flags ...string) *apptest.App {
		f.Flags = flags
		f.StartAll()
		return f.app()
	}
	return apptest.At(f.t, f.URL, setup, stop, again)
}
