package feed

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

var (
	ana = Person{"ana", "ana"}
	gus = Person{"gus", "gus"}
)

func may(access.UserID) error { return nil }

func TestTheChatLastsOneSessionOfTheStage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewChat(newFeed(NewMemory(time.Now)))
		started := time.Now()
		onAir := stage.Presence{Publishing: true, Since: started.Add(-time.Hour)}
		kept := func(present ...stage.Presence) int {
			t.Helper()
			r, err := c.Room(t.Context(), mainStage, present)
			if err != nil {
				t.Fatal(err)
			}
			return len(r.Messages)
		}
		t.Log("messages stay during a long broadcast, even if nobody writes")
		if _, err := c.Post(t.Context(), mainStage, ana, "good evening",
			[]stage.Presence{onAir}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if n := kept(onAir); n != 1 {
			t.Errorf("during the broadcast: got %d messages, want 1", n)
		}

		t.Log("muting and deleting do not empty the room")
		if err := c.Mute(t.Context(), mainStage, Person{ID: "eve"}, false,
			[]stage.Presence{onAir}); err != nil {
			t.Fatal(err)
		}
		deletion := Deletion{Message: "another", By: "ana", May: may}
		if err := c.Delete(t.Context(), mainStage, deletion,
			[]stage.Presence{onAir}); !errors.Is(err, stage.ErrNotFound) {
			t.Errorf("a message that is not there: got %v", err)
		}
		if n := kept(onAir); n != 1 {
			t.Errorf("after that: got %d messages, want 1", n)
		}

		t.Log("a pause in which OBS is restarted does not empty the room")
		if _, err := c.Post(t.Context(), mainStage, ana, "still here",
			[]stage.Presence{onAir}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(chatQuiet - time.Second)
		if n := kept(); n != 2 {
			t.Errorf("in the pause: got %d messages, want 2", n)
		}

		t.Log("the next evening begins with an empty room, in which the muted are muted still")
		if err := c.Mute(t.Context(), mainStage, gus, true, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		next := stage.Presence{Publishing: true, Since: time.Now().Add(-time.Minute)}
		r, err := c.Room(t.Context(), mainStage, []stage.Presence{next})
		if err != nil || len(r.Messages) != 0 || len(r.Muted) != 1 {
			t.Errorf("in the next session: got %+v, %v, want no message, and gus muted", r, err)
		}
	})
}

func TestARoomKeepsTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewChat(newFeed(NewMemory(time.Now)))
		for i := range chatKept + 10 {
			time.Sleep(chatPace)
			if _, err := c.Post(t.Context(), mainStage, ana, fmt.Sprint("text ", i),
				nil); err != nil {
				t.Fatal(err)
			}
		}
		r, err := c.Room(t.Context(), mainStage, nil)
		if err != nil || len(r.Messages) != chatKept || r.Messages[0].Text != "text 10" {
			t.Errorf("got %d messages, %v, want the newest %d", len(r.Messages), err, chatKept)
		}
	})
}

func TestDeletionsDoNotRaiseTheRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewChat(newFeed(NewMemory(time.Now)))
		post := func() (ids []string) {
			for {
				m, err := c.Post(t.Context(), mainStage, gus, "text", nil)
				if err != nil {
					return ids
				}
				ids = append(ids, m.ID)
			}
		}
		remove := func(id string, free bool) error {
			return c.Delete(t.Context(), mainStage,
				Deletion{Message: id, By: gus.ID, Free: free, May: may}, nil)
		}
		written := post()
		for _, id := range written {
			if err := remove(id, false); err != nil {
				t.Errorf("his own message: got %v", err)
			}
		}
		if again := post(); len(written) != chatBurst || len(again) != 0 {
			t.Errorf("got %d messages, and %d after those were deleted, want %d and none",
				len(written), len(again), chatBurst)
		}

		t.Log("deletions have their own rate limit, except those of moderators")
		if err := remove("any", false); !errors.Is(err, stage.ErrTooMany) {
			t.Errorf("one deletion more: got %v, want that he waits", err)
		}
		for range 3 * chatBurst {
			if err := remove("any", true); !errors.Is(err, stage.ErrNotFound) {
				t.Errorf("a moderator: got %v, want that there is no such message", err)
			}
		}

		t.Log("a crowd of other writers does not reset the limit either")
		for i := range 1001 {
			fan := Person{ID: access.UserID(fmt.Sprint("fan ", i))}
			if _, err := c.Post(t.Context(), mainStage, fan, "text", nil); err != nil {
				t.Fatal(err)
			}
		}
		if again := post(); len(again) != 0 {
			t.Errorf("in a crowd: got %d messages, want none", len(again))
		}
		time.Sleep(chatBurst * chatPace)
		if again := post(); len(again) != chatBurst {
			t.Errorf("after a rest: got %d messages, want %d", len(again), chatBurst)
		}
	})
}

func TestChatReachesThePagesOfItsStage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		c := NewChat(h.Feed)
		here, there := h.open(t, Listener{User: "a", Page: mainStage}),
			h.open(t, Listener{User: "b", Page: sideStage})
		view := h.open(t, Listener{User: "c", Page: mainStage, View: stage.ViewGrid})
		time.Sleep(time.Second)
		for _, p := range []*page{here, there, view} {
			wantNames(t, "at first", p, "presence")
		}
		m, err := c.Post(t.Context(), mainStage, gus, "hello", nil)
		if err != nil {
			t.Fatal(err)
		}
		frames := here.got()
		if len(frames) != 1 || frames[0].Name != "message" ||
			decode[ChatMessage](t, frames[0]).Text != "hello" {
			t.Errorf("got %v, want the message", frames)
		}
		if err := c.Mute(t.Context(), mainStage, gus, true, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Post(t.Context(), mainStage, gus, "again", nil); !errors.Is(err,
			stage.ErrDenied) {
			t.Errorf("muted: got %v", err)
		}
		no := errors.New("no")
		deletion := Deletion{Message: m.ID, By: "eve", May: func(author access.UserID) error {
			if author != gus.ID {
				t.Errorf("the author: got %q, want %v", author, gus.ID)
			}
			return no
		}}
		if err := c.Delete(t.Context(), mainStage, deletion, nil); !errors.Is(err, no) {
			t.Errorf("a message of another: got %v", err)
		}
		deletion.May = may
		if err := c.Delete(t.Context(), mainStage, deletion, nil); err != nil {
			t.Fatal(err)
		}
		wantNames(t, "muted, and deleted", here, FrameChat, "removed")
		wantNames(t, "another stage", there)
		wantNames(t, "a view", view)
	})
}

func TestOnlyPeopleWhoAreThereAreMuted(t *testing.T) {
	t.Parallel()
	c := NewChat(newFeed(NewMemory(time.Now)))
	present := []stage.Presence{
		{Participant: stage.Participant{ID: "p1", UserID: "seen"}},
		{Participant: stage.Participant{ID: "nameless"}},
	}
	if _, err := c.Post(t.Context(), mainStage, Person{ID: "heard", Name: "Hera"}, "text",
		present); err != nil {
		t.Fatal(err)
	}
	for _, id := range []access.UserID{"invented", access.UserID(strings.Repeat("x", 28000))} {
		if err := c.Mute(t.Context(), mainStage, Person{ID: id}, true, present); !errors.Is(err,
			stage.ErrNotFound) {
			t.Errorf("%.10s: got %v, want that there is nobody", id, err)
		}
	}
	for _, person := range []Person{{ID: "heard"}, {ID: "seen"}, {ID: "nameless"},
		{ID: "away", Name: "has an account"}} {
		if err := c.Mute(t.Context(), mainStage, person, true, present); err != nil {
			t.Errorf("%s: got %v", person.ID, err)
		}
	}
	r, err := c.Room(t.Context(), mainStage, present)
	if err != nil || fmt.Sprint(r.Muted) != "[{heard Hera} {seen seen} {nameless nameless} "+
		"{away has an account}]" {
		t.Errorf("muted users: got %v, %v, want the four of the list", r.Muted, err)
	}
	err = c.Mute(t.Context(), mainStage, Person{ID: "heard"}, false, nil)
	if r, _ := c.Room(t.Context(), mainStage, nil); err != nil || r.Mutes("heard") ||
		!r.Mutes("seen") {
		t.Errorf("muted users after one was unmuted: got %v, %v", err, r.Muted)
	}
}

func FuzzCleanMessage(f *testing.F) {
	for _, text := range []string{"hello", " \n", "a\u202eb", "\x00", "\xff", "\u200b", "👩‍🚀",
		strings.Repeat("é", 501)} {
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
		if !utf8.ValidString(clean) || utf8.RuneCountInString(clean) > chatLength ||
			!strings.ContainsFunc(clean, visible) {
			t.Errorf("the cleaned message: got %q, want visible text of at most chatLength", clean)
		}
		if strings.ContainsFunc(clean, func(c rune) bool {
			return unicode.IsControl(c) && c != '\n'
		}) {
			t.Errorf("control characters are left in %q", clean)
		}
	})
}
