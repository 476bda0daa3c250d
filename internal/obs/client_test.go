package obs_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/realobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func options(url, password string) obs.Options {
	return obs.Options{URL: url, Password: stage.NewSecret(password), Timeout: 2 * time.Second,
		Ready: 2 * time.Second}
}

// TestConnecting runs against a fake OBS and a real one.
func TestConnecting(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func() string{
		"OBS 32.1": func() string {
			return fakeobs.Start(t, fakeobs.Options{Password: "secret"}).URL()
		},
		"real OBS": func() string { return realobs.Start(t, "secret").URL() },
	} {
		url := url()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connect(t, url, "secret")
			connect(t, strings.TrimPrefix(url, "ws://"), "secret")
			_, err := obs.Connect(t.Context(), options(url, "wrong"))
			mustBe(t, err, "obs_password")
			mustSay(t, err, "OBS refused that password.")
			if _, err = obs.Connect(t.Context(), options(url, "")); err == nil ||
				!strings.Contains(err.Error(), "asks for a password") {
				t.Errorf("no password: got %v", err)
			}
		})
	}
}

func TestOBSIsClosed(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{})
	o.Quit()
	_, err := obs.Connect(t.Context(), options(o.URL(), ""))
	mustBe(t, err, "obs_unreachable")
	if !strings.Contains(err.Error(), "Enable WebSocket server") {
		t.Errorf("got %v, want the way to switch it on", err)
	}
}

// TestAnotherProgramOnThePort: another program listens on the port, accepts connections and sends
// nothing.
func TestAnotherProgramOnThePort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	opts := options("ws://"+l.Addr().String(), "")
	opts.Timeout = 50 * time.Millisecond
	_, err = obs.Connect(t.Context(), opts)
	mustBe(t, err, "obs_unreachable")
}

func TestKickedAndClosed(t *testing.T) {
	t.Parallel()
	for code, end := range map[string]func(*fakeobs.OBS){"obs_kicked": (*fakeobs.OBS).Kick,
		"obs_closed": (*fakeobs.OBS).Quit, "obs_unreachable": (*fakeobs.OBS).Crash} {
		o := fakeobs.Start(t, fakeobs.Options{})
		c := connect(t, o.URL(), "")
		o.Hold("GetVersion")
		var waiting sync.WaitGroup
		waiting.Go(func() { mustBe(t, c.Call(t.Context(), "GetVersion", nil, nil), code) })
		end(o)
		<-c.Done()
		waiting.Wait()
		mustBe(t, c.Err(), code)
		if code == "obs_kicked" {
			mustSay(t, c.Err(), "“Kick” was pressed in its WebSocket settings")
		}
	}
}

// TestAnswersOutOfOrder: responses that arrive in another order than their requests reach the right
// callers.
func TestAnswersOutOfOrder(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{})
	c := connect(t, o.URL(), "")
	release := o.Hold("GetProfileList")
	list := make(chan string, 1)
	go func() {
		var got struct {
			Current string `json:"currentProfileName"`
		}
		if err := c.Call(t.Context(), "GetProfileList", nil, &got); err != nil {
			t.Error(err)
		}
		list <- got.Current
	}()
	var version struct {
		OBS string `json:"obsVersion"`
	}
	if err := c.Call(t.Context(), "GetVersion", nil, &version); err != nil ||
		version.OBS != "32.1.2" {
		t.Errorf("GetVersion: got %+v, %v, want 32.1.2", version, err)
	}
	release()
	if got := <-list; got != "Untitled" {
		t.Errorf("GetProfileList: got %q, want Untitled", got)
	}
}

func TestASilentOBS(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{})
	o.Hold("GetVersion")
	opts := options(o.URL(), "")
	opts.Timeout = 2 * time.Second // applies to the sign-in, too
	c, err := obs.Connect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	mustBe(t, c.Call(t.Context(), "GetVersion", nil, nil), "obs_silent")
	if err := c.Call(t.Context(), "GetProfileList", nil, nil); err != nil {
		t.Errorf("the next request: got %v", err)
	}
}

// TestAnOBSThatStillLoads: the client repeats a request while OBS answers 207 (not ready), up to a
// time limit.
func TestAnOBSThatStillLoads(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{NotReady: true})
	c := connect(t, o.URL(), "")
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if err := c.Call(t.Context(), "GetVersion", nil, nil); err != nil {
			t.Errorf("GetVersion: got %v", err)
		}
	})
	o.WaitRequest(t, "GetVersion", 1)
	o.SetReady(true)
	waiting.Wait()
	if first := o.Requests()[0]; first.Code != 207 {
		t.Errorf("the first answer was %d, want 207", first.Code)
	}

	o.SetReady(false)
	opts := options(o.URL(), "")
	opts.Ready = 50 * time.Millisecond
	impatient, err := obs.Connect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = impatient.Close() })
	mustBe(t, impatient.Call(t.Context(), "GetVersion", nil, nil), "obs_not_ready")
}
