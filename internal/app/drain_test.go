package app_test

import (
	"bufio"
	"errors"
	"flag"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestADrainLetsABroadcastFinish: a server that was asked to stop reports that it is not ready, and
// refuses new broadcasts. It stops when the last publisher has left.
func TestADrainLetsABroadcastFinish(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--drain", "1m")
	olga := a.Operator()
	var second web.Stage
	olga.Must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Name: "second"}, &second)
	first := olga.Token("publish")
	var other web.Token
	olga.Must(http.StatusCreated, "POST", "/api/tokens",
		map[string]any{"stage": second.ARN, "for": "publish"}, &other)
	live, err := rtcpeer.Publish(t, rtcpeer.HTTP(first.Endpoint, first.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	publishing := func() bool {
		var state web.TokenState
		olga.Must(http.StatusOK, "GET", "/api/tokens/"+string(first.ParticipantID), nil, &state)
		return state.Presence != nil && state.Presence.Publishing
	}
	eventually(t, 20*time.Second, "the broadcast is live", publishing)

	stopped := make(chan struct{})
	go func() {
		a.Stop()
		close(stopped)
	}()
	eventually(t, 20*time.Second, "it is not ready", func() bool {
		status, err := olga.Status("GET", "/readyz", "", "")
		return err == nil && status == http.StatusServiceUnavailable
	})
	_, err = rtcpeer.Publish(t, rtcpeer.HTTP(other.Endpoint, other.Token), rtcpeer.PublishOptions{})
	var refused *rtcpeer.StatusError
	if !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable ||
		refused.Header.Get("Retry-After") == "" {
		t.Errorf("a new broadcast: got %v, want 503 with Retry-After", err)
	}
	select {
	case <-live.Closed():
		t.Error("the live broadcast was cut")
	case <-stopped:
		t.Error("the server did not wait for the live broadcast")
	default:
	}
	if !publishing() {
		t.Error("the broadcast is not live any more")
	}
	// live.HangUp would end the connection first, like OBS. The server could then stop before it
	// gets the DELETE.
	if err := live.Answer.HangUp(t.Context()); err != nil {
		t.Errorf("hang up: %v", err)
	}
	<-stopped
}

var docks = flag.Int("docks", 200, "pages that are open during a rolling restart")

// TestARollingRestart: three servers behind nginx are replaced one after the other, while tokens
// are issued and pages are open. No client sees a failure, no page of the operator misses an event,
// and a broadcast to AWS goes on.
func TestARollingRestart(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3, "--ivs-region", "us-west-2", "--ivs-endpoint", apptest.Emulate(t))
	olga := f.operator()
	broadcast := f.broadcastToAWS(olga)
	olga.stage()

	var pages []*page
	for i := range *docks {
		if i%perLogin == 0 && i > 0 { // a login may have perLogin streams at a time
			f.broadcasterOn(olga, "b"+strconv.Itoa(i), olga.stage())
		}
		if i < perLogin {
			pages = append(pages, f.open(olga))
			continue
		}
		f.open(f.callers[i/perLogin-1])
	}
	var stop atomic.Bool
	var work sync.WaitGroup
	var issued atomic.Int64
	for range 2 {
		work.Go(func() { olga.requestTokens(&stop, &issued) })
	}
	var causes int
	work.Go(func() {
		for !stop.Load() {
			// Publishing with a view token is refused, and the refusal is a stage event.
			r, _ := http.NewRequest("POST", f.URL+"/whip", strings.NewReader("v=0\r\n"))
			r.Header.Set("Authorization", "Bearer "+olga.token("view").Token)
			r.Header.Set("Content-Type", "application/sdp")
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Errorf("an event: %v", err)
				return
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusForbidden {
				t.Errorf("a token for watching publishes: got %s, want 403", answer.Status)
			}
			causes++
			time.Sleep(50 * time.Millisecond)
		}
	})
	for _, m := range f.Servers {
		m.Kill(syscall.SIGTERM)
		m.Start()
		m.Ready()
	}
	stop.Store(true)
	work.Wait()
	if issued.Load() == 0 || causes == 0 {
		t.Errorf("got %d tokens and %d events during the restarts, want some", issued.Load(), causes)
	}

	select {
	case <-broadcast.Closed():
		t.Error("the broadcast to AWS ended")
	default:
	}
	for i, p := range pages {
		eventually(t, 30*time.Second, "page "+strconv.Itoa(i)+" has every event", func() bool {
			return p.events() >= causes
		})
		if got := p.events(); got != causes {
			t.Errorf("page %d: got %d events, want %d", i, got, causes)
		}
	}
	for _, failure := range f.failures() {
		t.Errorf("a page saw the failure %s, want none while servers drain", failure)
	}
}

const perLogin = 20

// broadcastToAWS publishes to a new AWS stage of the emulator.
func (f *fleet) broadcastToAWS(olga *caller) *rtcpeer.Publisher {
	f.t.Helper()
	var there web.Stage
	olga.must(http.StatusCreated, "POST", "/api/stages",
		web.NewStage{Region: "us-west-2", Name: "aws"}, &there)
	var token web.Token
	olga.must(http.StatusCreated, "POST", "/api/tokens",
		map[string]any{"stage": there.ARN, "for": "publish"}, &token)
	live, err := rtcpeer.Publish(f.t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	return live
}

// A page is an open event stream that reconnects as static/lib/events.js does.
type page struct {
	mu   sync.Mutex
	seen map[int64]bool // IDs of refusals
}

func (p *page) events() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen)
}

func (f *fleet) open(c *caller) *page {
	p := &page{seen: map[int64]bool{}}
	opened := make(chan struct{})
	go func() {
		last, first := "", true
		for f.t.Context().Err() == nil {
			r, _ := http.NewRequestWithContext(f.t.Context(), "GET", c.base+"/api/events", nil)
			if last != "" {
				r.Header.Set("Last-Event-ID", last)
			}
			answer, err := (&http.Client{Jar: c.http.Jar}).Do(r)
			if f.t.Context().Err() != nil {
				return
			}
			switch {
			case err != nil:
				f.failed(err.Error())
			case answer.StatusCode != http.StatusOK:
				f.failed("an event stream: " + answer.Status)
				answer.Body.Close()
			default:
				if first {
					close(opened)
					first = false
				}
				last = p.read(answer, last)
			}
			time.Sleep(500 * time.Millisecond)
		}
	}()
	<-opened
	return p
}

// read reads events until the stream ends, and returns the ID of the last one for Last-Event-ID.
func (p *page) read(answer *http.Response, last string) string {
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			last = id
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && strings.Contains(data, `"kind":"refused"`) {
			n, _ := strconv.ParseInt(last, 10, 64)
			p.mu.Lock()
			p.seen[n] = true
			p.mu.Unlock()
		}
	}
	return last
}
