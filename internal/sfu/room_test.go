package sfu_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// code returns the code of the error, or "".
func code(err error) string {
	var e *stage.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// publishes sends the offer of a publisher that never connects.
func (h *harness) publishes(id stage.ParticipantID) error {
	h.t.Helper()
	_, _, err := h.Publish(h.t.Context(), h.who(id), readOffer(h.t, "obs-30.2"))
	return err
}

func (h *harness) watches(user string, n int, target stage.ParticipantID) error {
	h.t.Helper()
	who := h.who(stage.ParticipantID(fmt.Sprintf("%s-%d", user, n)))
	who.UserID = user
	_, _, err := h.Subscribe(h.t.Context(), who, target, readOffer(h.t, "chromium-view"))
	return err
}

func readOffer(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/offers/" + name + ".sdp")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestOnePersonHasSoManyViews: each page of a user is a participant of its own, but all of them
// count as views of one person.
func TestOnePersonHasSoManyViews(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *sfu.Config) { c.MaxViews = 4 })
	h.publish("ana", rtcpeer.PublishOptions{})
	for n := range 2 {
		if err := h.watches("eve", n, "ana"); err != nil {
			t.Fatalf("view %d: %v", n, err)
		}
	}
	err := h.watches("eve", 2, "ana")
	var e *stage.Error
	if !errors.As(err, &e) || e.Code != "too_many" || !errors.Is(err, stage.ErrTooMany) ||
		e.RetryAfter == 0 {
		t.Errorf("a third that has to connect: got %v, want too_many with a time", err)
	}
	for n := range 4 {
		who := h.who(stage.ParticipantID(fmt.Sprintf("ben-%d", n)))
		who.UserID = "ben"
		v, err := rtcpeer.View(t, func(ctx context.Context, offer string) (rtcpeer.Answer, error) {
			s, sdp, err := h.Subscribe(ctx, who, "ana", offer)
			if err != nil {
				return rtcpeer.Answer{}, err
			}
			return rtcpeer.Answer{SDP: sdp, HangUp: func(context.Context) error {
				s.Close("deleted",
					"Deleted.")
				return nil
			}}, nil
		}, rtcpeer.ViewOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.WaitFrames(patient(t), 1); err != nil {
			t.Fatal(err)
		}
	}
	if got := code(h.watches("ben", 9, "ana")); got != "too_many" {
		t.Errorf("a fifth view: got %q, want too_many", got)
	}
	if err := h.watches("cleo", 0, "ana"); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

// TestViewersLeaveRoom: viewers leave sessions free for publishers. Viewers that never connect take
// at most a quarter of the sessions.
func TestViewersLeaveRoom(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *sfu.Config) { c.MaxSessions = 20; c.MaxPublishers = 100 })
	if err := h.publishes("p0"); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if err := h.watches(fmt.Sprint("stranger", n), 0, "p0"); err != nil {
			t.Fatalf("viewer %d: %v", n, err)
		}
	}
	if got := code(h.watches("stranger", 6, "p0")); got != "server_full" {
		t.Errorf("a sixth that does not connect: got %q, want server_full", got)
	}

	h = newHarness(t, func(c *sfu.Config) { c.MaxSessions = 20; c.MaxPublishers = 100 })
	for n := range 18 {
		if err := h.publishes(stage.ParticipantID(fmt.Sprint("p", n))); err != nil {
			t.Fatalf("publisher %d: %v", n, err)
		}
	}
	if got := code(h.watches("stranger", 0, "p0")); got != "server_full" {
		t.Errorf("a viewer in the reserve: got %q, want server_full", got)
	}
	for n := 18; n < 20; n++ {
		if err := h.publishes(stage.ParticipantID(fmt.Sprint("p", n))); err != nil {
			t.Errorf("publisher %d: %v", n, err)
		}
	}
	if got := code(h.publishes("late")); got != "server_full" {
		t.Errorf("one too many: got %q, want server_full", got)
	}
}

// TestAPlaceIsForThoseWhoSend: on a full stage, a new publisher replaces one that sends nothing.
func TestAPlaceIsForThoseWhoSend(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	h := newHarness(t, func(c *sfu.Config) {
		c.MaxPublishers = 2
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	h.publish("ana", rtcpeer.PublishOptions{})
	h.waitEvent("ana", stage.EventPublishing, "")
	if err := h.publishes("idle"); err != nil {
		t.Fatal(err)
	}
	if got := code(h.publishes("ben")); got != "stage_full" {
		t.Errorf("at once: got %q, want stage_full", got)
	}
	ahead.Store(int64(11 * time.Second))
	if err := h.publishes("ben"); err != nil {
		t.Errorf("after 11s: %v", err)
	}
	h.waitEvent("idle", stage.EventEnded, "never_connected")
	if got := code(h.publishes("cleo")); got != "stage_full" {
		t.Errorf("one more: got %q, want stage_full", got)
	}
}
