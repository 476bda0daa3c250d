package app_test

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

var kills = flag.Int("kills", 2,
	"how often a server is killed while docks are live, once every 20 seconds")

const (
	obsPassword = "supersecretpassword"
	killEvery   = 20 * time.Second
)

// TestTheRoadOverAFleet: broadcasters sign in at three servers behind nginx, set up OBS and go live
// from the dock: one on a local stage, one on an AWS stage. A server is killed every 20
// seconds. The local broadcast resumes by itself, also for its viewer. The AWS broadcast is not
// interrupted.
func TestTheRoadOverAFleet(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3, "--ivs-region", "us-west-2", "--ivs-endpoint", apptest.Emulate(t))
	olga := f.operator()
	var studio web.Stage
	olga.must(http.StatusCreated, "POST", "/api/stages",
		web.NewStage{Region: "us-west-2", Name: "studio"}, &studio)
	f.broadcasterOn(olga, "ana", olga.stage())
	f.broadcasterOn(olga, "bea", string(studio.ARN))

	ana, bea := f.dock("ana"), f.dock("bea")
	watch := browser.Open(t, browser.Current, browser.Options{})
	watch.Goto(f.URL + "/watch")
	signInAs(watch, "olga")
	for _, d := range []*fleetDock{ana, bea} {
		d.ClickText("Set up OBS")
		d.state("ready")
		d.ClickText("Go live")
		d.state("live")
	}
	watch.WaitFor(moving)

	for i := range *kills {
		next := time.Now().Add(killEvery)
		m := f.Home(olga.stage())
		if i%2 == 1 || m == nil {
			m = f.Servers[i%len(f.Servers)]
		}
		t.Logf("server %s is killed", m.Listen)
		m.Kill(syscall.SIGKILL)
		m.Start()
		m.Ready()
		eventually(t, 3*killEvery, "the local broadcast is back", func() bool {
			return f.DB.Value(t, f.Database,
				"SELECT count(*)::text FROM open_participants o JOIN peers p ON p.id = o.peer "+
					"WHERE p.buried = 0") == "1"
		})
		ana.state("live")
		bea.state("live")
		time.Sleep(time.Until(next))
	}
	watch.WaitFor(moving)
	if calls := bea.calls.Load(); calls != 1 {
		t.Errorf("OBS called AWS %d times, want once: the broadcast is none of our servers'", calls)
	}
	for _, d := range []*fleetDock{ana, bea} {
		d.Click("button.danger")
		d.obs.WaitStream(t, "STOPPED")
		d.state("ready")
	}
}

// A fleetDock is a dock page of a fleet, with the simulated OBS that the dock controls.
type fleetDock struct {
	*browser.Page
	obs   *fakeobs.OBS
	calls atomic.Int64 // WHIP requests that OBS has sent to the stage
}

func (f *fleet) dock(name string) *fleetDock {
	f.t.Helper()
	d := &fleetDock{}
	clip := rtcpeer.MakeClip(f.t, rtcpeer.ClipOptions{})
	d.obs = fakeobs.Start(f.t, fakeobs.Options{
		Password: obsPassword,
		Output: func(_ context.Context, endpoint, bearer string, opus bool) (fakeobs.Session,
			error) {
			if !opus {
				return nil, errors.New("AAC labelled as Opus")
			}
			d.calls.Add(1)
			p, err := rtcpeer.Publish(f.t, rtcpeer.HTTP(endpoint, bearer),
				rtcpeer.PublishOptions{Clip: clip})
			if err != nil {
				return nil, err
			}
			return hangsUp{p}, nil
		},
	})
	d.Page = browser.Open(f.t, browser.OBS31, browser.Options{})
	d.Goto(f.URL + "/dock")
	signInAs(d.Page, name)
	d.WaitVisible(`input[name="obsPassword"]`)
	d.Type(`input[name="address"]`, "127.0.0.1:"+d.obs.Port())
	d.Type(`input[name="obsPassword"]`, obsPassword)
	d.Click(`.card form button[type="submit"]`)
	return d
}

func (d *fleetDock) state(name string) {
	d.WaitFor(`document.documentElement.dataset.state === ` + strconv.Quote(name))
}

// A hangsUp is a publisher that ends its session by DELETE, as OBS does.
type hangsUp struct{ *rtcpeer.Publisher }

func (h hangsUp) Done() <-chan struct{} { return h.Closed() }
func (h hangsUp) Close() error {
	defer h.Publisher.Close()
	return h.HangUp(context.Background())
}

func signInAs(page *browser.Page, name string) {
	page.WaitVisible(`input[name="name"]`)
	page.Type(`input[name="name"]`, name)
	page.Type(`input[name="password"]`, apptest.Password)
	page.Click(`button[type="submit"]`)
}

// moving is true if the video shows new frames.
const moving = `(async () => {
	const video = document.querySelector('video');
	if (!video) return false;
	const frames = () => video.getVideoPlaybackQuality().totalVideoFrames;
	const before = frames();
	await new Promise(resolve => setTimeout(resolve, 300));
	return frames() > before;
})()`
