package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// slow is a moderator of whom one stage does not answer.
type slow struct {
	stuck   stage.ARN
	release chan struct{}
}

func (s slow) Participants(_ context.Context, arn stage.ARN) ([]stage.Presence, error) {
	if arn == s.stuck {
		<-s.release
	}
	return []stage.Presence{{Participant: stage.Participant{ID: "ana", Stage: arn}}}, nil
}

func (slow) Disconnect(context.Context, stage.ARN, stage.ParticipantID, string) error { return nil }

func runHub(t *testing.T, moderator stage.Moderator) *hub {
	t.Helper()
	h := newHub(nil, moderator, slog.New(slog.DiscardHandler), time.Now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

func open(t *testing.T, h *hub, who access.User) *listener {
	t.Helper()
	l, err := h.listen(who, "cookie")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func next(t *testing.T, h *hub, l *listener) (frame, bool) {
	t.Helper()
	select {
	case <-l.ready:
		return h.take(l)
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is told")
		return frame{}, false
	}
}

func TestAStageThatDoesNotAnswerHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	moderator := slow{stuck: "aws", release: make(chan struct{})}
	h := runHub(t, moderator)
	t.Cleanup(func() { close(moderator.release) }) // before the hub is waited for
	l := open(t, h, access.User{ID: "olga"})
	h.watch(l, Me{Stages: []MyStage{{ARN: "aws"}, {ARN: "main"}}})
	if f, _ := next(t, h, l); f.name != "presence" || string(f.data) == "" {
		t.Errorf("got %q %s, want who is on the stage that answers", f.name, f.data)
	}
}

func TestAPageThatComesWhileTheServerStops(t *testing.T) {
	t.Parallel()
	h := runHub(t, slow{})
	early := open(t, h, access.User{})
	h.stop()
	for _, l := range []*listener{early, open(t, h, access.User{})} {
		if f, _ := next(t, h, l); f.name != "bye" {
			t.Errorf("got %q, want a farewell", f.name)
		}
		if _, more := next(t, h, l); more {
			t.Error("the stream goes on, and would hold the server back")
		}
	}
}

func TestAListenerThatFallsBehindIsCutOnce(t *testing.T) {
	t.Parallel()
	h := runHub(t, slow{})
	l := open(t, h, access.User{ID: "ana"})
	for range 2 * frameQueue {
		h.pushTo(l, frame{name: "stage"})
	}
	h.stop()
	for range frameQueue {
		next(t, h, l)
	}
	if _, more := next(t, h, l); more {
		t.Error("a listener that does not read was not cut")
	}
}

// pushTo tells a listener that was not cut.
func (h *hub) pushTo(l *listener, f frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[l] {
		h.push(l, f)
	}
}

func TestAListenerThatFallsBehindKeepsTheNewestOnly(t *testing.T) {
	t.Parallel()
	h := newHub(nil, slow{}, slog.New(slog.DiscardHandler), time.Now)
	l := open(t, h, access.User{ID: "ana"})
	for i := range 2 * frameQueue {
		h.pushTo(l, frame{name: "presence", newest: "presence main", data: fmt.Append(nil, i)})
		h.tellDocks("ana")
	}
	if f, _ := next(t, h, l); f.name != "presence" || string(f.data) != fmt.Sprint(2*frameQueue-1) {
		t.Errorf("first: got %s %s, want the newest presence", f.name, f.data)
	}
	if f, _ := next(t, h, l); f.name != "docks" || len(l.queue) != 0 || l.bytes != 0 || !h.listeners[l] {
		t.Errorf("then: got %s and %d frames of %d bytes left, want the docks once", f.name, len(l.queue), l.bytes)
	}
}

func TestAListenersQueueIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	h := newHub(nil, slow{}, slog.New(slog.DiscardHandler), time.Now)
	l := open(t, h, access.User{ID: "ana"})
	for range 8 {
		h.pushTo(l, frame{name: "stage", data: make([]byte, queueBytes/2)})
	}
	if len(l.queue) != 2 || h.listeners[l] {
		t.Errorf("got %d frames queued, want 2 and that the listener is cut", len(l.queue))
	}
}

func TestDocksTellWithinBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("<", maxWord+1)
	for _, in := range []DockState{
		{ParticipantID: stage.ParticipantID(long)}, {OBS: &OBSState{Version: long}}, {OBS: &OBSState{WebSocket: long}},
		{OBS: &OBSState{Platform: long}}, {OBS: &OBSState{State: long}}, {OBS: &OBSState{Findings: []Finding{{ID: long, Level: "ok"}}}},
	} {
		if err := checkDock(in); !errors.Is(err, stage.ErrInvalid) {
			t.Errorf("%+v: got %v, want that it is refused", in, err)
		}
	}
	now := time.Now()
	h := newHub(nil, slow{}, slog.New(slog.DiscardHandler), func() time.Time { return now })
	for range dockBurst {
		if err := h.keepDock("ana", Dock{ID: "dockdock"}); err != nil {
			t.Fatal(err)
		}
	}
	var e *stage.Error
	if err := h.keepDock("ana", Dock{ID: "dockdock"}); !errors.As(err, &e) || e.Kind != stage.ErrTooMany || e.RetryAfter == 0 {
		t.Errorf("too often: got %v, want that it is to come later", err)
	}
	if err := h.keepDock("gus", Dock{ID: "dockdock"}); err != nil {
		t.Errorf("somebody else: got %v", err)
	}
	now = now.Add(time.Minute)
	if err := h.keepDock("ana", Dock{ID: "dockdock"}); err != nil {
		t.Errorf("a minute later: got %v", err)
	}
}

func TestStreamsAreCounted(t *testing.T) {
	t.Parallel()
	h := newHub(nil, slow{}, slog.New(slog.DiscardHandler), time.Now)
	ana := access.User{ID: "ana"}
	listen := func(proof string, n int) (l *listener, err error) {
		for range n {
			if l, err = h.listen(ana, proof); err != nil {
				break
			}
		}
		return l, err
	}
	first, err := listen("cookie", maxStreamsOfProof)
	if err != nil {
		t.Fatal(err)
	}
	full := func(proof string) {
		t.Helper()
		var e *stage.Error
		if _, err := listen(proof, 1); !errors.As(err, &e) || e.Code != "too_many_streams" || e.RetryAfter == 0 {
			t.Errorf("one more: got %v, want that it is to come later", err)
		}
	}
	full("cookie")
	if _, err := listen("a second cookie", maxStreams-maxStreamsOfProof); err != nil {
		t.Errorf("another login: got %v", err)
	}
	full("a third cookie")
	if _, err := h.listen(access.User{ID: "gus"}, "his"); err != nil {
		t.Errorf("another account: got %v", err)
	}
	h.leave(first)
	if _, err := listen("cookie", 1); err != nil {
		t.Errorf("in place of one that went: got %v", err)
	}
	for l := range h.listeners {
		h.leave(l)
	}
	if len(h.streams) != 0 {
		t.Errorf("when all went: got %v, want no count", h.streams)
	}
}

func TestRefusalsOfOneParticipantAreToldSeldom(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := newHub(nil, slow{}, slog.New(slog.DiscardHandler), func() time.Time { return now })
	refuse := func(id stage.ParticipantID, code string, want int) {
		t.Helper()
		for range 100 {
			h.tell(stage.Event{Kind: stage.EventRefused, Participant: id, Code: code})
		}
		if len(h.events) != want {
			t.Errorf("got %d events queued, want %d", len(h.events), want)
		}
	}
	refuse("ana", "token_revoked", 1)
	refuse("ana", "no_h264", 2)
	refuse("gus", "no_h264", 3)
	now = now.Add(knockPause)
	h.forgetKnocks()
	if len(h.knocks) != 0 {
		t.Errorf("got %d knocks remembered, want none", len(h.knocks))
	}
	refuse("ana", "token_revoked", 4)
}

func TestRefusalsAreTheFirstToBeLost(t *testing.T) {
	t.Parallel()
	h := newHub(nil, slow{}, slog.New(slog.DiscardHandler), time.Now)
	for i := range 2 * eventQueue {
		h.tell(stage.Event{Kind: stage.EventRefused, Participant: stage.ParticipantID(fmt.Sprint(i))})
	}
	if len(h.events) != refusalQueue {
		t.Errorf("got %d refusals queued, want %d", len(h.events), refusalQueue)
	}
	h.tell(stage.Event{Kind: stage.EventConnected, Participant: "ana"})
	if len(h.events) != refusalQueue+1 {
		t.Error("what happens on a stage found no place")
	}
}
