// Package feedtest tests that an implementation of feed.Shared satisfies its contract.
package feedtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	arn     = stage.ARN("arn:aws:ivs:local:000000000000:stage/main")
	another = stage.ARN("arn:aws:ivs:local:000000000000:stage/side")
	limit   = 30 * time.Second // limit of waits; it matters only in failing tests
)

// Contract runs the tests. The given function returns two replicas that share new and empty state.
// They may be the same object.
func Contract(t *testing.T, open func(t *testing.T) (a, b feed.Shared)) {
	for name, test := range map[string]func(*testing.T, feed.Shared, feed.Shared){
		"relay": relay, "board": board, "docks": docks, "chat": chat,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			test(t, a, b)
		})
	}
}

// An inbox collects what a replica receives.
type inbox struct {
	mu      sync.Mutex
	got     []feed.Notice
	changed chan struct{}
}

// receive starts a receiver, and returns when it receives.
func receive(t *testing.T, s feed.Shared) *inbox {
	t.Helper()
	in := &inbox{changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Receive(ctx, in.deliver) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Receive: got %v", err)
		}
	})
	probe := feed.Notice{Kind: "probe", User: access.UserID(stage.NewID())}
	in.await(t, func(all []feed.Notice) bool {
		if len(all) == 0 {
			send(t, s, probe)
		}
		return slices.ContainsFunc(all, func(n feed.Notice) bool { return n.User == probe.User })
	})
	return in
}

func (in *inbox) deliver(n feed.Notice) {
	in.mu.Lock()
	in.got = append(in.got, n)
	in.mu.Unlock()
	select {
	case in.changed <- struct{}{}:
	default:
	}
}

// await returns when the given function accepts the received notices.
func (in *inbox) await(t *testing.T, match func([]feed.Notice) bool) {
	t.Helper()
	over := time.After(limit)
	for {
		in.mu.Lock()
		all := slices.Clone(in.got)
		in.mu.Unlock()
		if match(all) {
			return
		}
		select {
		case <-in.changed:
		case <-time.After(50 * time.Millisecond): // match may send notices itself
		case <-over:
			t.Fatalf("received %d notices, and not what was waited for", len(all))
		}
	}
}

// words returns the texts of the received messages.
func (in *inbox) words() (words []string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, n := range in.got {
		if n.Kind == feed.KindMessage {
			words = append(words, string(n.Data))
		}
	}
	return words
}

func send(t *testing.T, s feed.Shared, notices ...feed.Notice) {
	t.Helper()
	if err := s.Send(t.Context(), notices...); err != nil {
		t.Fatalf("Send: got %v", err)
	}
}

// relay tests that each replica receives every notice once, in the same order as the others, no
// matter which replica sent it.
func relay(t *testing.T, a, b feed.Shared) {
	one, two := receive(t, a), receive(t, b)
	full := feed.Notice{Kind: feed.KindEvent, User: "ana", Stage: arn, Data: json.RawMessage(`{"id":7}`)}
	send(t, a, full, feed.Notice{Kind: feed.KindAccess})
	for _, in := range []*inbox{one, two} {
		in.await(t, func(all []feed.Notice) bool {
			return slices.ContainsFunc(all, func(n feed.Notice) bool {
				return n.Kind == full.Kind && n.User == full.User && n.Stage == full.Stage &&
					string(n.Data) == string(full.Data)
			}) && slices.ContainsFunc(all, func(n feed.Notice) bool {
				return n.Kind == feed.KindAccess && n.User == "" && n.Data == nil
			})
		})
	}
	const each = 50
	var senders sync.WaitGroup
	for i, s := range []feed.Shared{a, b, a, b} {
		senders.Go(func() {
			for n := range each {
				word, _ := json.Marshal(fmt.Sprintf("%d %d %s", i, n, strings.Repeat("x", 10_000)))
				if err := s.Send(context.Background(),
					feed.Notice{Kind: feed.KindMessage, Data: word}); err != nil {
					t.Errorf("Send: got %v", err)
				}
			}
		})
	}
	senders.Wait()
	for _, in := range []*inbox{one, two} {
		in.await(t, func([]feed.Notice) bool { return len(in.words()) >= 4*each })
	}
	first, second := one.words(), two.words()
	if !slices.Equal(first, second) {
		t.Error("two replicas received different orders")
	}
	slices.Sort(first)
	if n := len(slices.Compact(first)); n != 4*each {
		t.Errorf("received %d different notices, want %d", n, 4*each)
	}
}

// board tests that a replica reads the latest posts of the others.
func board(t *testing.T, a, b feed.Shared) {
	since := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	ana := stage.Presence{
		Participant: stage.Participant{
			ID: "p1", UserID: "ana", Stage: arn, Attributes: map[string]string{"name": "Ana"},
			Capabilities: stage.Publish, ExpiresAt: since.Add(time.Hour), View: stage.ViewGrid,
		},
		Since: since, Publishing: true, VideoMuted: true, Viewers: 3, Reception: &stage.Reception{
			Loss: 0.5,
		},
	}
	post := func(s feed.Shared, replica string, present map[stage.ARN][]stage.Presence) {
		t.Helper()
		if err := s.Post(t.Context(), replica, present); err != nil {
			t.Fatalf("Post: got %v", err)
		}
	}
	want := func(s feed.Shared, except string, want map[stage.ARN][]stage.Presence) {
		t.Helper()
		got, err := s.Posts(t.Context(), except)
		if err != nil {
			t.Fatalf("Posts: got %v", err)
		}
		gotText, _ := json.Marshal(got)
		wantText, _ := json.Marshal(want)
		if string(gotText) != string(wantText) {
			t.Errorf("except %q: got %s, want %s", except, gotText, wantText)
		}
	}
	empty := map[stage.ARN][]stage.Presence{}
	want(b, "b", empty)
	post(a, "a", map[stage.ARN][]stage.Presence{arn: {ana}})
	want(b, "b", map[stage.ARN][]stage.Presence{arn: {ana}})
	want(a, "a", empty)
	ana.Viewers = 4
	post(a, "a", map[stage.ARN][]stage.Presence{another: {ana}})
	post(b, "b", map[stage.ARN][]stage.Presence{arn: {ana}})
	want(b, "b", map[stage.ARN][]stage.Presence{another: {ana}})
	want(a, "", map[stage.ARN][]stage.Presence{arn: {ana}, another: {ana}})
	post(a, "a", nil)
	want(b, "b", empty)
}

func docks(t *testing.T, a, b feed.Shared) {
	ctx := t.Context()
	opened := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	dock := feed.Dock{
		ID: "dock0001", Since: opened, Address: "192.0.2.1", Agent: "OBS", Live: true,
		ParticipantID: "p1",
		OBS: &feed.OBSState{
			Version: "32", Findings: []feed.Finding{{ID: "a", Level: "ok", Text: "ä"}},
		},
	}
	put := func(user access.UserID, d feed.Dock, seen time.Time) {
		t.Helper()
		if err := a.PutDock(ctx, user, d, seen); err != nil {
			t.Fatalf("PutDock: got %v", err)
		}
	}
	want := func(user access.UserID, want map[access.UserID][]feed.Dock) {
		t.Helper()
		got, err := b.Docks(ctx, user)
		if err != nil {
			t.Fatalf("Docks: got %v", err)
		}
		for _, list := range got {
			slices.SortFunc(list, func(a, b feed.Dock) int { return strings.Compare(a.ID, b.ID) })
		}
		gotText, _ := json.Marshal(got)
		wantText, _ := json.Marshal(want)
		if string(gotText) != string(wantText) {
			t.Errorf("docks of %q: got %s, want %s", user, gotText, wantText)
		}
	}
	want("ana", map[access.UserID][]feed.Dock{})
	put("ana", dock, opened)
	put("ana", feed.Dock{ID: "dock0002", Since: opened}, opened)
	put("ben", feed.Dock{ID: "dock0001", Since: opened}, opened)
	dock.Live = false
	put("ana", dock, opened.Add(time.Minute))
	anas := []feed.Dock{dock, {ID: "dock0002", Since: opened}}
	want("ana", map[access.UserID][]feed.Dock{"ana": anas})
	want("", map[access.UserID][]feed.Dock{"ana": anas, "ben": {{ID: "dock0001", Since: opened}}})

	users, err := b.ExpireDocks(ctx, opened.Add(time.Second))
	slices.Sort(users)
	if err != nil || !slices.Equal(users, []access.UserID{"ana", "ben"}) {
		t.Errorf("ExpireDocks: got %v, %v, want ana and ben", users, err)
	}
	want("", map[access.UserID][]feed.Dock{"ana": {dock}})
	if found, err := b.DeleteDock(ctx, "ana", "dock0001"); err != nil || !found {
		t.Errorf("DeleteDock: got %v, %v, want that it was there", found, err)
	}
	if found, err := b.DeleteDock(ctx, "ana", "dock0001"); err != nil || found {
		t.Errorf("DeleteDock once more: got %v, %v, want that it was not there", found, err)
	}
	want("", map[access.UserID][]feed.Dock{})
}

func chat(t *testing.T, a, b feed.Shared) {
	ctx := t.Context()
	begun := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	message := func(i int) feed.ChatMessage {
		return feed.ChatMessage{
			ID: fmt.Sprint("m", i), Time: begun.Add(time.Duration(i) * time.Second), UserID: "ana",
			Name: "Ana", Text: "ä",
		}
	}
	want := func(arn stage.ARN, limit int, want feed.Room) {
		t.Helper()
		got, err := b.Room(ctx, arn, limit)
		if err != nil {
			t.Fatalf("Room: got %v", err)
		}
		if !slices.Equal(got.Messages, want.Messages) || !slices.Equal(got.Muted, want.Muted) ||
			!got.LastPost.Equal(want.LastPost) {
			t.Errorf("room: got %+v, want %+v", got, want)
		}
	}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: got %v", what, err)
		}
	}
	want(arn, 10, feed.Room{})
	check("DeleteMessages of an empty room", a.DeleteMessages(ctx, arn, begun))
	for i := range 6 {
		check("AddMessage", a.AddMessage(ctx, arn, message(i), 4))
	}
	last := message(5).Time
	check("AddMessage elsewhere", a.AddMessage(ctx, another, message(9), 4))
	want(arn, 3, feed.Room{
		Messages: []feed.ChatMessage{message(3), message(4), message(5)}, LastPost: last,
	})
	found, err := a.DeleteMessage(ctx, arn, "m5")
	if check("DeleteMessage", err); !found {
		t.Error("DeleteMessage: the message was not there")
	}
	found, err = a.DeleteMessage(ctx, arn, "m9")
	if check("DeleteMessage", err); found {
		t.Error("DeleteMessage: a message of another stage was there")
	}
	want(arn, 2, feed.Room{Messages: []feed.ChatMessage{message(3), message(4)}, LastPost: last})

	gus, eve := feed.Person{ID: "gus", Name: "Gus"}, feed.Person{ID: "eve", Name: "Eve"}
	for _, p := range []feed.Person{gus, eve, gus} {
		check("Mute", a.Mute(ctx, arn, p, true))
	}
	r, err := b.Room(ctx, arn, 1)
	if check("Room", err); len(r.Muted) != 2 || !slices.Contains(r.Muted, gus) ||
		!slices.Contains(r.Muted, eve) {
		t.Errorf("muted: got %v, want gus and eve once", r.Muted)
	}
	check("Mute", a.Mute(ctx, arn, gus, false))
	check("Mute", a.Mute(ctx, arn, gus, false))
	check("DeleteMessages", a.DeleteMessages(ctx, arn, message(3).Time))
	want(arn, 10, feed.Room{
		Messages: []feed.ChatMessage{message(4)}, Muted: []feed.Person{eve}, LastPost: last,
	})
	want(another, 10, feed.Room{
		Messages: []feed.ChatMessage{message(9)}, LastPost: message(9).Time,
	})
}
