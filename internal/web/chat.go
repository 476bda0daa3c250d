package web

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	chatKept    = 200              // messages of a stage
	chatLength  = 500              // characters of a message
	chatBurst   = 5                // messages that one person may send at once …
	chatPace    = 2 * time.Second  // … and then one each
	chatQuiet   = 15 * time.Minute // a stage session is over when nothing was said and nobody published for so long
	chatID      = 128              // bytes of the user id of somebody who is muted
	chatMembers = 1000             // who can be muted in a room; of so many paces those who rested are forgotten
)

// The chat is what is said on the stages, in memory and for one session of the stage each (docs/decisions/0080).
type chat struct {
	now  func() time.Time
	tell func(stage.ARN, frame)

	mu    sync.Mutex
	rooms map[stage.ARN]*room
}

// A room is the chat of one stage; chat.mu owns it.
type room struct {
	messages []ChatMessage     // oldest first
	muted    map[string]string // names by user id
	paces    map[string]pace   // by user id
	active   time.Time         // when something was last said
}

// A pace is how fast somebody speaks, and takes back what they said.
type pace struct{ post, remove *rate.Limiter }

func newChat(now func() time.Time, tell func(stage.ARN, frame)) *chat {
	return &chat{now: now, tell: tell, rooms: map[stage.ARN]*room{}}
}

// room finds the room of a stage, emptied if another session has begun since somebody spoke; chat.mu is held. Who
// is muted stays muted.
func (c *chat) room(arn stage.ARN, present []stage.Presence) *room {
	r := c.rooms[arn]
	if r == nil {
		r = &room{muted: map[string]string{}, paces: map[string]pace{}, active: c.now()}
		c.rooms[arn] = r
	}
	if r.messages != nil && c.sessionOver(r, present) {
		r.messages, r.paces = nil, map[string]pace{}
	}
	return r
}

// paceOf is how fast somebody was of late; chat.mu is held. Whoever rested long enough may be forgotten: they are as one who
// is new.
func (c *chat) paceOf(r *room, who access.Principal) pace {
	id := string(who.User.ID)
	p, known := r.paces[id]
	if known {
		return p
	}
	if now := c.now(); len(r.paces) >= chatMembers {
		maps.DeleteFunc(r.paces, func(_ string, p pace) bool {
			return p.post.TokensAt(now) >= chatBurst && p.remove.TokensAt(now) >= chatBurst
		})
	}
	p = pace{rate.NewLimiter(rate.Every(chatPace), chatBurst), rate.NewLimiter(rate.Every(chatPace), chatBurst)}
	r.paces[id] = p
	return p
}

// tooFast is nil as long as a pace bears one more.
func (c *chat) tooFast(pace *rate.Limiter, again string) error {
	if pace.AllowN(c.now(), 1) {
		return nil
	}
	return stage.Errorf(stage.ErrTooMany, "That was quick: wait %d seconds and %s.", int(chatPace.Seconds()), again).
		WithCode("too_many_messages").WithRetry(chatPace)
}

// sessionOver says whether the stage fell silent since something was said: long ago, and nobody publishes who already
// published soon afterwards.
func (c *chat) sessionOver(r *room, present []stage.Presence) bool {
	end := r.active.Add(chatQuiet)
	if c.now().Before(end) {
		return false
	}
	for _, p := range present {
		if p.Publishing && p.Since.Before(end) {
			return false
		}
	}
	return true
}

// history is the chat as a visitor sees it.
func (c *chat) history(arn stage.ARN, who access.Principal, present []stage.Presence) ChatHistory {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.room(arn, present)
	_, silenced := r.muted[string(who.User.ID)]
	h := ChatHistory{Messages: append([]ChatMessage{}, r.messages...), Posts: who.MayPost() == nil && !silenced, Moderates: who.Moderates(), Muted: []Person{}}
	if who.Moderates() {
		for id, name := range r.muted {
			h.Muted = append(h.Muted, Person{ID: access.UserID(id), Name: name})
		}
	}
	return h
}

// post says something, and tells it in the order in which it is kept.
func (c *chat) post(arn stage.ARN, who access.Principal, text string, present []stage.Presence) (ChatMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.room(arn, present)
	if err := c.mayPost(r, who); err != nil {
		return ChatMessage{}, err
	}
	r.active = c.now()
	m := ChatMessage{ID: stage.NewID(), Time: r.active.UTC(), UserID: string(who.User.ID), Name: who.User.Name, Text: text}
	r.messages = append(r.messages, m)
	r.messages = r.messages[max(0, len(r.messages)-chatKept):]
	c.tell(arn, frame{name: "message", data: mustJSON(m)})
	return m, nil
}

// mayPost refuses the muted and the hasty; chat.mu is held.
func (c *chat) mayPost(r *room, who access.Principal) error {
	if err := who.MayPost(); err != nil {
		return err
	}
	if _, silenced := r.muted[string(who.User.ID)]; silenced {
		return stage.Errorf(stage.ErrDenied, "You are muted in this chat; a moderator can let you speak again.").WithCode("muted")
	}
	return c.tooFast(c.paceOf(r, who).post, "send it again")
}

// remove takes a message away: a moderator any, everybody their own.
func (c *chat) remove(arn stage.ARN, who access.Principal, id string, present []stage.Presence) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.room(arn, present)
	if err := c.mayRemove(r, who); err != nil {
		return err
	}
	for i, m := range r.messages {
		if m.ID != id {
			continue
		}
		if err := who.MayRemove(access.UserID(m.UserID)); err != nil {
			return err
		}
		r.messages = append(r.messages[:i:i], r.messages[i+1:]...)
		c.tell(arn, frame{name: "removed", data: mustJSON(ChatRemoved{ID: id})})
		return nil
	}
	return stage.Errorf(stage.ErrNotFound, "This message is not there any more.")
}

// mayRemove refuses views and the hasty; chat.mu is held. Who has to clean up is not held up.
func (c *chat) mayRemove(r *room, who access.Principal) error {
	if err := who.MayPost(); err != nil || who.Moderates() {
		return err
	}
	return c.tooFast(c.paceOf(r, who).remove, "delete it then")
}

// mute silences somebody or lets them speak again.
func (c *chat) mute(arn stage.ARN, who access.Principal, person access.User, on bool, present []stage.Presence) error {
	err := who.MayModerate()
	if on {
		err = who.MayMute(person)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.room(arn, present)
	if on && !r.knows(person, present) {
		return stage.Errorf(stage.ErrNotFound, "Nobody with this user ID has an account, is on the stage or has written in its chat.")
	}
	if on && len(r.muted) >= chatMembers {
		return stage.Errorf(stage.ErrConflict, "%d people are muted in this chat; let somebody speak again first.", len(r.muted))
	}
	if on {
		r.muted[string(person.ID)] = r.nameOf(person)
	} else {
		delete(r.muted, string(person.ID))
	}
	c.tell(arn, frame{name: "chat", newest: "chat"}) // every page is told its own
	return nil
}

// knows says whether there is somebody to mute: an account, which alone has a name here, or a guest who is seen or heard.
func (r *room) knows(person access.User, present []stage.Presence) bool {
	id := string(person.ID)
	switch {
	case len(id) > chatID:
		return false
	case person.Name != "":
		return true
	}
	return slices.ContainsFunc(r.messages, func(m ChatMessage) bool { return m.UserID == id }) ||
		slices.ContainsFunc(present, func(p stage.Presence) bool {
			return cmp.Or(p.Participant.UserID, string(p.Participant.ID)) == id
		})
}

// nameOf is the account's name, or the one that a guest's messages bear.
func (r *room) nameOf(person access.User) string {
	if person.Name != "" {
		return person.Name
	}
	for _, m := range r.messages {
		if m.UserID == string(person.ID) {
			return m.Name
		}
	}
	return string(person.ID)
}

// cleanMessage leaves of a message what can be read.
func cleanMessage(text string) (string, error) {
	text = strings.TrimSpace(strings.Map(func(c rune) rune {
		// Marks that turn the direction of writing can make one person's text pass for another's (Unicode TR 36, 2.5).
		if unicode.IsControl(c) && c != '\n' || unicode.In(c, unicode.Bidi_Control) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(text, "")))
	if !strings.ContainsFunc(text, visible) {
		return "", stage.Errorf(stage.ErrInvalid, "Write something first.")
	}
	if n := utf8.RuneCountInString(text); n > chatLength {
		return "", stage.Errorf(stage.ErrInvalid, "A message has at most %d characters, this one has %d.", chatLength, n)
	}
	return text, nil
}

func visible(c rune) bool { return unicode.IsGraphic(c) && !unicode.IsSpace(c) }

// visiting serves an endpoint for visitors of a stage.
func (s *Server) visiting(serve func(r *http.Request, who access.Principal) (any, error)) http.Handler {
	return s.open(func(r *http.Request, _ access.Principal) (any, error) {
		who, err := s.onStage(r)
		if err != nil {
			return nil, err
		}
		return serve(r, who)
	})
}

func (s *Server) postMessage(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewMessage](r)
	if err != nil {
		return nil, err
	}
	text, err := cleanMessage(in.Text)
	if err != nil {
		return nil, err
	}
	m, err := s.chat.post(stageARN(r), who, text, s.present(r.Context(), stageARN(r)))
	if err != nil {
		return nil, err
	}
	return created(m), nil
}

func (s *Server) removeMessage(r *http.Request, who access.Principal) (any, error) {
	return nil, s.chat.remove(stageARN(r), who, r.PathValue("message"), s.present(r.Context(), stageARN(r)))
}

func (s *Server) mutePerson(r *http.Request, who access.Principal) (any, error) {
	person := access.User{ID: access.UserID(r.PathValue("user"))}
	people, err := s.Control.Users(r.Context(), access.CommandLine())
	if err != nil {
		return nil, err
	}
	for _, p := range people {
		if p.ID == person.ID {
			person = p.User
		}
	}
	present := s.present(r.Context(), stageARN(r))
	return nil, s.chat.mute(stageARN(r), who, person, r.Method == http.MethodPut, present)
}

// present lists who is on the stage; where that is not known, nobody.
func (s *Server) present(ctx context.Context, arn stage.ARN) []stage.Presence {
	present, err := s.Stage.Participants(ctx, arn)
	if err != nil {
		s.Log.Debug("who is on the stage is not known", "stage", arn, "err", err)
	}
	return present
}
