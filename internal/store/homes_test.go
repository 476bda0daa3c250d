package store_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/stagedoor/stagedoor/internal/homes"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestAStageHasOneHome: a stage stays with one server until that server leaves, or is marked as
// dead.
func TestAStageHasOneHome(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		_, _, arn := h.Scene()
		a, b := h.store, h.replica().store
		ok(t, a.Join(t.Context(), homes.Peer{ID: "a", URL: "https://192.0.2.1:8444"}))
		ok(t, b.Join(t.Context(), homes.Peer{ID: "b"}))
		claim := func(s homes.Store, id string) (home string, term int64) {
			t.Helper()
			home, term, err := s.Claim(t.Context(), arn, id)
			ok(t, err)
			return home, term
		}
		home, first := claim(a, "a")
		if home != "a" || first == 0 {
			t.Fatalf("got the home %q in term %d, want a", home, first)
		}
		if home, term := claim(b, "b"); home != "a" || term != 0 {
			t.Errorf("claimed by another: got %q in term %d, want a's", home, term)
		}
		if home, again := claim(a, "a"); home != "a" || again <= first {
			t.Errorf("claimed again by the home: got %q in term %d after %d, want a new term",
				home, again, first)
		}

		t.Log("a release of an earlier term has no effect")
		ok(t, a.LeaveHome(t.Context(), arn, "a", first))
		if home := must(b.Home(t.Context(), arn))(t); home != "a" {
			t.Errorf("got the home %q, want a still", home)
		}

		t.Log("a replica with a newer heartbeat is not marked as dead")
		ok(t, a.Beat(t.Context(), "a", true))
		if done := must(b.MarkDead(t.Context(), "a", 0))(t); done {
			t.Error("a replica whose beat counts on was marked as dead")
		}
		if done := must(b.MarkDead(t.Context(), "a", 1))(t); !done {
			t.Error("a replica whose beat stands still was not marked as dead")
		}
		if done := must(b.MarkDead(t.Context(), "a", 1))(t); done {
			t.Error("a replica was marked as dead twice")
		}
		missing(t, a.Beat(t.Context(), "a", false))
		_, _, err := a.Claim(t.Context(), arn, "a")
		missing(t, err)
		_, err = b.Home(t.Context(), arn)
		missing(t, err)
		peers := must(b.Peers(t.Context()))(t)
		if len(peers) != 2 {
			t.Fatalf("got the replicas %+v, want two", peers)
		}
		for _, p := range peers {
			if p.ID == "a" && (!p.Dead || !p.Draining || p.Beat != 1 ||
				p.URL != "https://192.0.2.1:8444") {
				t.Errorf("got %+v, want that it is marked as dead", p)
			}
		}
		if home, _ := claim(b, "b"); home != "b" {
			t.Errorf("got the home %q, want b", home)
		}
		ok(t, b.Forget(t.Context(), "a"))
		ok(t, b.Forget(t.Context(), "b")) // does not delete "b", which is not marked as dead
		if peers := must(b.Peers(t.Context()))(t); len(peers) != 1 || peers[0].ID != "b" {
			t.Errorf("got the replicas %+v, want b alone", peers)
		}
	})
}

// TestTheNextRunMarksACrashedRunAsDead: the next run of a replica marks the crashed run as dead. A
// replica on another machine with a copy of the data folder does not.
func TestTheNextRunMarksACrashedRunAsDead(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		_, _, arn := h.Scene()
		const url = "https://192.0.2.1:8444"
		ok(t, h.store.Join(t.Context(), homes.Peer{ID: "a", URL: url}))
		_, _, err := h.store.Claim(t.Context(), arn, "a")
		ok(t, err)
		start := func(url string) *homes.Homes {
			t.Helper()
			next := homes.New(homes.Config{
				Store: h.store, URL: url, Log: slog.New(slog.DiscardHandler), Before: "a",
				Joined: func(string) {}, Lost: func() {},
				End: func(context.Context, string) (bool, error) { return false, nil },
			})
			ok(t, next.Join(t.Context()))
			return next
		}
		start("https://192.0.2.2:8444")
		start("")
		if home := must(h.store.Home(t.Context(), arn))(t); home != "a" {
			t.Errorf("got the home %q, want a, which lives", home)
		}
		start(url)
		_, err = h.store.Home(t.Context(), arn)
		missing(t, err)
		missing(t, h.store.Beat(t.Context(), "a", false))
		peers := must(h.store.Peers(t.Context()))(t)
		live := slices.DeleteFunc(peers, func(p homes.Peer) bool { return p.Dead })
		if len(live) != 3 {
			t.Errorf("got the live replicas %+v, want three", live)
		}
	})
}

// TestTheEndsOfAServerAreRecordedOnce: if several servers notice the end of a server, the ends of
// its sessions are recorded once. Sessions of other servers are not affected.
func TestTheEndsOfAServerAreRecordedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		_, ana, arn := h.Scene()
		b := h.replica()
		publish := func(on *harness) stage.ParticipantID {
			t.Helper()
			id := on.Issued(ana, arn).Participant.ID
			must(on.Events.Record(t.Context(), stage.Event{
				Kind: stage.EventPublishing, Stage: arn, Participant: id, Time: h.Clock.Now(),
			}))(t)
			return id
		}
		h.store.ActAs("a")
		b.store.ActAs("b")
		lost, kept := publish(h), publish(b)
		open := func(server string) (ids []stage.ParticipantID) {
			t.Helper()
			for _, e := range must(h.store.OpenAt(t.Context(), server, 10))(t) {
				ids = append(ids, e.Participant)
			}
			return ids
		}
		if got := open("a"); len(got) != 1 || got[0] != lost {
			t.Errorf("open at a: got %v, want %v", got, lost)
		}
		if closed := must(h.store.CloseAt(t.Context(), lost, "b"))(t); closed {
			t.Error("a session of another server was closed")
		}

		counts := make([]int, 6)
		for _, err := range race(len(counts), func(i int) error {
			ended, _, err := []*harness{h, b}[i%2].Events.EndSessionsOf(t.Context(), "a")
			counts[i] = len(ended)
			return err
		}) {
			ok(t, err)
		}
		ends := 0
		for _, n := range counts {
			ends += n
		}
		if ends != 1 || len(open("a")) != 0 {
			t.Errorf("got %d ends, want one", ends)
		}
		if got := open("b"); len(got) != 1 || got[0] != kept {
			t.Errorf("open at b: got %v, want %v", got, kept)
		}
	})
}

func missing(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("got %v, want that it is not there", err)
	}
}
