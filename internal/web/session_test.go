package web

import (
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
	ana := visitor{user: access.User{ID: "ana", Name: "ana"}, moderates: true}
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

	t.Log("so does a pause in which OBS is started anew")
	now = start.Add(chatQuiet - time.Second)
	if n := kept(); n != 1 {
		t.Errorf("in the pause: got %d messages, want 1", n)
	}

	t.Log("the next evening begins with an empty room, in which the muted are muted still")
	if err := c.mute(arn, ana, access.User{ID: "gus", Name: "gus"}, true); err != nil {
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
	ana := visitor{user: access.User{ID: "ana"}}
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
