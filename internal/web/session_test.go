package web

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestChatIsKeptForOneSessionOfTheStage(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	now := start
	c := newChat(func() time.Time { return now }, func(stage.ARN, frame) {})
	arn := stage.LocalARN("main")
	ana := access.Principal{User: access.User{ID: "ana", Name: "ana"}, Kind: access.KindLogin, Capabilities: stage.Publish}
	kept := func(present ...stage.Presence) int { return len(c.history(arn, ana, present).Messages) }
	onAir := stage.Presence{Publishing: true, Since: start.Add(-time.Hour)}

	t.Log("a broadcast of hours keeps it, however long nobody writes")
	if _, err := c.post(arn, ana, "good evening", []stage.Presence{onAir}); err != nil {
		t.Fatal(err)
	}
	now = start.Add(3 * time.Hour)
	if n := kept(onAir); n != 1 {
		t.Errorf("during the broadcast: got %d messages, want 1", n)
	}

	t.Log("to mute somebody or to delete something is no end of it")
	if err := c.mute(arn, ana, access.User{ID: "eve"}, false, []stage.Presence{onAir}); err != nil {
		t.Fatal(err)
	}
	if err := c.remove(arn, ana, "another", []stage.Presence{onAir}); !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("a message that is not there: got %v", err)
	}
	if n := kept(onAir); n != 1 {
		t.Errorf("after that: got %d messages, want 1", n)
	}

	t.Log("so does a pause in which OBS is started anew")
	now = start.Add(chatQuiet - time.Second)
	if n := kept(); n != 1 {
		t.Errorf("in the pause: got %d messages, want 1", n)
	}

	t.Log("the next evening begins with an empty room, in which the muted are muted still")
	if err := c.mute(arn, ana, access.User{ID: "gus", Name: "gus"}, true, nil); err != nil {
		t.Fatal(err)
	}
	now = start.Add(24 * time.Hour)
	next := stage.Presence{Publishing: true, Since: now.Add(-time.Minute)}
	if n := kept(next); n != 0 {
		t.Errorf("in the next session: got %d messages, want none", n)
	}
	if h := c.history(arn, ana, nil); len(h.Muted) != 1 {
		t.Errorf("who is muted: got %+v, want gus", h.Muted)
	}
}

func TestARoomKeepsSoMuchAndNoMore(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	c := newChat(func() time.Time { return now }, func(stage.ARN, frame) {})
	ana := access.Principal{User: access.User{ID: "ana"}}
	for range chatKept + 10 {
		now = now.Add(chatPace)
		if _, err := c.post("arn", ana, "text", nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.history("arn", ana, nil).Messages); n != chatKept {
		t.Errorf("got %d messages, want %d", n, chatKept)
	}
}

func TestNothingThatIsDeletedMakesAnybodyFaster(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
	c := newChat(func() time.Time { return now }, func(stage.ARN, frame) {})
	gus, olga := access.Principal{User: access.User{ID: "gus"}}, access.Principal{User: access.User{ID: "olga"}, Kind: access.KindLogin, Capabilities: stage.Publish}
	post := func() (ids []string) {
		for {
			m, err := c.post("arn", gus, "text", nil)
			if err != nil {
				return ids
			}
			ids = append(ids, m.ID)
		}
	}
	said := post()
	for _, id := range said {
		if err := c.remove("arn", gus, id, nil); err != nil {
			t.Errorf("to take back what he said: got %v", err)
		}
	}
	if again := post(); len(said) != chatBurst || len(again) != 0 {
		t.Errorf("got %d messages at first and %d once those were deleted, want %d and none", len(said), len(again), chatBurst)
	}

	t.Log("to delete has a pace, too, but not for who cleans up")
	if err := c.remove("arn", gus, "any", nil); !errors.Is(err, stage.ErrTooMany) {
		t.Errorf("one deletion more: got %v, want that he waits", err)
	}
	for range 3 * chatBurst {
		if err := c.remove("arn", olga, "any", nil); !errors.Is(err, stage.ErrNotFound) {
			t.Errorf("a moderator: got %v, want that there is no such message", err)
		}
	}

	t.Log("a crowd does not make anybody faster either, and who rested is forgotten")
	for i := range chatMembers + 1 {
		if _, err := c.post("arn", access.Principal{User: access.User{ID: access.UserID(fmt.Sprint("fan ", i))}}, "text", nil); err != nil {
			t.Fatal(err)
		}
	}
	if again := post(); len(again) != 0 {
		t.Errorf("in a crowd: got %d messages, want none", len(again))
	}
	now = now.Add(chatBurst * chatPace)
	if _, err := c.post("arn", access.Principal{User: access.User{ID: "zoe"}}, "text", nil); err != nil {
		t.Fatal(err)
	}
	if n := len(c.rooms["arn"].paces); n != 1 {
		t.Errorf("got %d paces, want that of zoe alone", n)
	}
}

func FuzzCleanMessage(f *testing.F) {
	for _, text := range []string{"hello", " \n", "a\u202eb", "\x00", "\xff", "\u200b", "👩‍🚀", strings.Repeat("é", 501)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clean, err := cleanMessage(text)
		if err != nil {
			return
		}
		if again, err := cleanMessage(clean); err != nil || again != clean {
			t.Errorf("cleaned twice: got %q, %v, want %q", again, err, clean)
		}
		if !utf8.ValidString(clean) || utf8.RuneCountInString(clean) > chatLength || !strings.ContainsFunc(clean, visible) {
			t.Errorf("got %q", clean)
		}
		if strings.ContainsFunc(clean, func(c rune) bool { return unicode.IsControl(c) && c != '\n' }) {
			t.Errorf("control characters are left in %q", clean)
		}
	})
}

func TestNobodyIsMutedWhoIsNotThere(t *testing.T) {
	t.Parallel()
	c := newChat(time.Now, func(stage.ARN, frame) {})
	olga := access.Principal{User: access.User{ID: "olga"}, Kind: access.KindLogin, Capabilities: stage.Publish}
	present := []stage.Presence{
		{Participant: stage.Participant{ID: "p1", UserID: "seen"}}, {Participant: stage.Participant{ID: "nameless"}},
	}
	if _, err := c.post("arn", access.Principal{User: access.User{ID: "heard"}}, "text", present); err != nil {
		t.Fatal(err)
	}
	for _, id := range []access.UserID{"invented", access.UserID(strings.Repeat("x", 28000))} {
		if err := c.mute("arn", olga, access.User{ID: id}, true, present); !errors.Is(err, stage.ErrNotFound) {
			t.Errorf("%.10s: got %v, want that there is nobody", id, err)
		}
	}
	for _, person := range []access.User{{ID: "heard"}, {ID: "seen"}, {ID: "nameless"}, {ID: "away", Name: "has an account"}} {
		if err := c.mute("arn", olga, person, true, present); err != nil {
			t.Errorf("%s: got %v", person.ID, err)
		}
	}
	if err := c.mute("arn", olga, access.User{ID: "heard"}, false, nil); err != nil || len(c.rooms["arn"].muted) != 3 {
		t.Errorf("to let somebody speak: got %v, %v", err, c.rooms["arn"].muted)
	}
}
