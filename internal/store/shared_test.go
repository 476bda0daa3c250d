package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest/feedtest"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
)

func sharedOf(t testing.TB, s *store.Store, direct string) feed.Shared {
	t.Helper()
	shared, err := s.Shared(direct, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return shared
}

func TestReplicasShareByPostgreSQL(t *testing.T) {
	t.Parallel()
	feedtest.Contract(t, func(t *testing.T) (a, b feed.Shared) {
		where := postgres.Migrated(t)
		return sharedOf(t, openAt(t, where), ""), sharedOf(t, openAt(t, where), "")
	})
}

// TestReplicasShareWithoutNotifications: one replica has an unreachable direct address, so it
// receives no notifications.
func TestReplicasShareWithoutNotifications(t *testing.T) {
	t.Parallel()
	feedtest.Contract(t, func(t *testing.T) (a, b feed.Shared) {
		where := postgres.Migrated(t)
		nowhere := "postgres://stagedoor@127.0.0.1:1/stagedoor"
		return sharedOf(t, openAt(t, where), nowhere), sharedOf(t, openAt(t, where), "")
	})
}

func TestOneServerSharesByMemoryAndItsFile(t *testing.T) {
	t.Parallel()
	feedtest.Contract(t, func(t *testing.T) (a, b feed.Shared) {
		s := sharedOf(t, openAt(t, databases["SQLite"](t)), "")
		return s, s
	})
}

// A replica is a running feed. The channel `frames` has the frames of all its pages.
type replica struct {
	*feed.Feed
	chat   *feed.Chat
	frames chan feed.Frame
}

// runReplica starts a feed with its own connections to the database. Two pages receive its frames:
// one of ana's account, and one of the stage.
func runReplica(t *testing.T, where string) *replica {
	t.Helper()
	s := openAt(t, where)
	f := feed.New(feed.Config{
		Shared: sharedOf(t, s, ""), Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	r := &replica{Feed: f, chat: feed.NewChat(f), frames: make(chan feed.Frame, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- f.Run(ctx, feed.Sources{
			Record: func(ctx context.Context, e stage.Event) (access.StoredEvent, error) {
				return s.AddEvent(ctx, access.StoredEvent{User: access.UserID(e.UserID), Event: e})
			},
			Participants: func(context.Context, stage.ARN) ([]stage.Presence, error) {
				return nil, nil
			},
		})
	}()
	t.Cleanup(func() {
		cancel()
		ok(t, <-done)
	})
	for _, l := range []feed.Listener{{User: "ana"}, {User: "ben", Page: fleetStage}} {
		r.listen(t, l)
	}
	return r
}

const fleetStage = stage.ARN("arn:aws:ivs:local:000000000000:stage/fleet")

func (r *replica) listen(t *testing.T, l feed.Listener) {
	t.Helper()
	var s *feed.Stream
	take := func() {
		for frame, got, _ := s.Take(); got; frame, got, _ = s.Take() {
			r.frames <- frame
		}
	}
	ready := make(chan struct{}, 1)
	l.Ready = func() { ready <- struct{}{} }
	s, err := r.Listen(l)
	ok(t, err)
	done := make(chan struct{})
	go func() {
		for take(); ; take() {
			select {
			case <-ready:
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() { close(done); s.Close() })
}

// await returns the next frame that matches.
func (r *replica) await(t *testing.T, what string, match func(feed.Frame) bool) feed.Frame {
	t.Helper()
	over := time.After(30 * time.Second)
	for {
		select {
		case frame := <-r.frames:
			if match(frame) {
				return frame
			}
		case <-over:
			t.Fatalf("%s did not arrive", what)
		}
	}
}

func named(name string) func(feed.Frame) bool {
	return func(f feed.Frame) bool { return f.Name == name }
}

func TestThreeReplicasActAsOne(t *testing.T) {
	t.Parallel()
	where := postgres.Migrated(t)
	fleet := []*replica{runReplica(t, where), runReplica(t, where), runReplica(t, where)}
	for i, r := range fleet { // wait until each replica receives notices
		for received := false; !received; {
			r.AccessChanged("ana")
			select {
			case frame := <-r.frames:
				received = frame.Name == feed.FrameLook
			case <-time.After(100 * time.Millisecond):
			}
		}
		t.Log("replica", i, "receives")
	}
	for i, from := range fleet {
		from.StageEvent(stage.Event{
			Kind: stage.EventPublishing, Participant: "p", UserID: "ana", Stage: fleetStage,
		})
		for _, r := range fleet {
			if frame := r.await(t, "the event", named("stage")); frame.ID != int64(i+1) {
				t.Errorf("event of replica %d: got ID %d, want %d", i, frame.ID, i+1)
			}
		}
		by := feed.Person{ID: access.UserID(fmt.Sprint("writer ", i)), Name: "Writer"}
		_, err := from.chat.Post(t.Context(), fleetStage, by, "hello", nil)
		ok(t, err)
		for _, r := range fleet {
			r.await(t, "the message", named("message"))
		}
		from.AccessChanged("")
		for _, r := range fleet {
			r.await(t, "the change of access", named(feed.FrameLook))
		}
	}

	t.Log("a user who is muted on one replica is muted on all")
	ok(t, fleet[0].chat.Mute(t.Context(), fleetStage, feed.Person{ID: "writer 1"}, true, nil))
	for _, r := range fleet {
		r.await(t, "the change of the chat", named(feed.FrameChat))
		_, err := r.chat.Post(t.Context(), fleetStage, feed.Person{ID: "writer 1"}, "again", nil)
		refused(t, err, stage.ErrDenied, "muted")
	}
}

func TestTheChatOutlivesARestart(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		_, _, arn := h.Scene()
		message := feed.ChatMessage{ID: "m1", Time: time.UnixMilli(1_800_000_000_123).UTC(),
			UserID: "ana", Name: "Ana", Text: "still here"}
		before := sharedOf(t, h.store, "")
		ok(t, before.AddMessage(t.Context(), arn, message, 10))
		ok(t, before.Mute(t.Context(), arn, feed.Person{ID: "gus", Name: "Gus"}, true))
		again := openAt(t, h.where)
		room := must(sharedOf(t, again, "").Room(t.Context(), arn, 10))(t)
		if len(room.Messages) != 1 || room.Messages[0] != message || len(room.Muted) != 1 {
			t.Errorf("got %+v, want the message, and gus muted", room)
		}

		t.Log("the chat is deleted with its stage, and messages after a week")
		_, err := again.Prune(t.Context(), access.Retention{Chat: message.Time}, 10)
		ok(t, err)
		if room := must(again.Room(t.Context(), arn, 10))(t); len(room.Messages) != 1 {
			t.Error("a message was deleted before its time")
		}
		_, err = again.Prune(t.Context(),
			access.Retention{Chat: message.Time.Add(time.Millisecond)}, 10)
		ok(t, err)
		if room := must(again.Room(t.Context(), arn, 10))(t); len(room.Messages) != 0 ||
			len(room.Muted) != 1 {
			t.Errorf("after a week: got %+v, want no message, and gus muted", room)
		}
		ok(t, again.CloseStage(t.Context(), arn, time.Now()))
		ok(t, again.DeleteStage(t.Context(), arn))
		if room := must(again.Room(t.Context(), arn, 10))(t); len(room.Muted) != 0 {
			t.Errorf("the chat room after its stage was deleted: got %+v, want it empty", room)
		}
	})
}

// TestAReplicaThatWasAwayTooLong: the notices that a replica has missed are deleted already, so its
// streams must resume.
func TestAReplicaThatWasAwayTooLong(t *testing.T) {
	t.Parallel()
	where := postgres.Migrated(t)
	db, err := sql.Open("pgx", where)
	ok(t, err)
	defer db.Close()
	s := openAt(t, where)
	shared := sharedOf(t, s, "")
	got := make(chan feed.Notice, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- shared.Receive(ctx, func(n feed.Notice) { got <- n }) }()
	defer func() { cancel(); ok(t, <-done) }()
	for received := false; !received; {
		ok(t, shared.Send(t.Context(), feed.Notice{Kind: feed.KindAccess}))
		select {
		case <-got:
			received = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	// This simulates notices that others wrote and deleted while this replica was unreachable.
	_, err = db.Exec("UPDATE counters SET value = value + 5 WHERE name = 'notice'")
	ok(t, err)
	for {
		select {
		case n := <-got:
			if n.Kind == feed.KindGap {
				return
			}
		case <-time.After(30 * time.Second):
			t.Fatal("no gap was reported")
		}
	}
}

// TestANotificationOnlyWakesTheReaders: several notices in one call cause one notification, with
// only the highest number. A token causes none, because a notification takes a lock on the whole
// database server.
func TestANotificationOnlyWakesTheReaders(t *testing.T) {
	t.Parallel()
	h := newHarness(t, postgres.Migrated(t))
	_, ana, arn := h.Scene()
	shared := sharedOf(t, h.store, "")
	ears, err := pgx.Connect(t.Context(), h.where)
	ok(t, err)
	defer ears.Close(context.WithoutCancel(t.Context()))
	_, err = ears.Exec(t.Context(), "LISTEN stagedoor")
	ok(t, err)
	rings := func(want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if heard := must(ears.WaitForNotification(ctx))(t); heard.Payload != want {
			t.Errorf("got a notification with %q, want %q", heard.Payload, want)
		}
	}
	ok(t, shared.Send(t.Context(), slices.Repeat([]feed.Notice{{Kind: feed.KindAccess}}, 50)...))
	rings("50")
	for range 3 {
		h.Issued(ana, arn)
	}
	ok(t, shared.Send(t.Context(), feed.Notice{Kind: feed.KindAccess}))
	rings("51")
}

// TestAPostEndsWithItsReplica: a post that its replica does not renew is no longer listed. Package
// feed tests the same for feed.Memory.
func TestAPostEndsWithItsReplica(t *testing.T) {
	t.Parallel()
	where := postgres.Migrated(t)
	a, b := sharedOf(t, openAt(t, where), ""), sharedOf(t, openAt(t, where), "")
	db, err := sql.Open("pgx", where)
	ok(t, err)
	defer db.Close()
	ok(t, a.Post(t.Context(), "a", map[stage.ARN][]stage.Presence{fleetStage: {{}}}))
	if posts := must(b.Posts(t.Context(), "b"))(t); len(posts) != 1 {
		t.Errorf("got %v, want the post", posts)
	}
	_, err = db.Exec("UPDATE posts SET at = at - $1",
		(3*feed.PostEvery + time.Second).Milliseconds())
	ok(t, err)
	if posts := must(b.Posts(t.Context(), "b"))(t); len(posts) != 0 {
		t.Error("the post of a replica that is gone is still there")
	}
	ok(t, a.Post(t.Context(), "a", map[stage.ARN][]stage.Presence{fleetStage: {{}}}))
	if posts := must(b.Posts(t.Context(), "b"))(t); len(posts) != 1 {
		t.Error("the post of a replica that is back is missing")
	}
}

func TestAnEventOfAWSIsStoredOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		begun := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
		stores := []*store.Store{h.store, h.replica().store, h.replica().store}
		report := func(kind stage.EventKind, code string, at time.Time) (users int) {
			t.Helper()
			var told atomic.Int64
			for _, err := range race(len(stores), func(i int) error {
				stored, err := stores[i].AddEvent(t.Context(),
					access.StoredEvent{User: "ana", Event: stage.Event{
						Kind: kind, Code: code, Time: at, Stage: awsARN, Participant: "p1",
					}})
				if stored.User != "" {
					told.Add(1)
				}
				return err
			}) {
				ok(t, err)
			}
			return int(told.Load())
		}
		if n := report(stage.EventPublishing, "", begun); n != 1 {
			t.Errorf("a start: %d were told, want one", n)
		}
		if n := report(stage.EventEnded, "ended", begun.Add(time.Minute)); n != 1 {
			t.Errorf("an end: %d were told, want one", n)
		}
		if n := report(stage.EventEnded, "kicked", begun.Add(time.Minute+3*time.Second)); n != 1 {
			t.Errorf("its reason: %d were told, want one", n)
		}
		events := must(h.store.Events(t.Context(), "ana", 0, begun, 100))(t)
		if len(events) != 2 || events[1].Code != "kicked" || events[1].ID <= events[0].ID+1 {
			t.Errorf("got %+v, want a start and a kick", events)
		}
		if open := must(h.store.Unfinished(t.Context(), 10))(t); len(open) != 0 {
			t.Errorf("open: got %v, want none", open)
		}
	})
}

// TestADeliveryHasOneSender: replicas that claim deliveries at the same time get different
// deliveries.
func TestADeliveryHasOneSender(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		now := time.UnixMilli(1_800_000_000_000).UTC()
		ok(t, h.store.PutWebhook(t.Context(),
			access.Webhook{ID: "hook", URL: "https://receiver.example", CreatedAt: now}))
		const due = 40
		for i := range due {
			ok(t, h.store.AddDelivery(t.Context(), access.Delivery{
				ID: fmt.Sprint("d", i), Webhook: "hook", Body: []byte("{}"), CreatedAt: now,
				NextAt: now,
			}))
		}
		stores := []*store.Store{h.store, h.replica().store, h.replica().store}
		var claimed sync.Map
		for _, err := range race(12, func(i int) error {
			for {
				got, err := stores[i%3].ClaimDeliveries(t.Context(), "hook", now,
					now.Add(time.Minute), 3)
				if err != nil || len(got) == 0 {
					return err
				}
				for _, d := range got {
					if _, twice := claimed.LoadOrStore(d.ID, i); twice {
						t.Errorf("%s was claimed twice", d.ID)
					}
				}
			}
		}) {
			ok(t, err)
		}
		n := 0
		claimed.Range(func(any, any) bool { n++; return true })
		if got := must(h.store.ClaimDeliveries(t.Context(), "hook", now, now.Add(time.Minute),
			due))(t); n+len(got) != due {
			t.Errorf("%d were claimed, and %d later, want %d", n, len(got), due)
		}
	})
}
