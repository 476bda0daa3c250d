package web

import (
	"context"
	"log/slog"
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

func next(t *testing.T, l *listener) (frame, bool) {
	t.Helper()
	select {
	case f, open := <-l.out:
		return f, open
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
	l := h.listen(access.User{ID: "olga"})
	h.watch(l, Me{Stages: []MyStage{{ARN: "aws"}, {ARN: "main"}}})
	if f, _ := next(t, l); f.name != "presence" || string(f.data) == "" {
		t.Errorf("got %q %s, want who is on the stage that answers", f.name, f.data)
	}
}

func TestAPageThatComesWhileTheServerStops(t *testing.T) {
	t.Parallel()
	h := runHub(t, slow{})
	early := h.listen(access.User{})
	h.stop()
	for _, l := range []*listener{early, h.listen(access.User{})} {
		if f, _ := next(t, l); f.name != "bye" {
			t.Errorf("got %q, want a farewell", f.name)
		}
		if _, open := next(t, l); open {
			t.Error("the stream goes on, and would hold the server back")
		}
	}
}

func TestAListenerThatFallsBehindIsCutOnce(t *testing.T) {
	t.Parallel()
	h := runHub(t, slow{})
	l := h.listen(access.User{ID: "ana"})
	for range 2 * frameQueue {
		h.tellDocks("ana")
	}
	h.stop()
	for range frameQueue {
		next(t, l)
	}
	if _, open := next(t, l); open {
		t.Error("a listener that does not read was not cut")
	}
}
