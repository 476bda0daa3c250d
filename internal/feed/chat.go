package feed

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const (
	chatKept   = 200             // messages of a stage
	chatLength = 500             // characters of a message
	chatBurst  = 5               // messages that one person may send at once …
	chatPace   = 2 * time.Second // … and then one in this time
	// chatQuiet is how long a chat room is kept without a message or a publisher.
	chatQuiet  = 15 * time.Minute
	chatID     = 128    // bytes of the ID of a muted user, at most
	maxMuted   = 1000   // people of one stage
	maxWriters = 10_000 // how many people have rate limiters at a time
)

// A Chat keeps the messages that people write on stages. Each stage has one chat room per stage
// session (docs/decisions/0080). Package access decides who may write, delete and mute.
type Chat struct {
	feed  *Feed
	store ChatStore
	posts bounded.Map[writer, *rate.Limiter]
	// Deletions have their own rate limit, since a deletion costs as much as a message.
	deletions bounded.Map[writer, *rate.Limiter]
}

type writer struct {
	stage stage.ARN
	user  access.UserID
}

// NewChat returns the chat of a feed.
func NewChat(f *Feed) *Chat {
	paces := func() bounded.Map[writer, *rate.Limiter] {
		return bounded.Map[writer, *rate.Limiter]{Max: maxWriters, Life: chatBurst * chatPace}
	}
	return &Chat{feed: f, store: f.cfg.Shared, posts: paces(), deletions: paces()}
}

// Room returns the chat room of a stage. It empties the room first if the stage session of the last
// message has ended.
func (c *Chat) Room(ctx context.Context, arn stage.ARN, present []stage.Presence) (Room, error) {
	r, err := c.store.Room(ctx, arn, chatKept)
	if err != nil {
		return Room{}, err
	}
	if len(r.Messages) > 0 && c.over(r, present) {
		r.Messages, err = nil, c.store.DeleteMessages(ctx, arn, r.LastPost)
	}
	return r, err
}

// over reports whether the stage session of a room has ended: chatQuiet has passed since the last
// message, and no current publisher began within that time or before it.
func (c *Chat) over(r Room, present []stage.Presence) bool {
	end := r.LastPost.Add(chatQuiet)
	return !c.feed.cfg.Now().Before(end) && !slices.ContainsFunc(present,
		func(p stage.Presence) bool {
			return p.Publishing && p.Since.Before(end)
		})
}

// Mutes reports whether a user is muted.
func (r Room) Mutes(id access.UserID) bool {
	return slices.ContainsFunc(r.Muted, func(p Person) bool { return p.ID == id })
}

// Post adds a message. It refuses people who are muted or who write too fast.
func (c *Chat) Post(
	ctx context.Context, arn stage.ARN, by Person, text string, present []stage.Presence,
) (ChatMessage, error) {
	text, err := cleanMessage(text)
	if err != nil {
		return ChatMessage{}, err
	}
	r, err := c.Room(ctx, arn, present)
	if err != nil {
		return ChatMessage{}, err
	}
	if r.Mutes(by.ID) {
		return ChatMessage{}, stage.Errorf(stage.ErrDenied,
			"You are muted in this chat; a moderator can let you speak again.").WithCode("muted")
	}
	if err := c.tooFast(&c.posts, writer{arn, by.ID}, "send it again"); err != nil {
		return ChatMessage{}, err
	}
	m := ChatMessage{ // times in milliseconds, as the store keeps them
		ID: stage.NewID(), Time: c.feed.cfg.Now().UTC().Truncate(time.Millisecond),
		UserID: string(by.ID), Name: by.Name, Text: text,
	}
	if err := c.store.AddMessage(ctx, arn, m, chatKept); err != nil {
		return ChatMessage{}, err
	}
	c.feed.send(Notice{Kind: KindMessage, Stage: arn, Data: mustJSON(m)})
	return m, nil
}

// A Deletion removes a message.
type Deletion struct {
	Message string
	By      access.UserID
	Free    bool                      // not counted by the rate limit
	May     func(access.UserID) error // returns nil if By may delete messages of this author
}

// Delete removes a message.
func (c *Chat) Delete(
	ctx context.Context, arn stage.ARN, d Deletion, present []stage.Presence,
) error {
	if !d.Free {
		if err := c.tooFast(&c.deletions, writer{arn, d.By}, "delete it then"); err != nil {
			return err
		}
	}
	r, err := c.Room(ctx, arn, present)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(r.Messages, func(m ChatMessage) bool { return m.ID == d.Message })
	if i < 0 {
		return noMessage()
	}
	if err := d.May(access.UserID(r.Messages[i].UserID)); err != nil {
		return err
	}
	found, err := c.store.DeleteMessage(ctx, arn, d.Message)
	if err != nil {
		return err
	}
	if !found { // another request deleted it meanwhile
		return noMessage()
	}
	c.feed.send(Notice{Kind: KindRemoved, Stage: arn, Data: mustJSON(ChatRemoved{ID: d.Message})})
	return nil
}

func noMessage() error {
	return stage.Errorf(stage.ErrNotFound, "This message is not there any more.")
}

// Mute mutes or unmutes a person in the chat of a stage. A person without a name is a guest, who
// must be on the stage or in its chat.
func (c *Chat) Mute(
	ctx context.Context, arn stage.ARN, person Person, on bool, present []stage.Presence,
) error {
	r, err := c.Room(ctx, arn, present)
	if err != nil {
		return err
	}
	if on && !r.knows(person, present) {
		return stage.Errorf(stage.ErrNotFound,
			"Nobody with this user ID has an account, is on the stage or has written in its chat.")
	}
	if on && len(r.Muted) >= maxMuted {
		return words.Error(stage.ErrConflict, "said.conflict.muted",
			words.Values{"n": len(r.Muted)})
	}
	if err := c.store.Mute(ctx, arn, Person{person.ID, r.nameOf(person)}, on); err != nil {
		return err
	}
	c.feed.send(Notice{Kind: KindChat, Stage: arn})
	return nil
}

// tooFast returns an error if a person has used up their rate limit.
func (c *Chat) tooFast(
	paces *bounded.Map[writer, *rate.Limiter], who writer, again string,
) (err error) {
	now := c.feed.cfg.Now()
	paces.Update(who, now, func(pace *rate.Limiter, found bool) *rate.Limiter {
		if !found {
			pace = rate.NewLimiter(rate.Every(chatPace), chatBurst)
		}
		if !pace.AllowN(now, 1) {
			err = stage.Errorf(stage.ErrTooMany, "That was quick: wait %d seconds and %s.",
				int(chatPace.Seconds()), again).
				WithCode("too_many_messages").WithRetry(chatPace)
		}
		return pace
	})
	return err
}

// knows reports whether a person exists: an account, which has a name here, or a guest who is on
// the stage or in its chat.
func (r Room) knows(person Person, present []stage.Presence) bool {
	id := string(person.ID)
	switch {
	case len(id) > chatID:
		return false
	case person.Name != "":
		return true
	}
	return slices.ContainsFunc(r.Messages, func(m ChatMessage) bool { return m.UserID == id }) ||
		slices.ContainsFunc(present, func(p stage.Presence) bool {
			return cmp.Or(p.Participant.UserID, string(p.Participant.ID)) == id
		})
}

// nameOf returns the name of an account, or the name in the messages of a guest.
func (r Room) nameOf(person Person) string {
	if person.Name != "" {
		return person.Name
	}
	for _, m := range r.Messages {
		if m.UserID == string(person.ID) {
			return m.Name
		}
	}
	return string(person.ID)
}

// cleanMessage removes invalid and invisible control characters, and refuses messages that are
// empty or too long.
func cleanMessage(text string) (string, error) {
	text = strings.TrimSpace(strings.Map(func(c rune) rune {
		// Marks that change the direction of text can make one person's message look like another's
		// (Unicode TR 36, 2.5).
		if unicode.IsControl(c) && c != '\n' || unicode.In(c, unicode.Bidi_Control) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(text, "")))
	if !strings.ContainsFunc(text, visible) {
		return "", stage.Errorf(stage.ErrInvalid, "Write something first.")
	}
	if n := utf8.RuneCountInString(text); n > chatLength {
		return "", stage.Errorf(stage.ErrInvalid,
			"A message must have at most %d characters; this one has %d.", chatLength, n)
	}
	return text, nil
}

func visible(c rune) bool { return unicode.IsGraphic(c) && !unicode.IsSpace(c) }
