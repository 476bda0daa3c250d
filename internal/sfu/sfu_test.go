package sfu_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/lossy"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// A harness is a server of package sfu that runs for one test.
type harness struct {
	*sfu.SFU
	t     testing.TB
	arn   stage.ARN
	stop  context.CancelFunc
	ended chan error

	expires time.Time // of all tokens

	mu    sync.Mutex
	views map[stage.ParticipantID]whip.Session
	// endpoints of those viewers in pages whose connection does not go to the server directly
	endpoints map[stage.ParticipantID]rtcpeer.Endpoint
	events    []stage.Event
	news      chan struct{}
}

func newHarness(t testing.TB, change ...func(*sfu.Config)) *harness {
	t.Helper()
	h := &harness{t: t, arn: stage.LocalARN("main"), ended: make(chan error, 1),
		news: make(chan struct{}), views: make(map[stage.ParticipantID]whip.Session),
		endpoints: make(map[stage.ParticipantID]rtcpeer.Endpoint)}
	cfg := sfu.Config{
		Listen: "127.0.0.1:0", Events: h.heard, Log: slog.New(
			slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := sfu.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.SFU = s
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	go func() { h.ended <- s.Run(ctx) }()
	t.Cleanup(h.close)
	return h
}

func (h *harness) close() {
	h.stop()
	if err := <-h.ended; err != nil {
		h.t.Errorf("Run: %v", err)
	}
	h.ended <- nil
}

func (h *harness) heard(e stage.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	close(h.news)
	h.news = make(chan struct{})
}

// waitEvent waits for an event of a certain kind and code. The code "" means any.
func (h *harness) waitEvent(id stage.ParticipantID, kind stage.EventKind, code string) stage.Event {
	h.t.Helper()
	ctx := patient(h.t)
	for {
		h.mu.Lock()
		events, news := h.events, h.news
		h.mu.Unlock()
		for _, e := range events {
			if e.Participant == id && e.Kind == kind && (code == "" || e.Code == code) {
				return e
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			h.t.Fatalf("no event %s %s of %s; heard %v", kind, code, id, events)
		}
	}
}

func (h *harness) who(id stage.ParticipantID) stage.Participant {
	return stage.Participant{
		ID: id, Stage: h.arn, UserID: string(id), ExpiresAt: h.expires,
		Capabilities: stage.Publish | stage.Subscribe,
	}
}

func (h *harness) whip(id stage.ParticipantID) rtcpeer.Endpoint {
	return func(ctx context.Context, offer string) (rtcpeer.Answer, error) {
		s, sdp, err := h.Publish(ctx, h.who(id), offer)
		if err != nil {
			return rtcpeer.Answer{}, err
		}
		return rtcpeer.Answer{SDP: sdp, HangUp: func(context.Context) error {
			s.Close("deleted",
				"Deleted.")
			return nil
		}}, nil
	}
}

func (h *harness) whep(id, target stage.ParticipantID) rtcpeer.Endpoint {
	return func(ctx context.Context, offer string) (rtcpeer.Answer, error) {
		s, sdp, err := h.Subscribe(ctx, h.who(id), target, offer)
		if err != nil {
			return rtcpeer.Answer{}, err
		}
		h.mu.Lock()
		h.views[id] = s
		h.mu.Unlock()
		return rtcpeer.Answer{SDP: sdp, HangUp: func(context.Context) error {
			s.Close("deleted",
				"Deleted.")
			return nil
		}}, nil
	}
}

// link puts a simulated network between the server and one of its peers. The returned endpoint uses
// that network.
func (h *harness) link(endpoint rtcpeer.Endpoint, o lossy.Options) (*lossy.Link, rtcpeer.Endpoint) {
	h.t.Helper()
	link := lossy.Open(h.t, h.Addr().String(), o)
	return link, func(ctx context.Context, offer string) (rtcpeer.Answer, error) {
		answer, err := endpoint(ctx, offer)
		answer.SDP = link.Rewrite(answer.SDP)
		return answer, err
	}
}

// through makes the page's viewer with a certain name use the endpoint.
func (h *harness) through(id stage.ParticipantID, endpoint rtcpeer.Endpoint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endpoints[id] = endpoint
}

// endpointOf returns the endpoint of a page's viewer.
func (h *harness) endpointOf(id, target stage.ParticipantID) rtcpeer.Endpoint {
	h.mu.Lock()
	defer h.mu.Unlock()
	if endpoint := h.endpoints[id]; endpoint != nil {
		return endpoint
	}
	return h.whep(id, target)
}

func (h *harness) forgetView(id stage.ParticipantID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.views, id)
}

func (h *harness) publish(id stage.ParticipantID, o rtcpeer.PublishOptions) *rtcpeer.Publisher {
	h.t.Helper()
	p, err := rtcpeer.Publish(h.t, h.whip(id), o)
	if err != nil {
		h.t.Fatalf("Publish: %v", err)
	}
	return p
}

func (h *harness) view(id, target stage.ParticipantID, o rtcpeer.ViewOptions) *rtcpeer.Viewer {
	h.t.Helper()
	v, err := rtcpeer.View(h.t, h.whep(id, target), o)
	if err != nil {
		h.t.Fatalf("View: %v", err)
	}
	return v
}

// patience limits how long a test waits for something. It is generous, because a busy machine is
// slow.
const patience = 2 * time.Minute

// patient returns a context that ends after the time `patience`.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestViewerSeesAndHears(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "real media")
	h := newHarness(t)
	h.publish("ana", rtcpeer.PublishOptions{})
	h.waitEvent("ana", stage.EventConnected, "")
	h.waitEvent("ana", stage.EventPublishing, "")
	v := h.view("ben", "ana", rtcpeer.ViewOptions{})
	ctx := patient(t)
	if err := v.WaitFrames(ctx, 60); err != nil {
		t.Fatalf("frames: %v", err)
	}
	if err := v.WaitAudio(ctx, 50); err != nil {
		t.Fatalf("sound: %v", err)
	}
	if s := v.Stats(); s.Broken > 0 {
		t.Errorf("%d frames could not be decoded, want 0", s.Broken)
	}
	if err := v.Wait(ctx, func(s rtcpeer.Stats) bool {
		return s.VideoReport != nil &&
			s.AudioReport != nil
	}); err != nil {
		t.Errorf("sender reports: %v", err)
	}
}
