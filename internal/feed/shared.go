package feed

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// Shared is what the replicas of a server have in common. Memory implements it for one process.
// feedtest.Contract holds every implementation to these comments.
//
// Times in it are those of the callers; an implementation need not have a clock, except to end the
// posts of a replica that is gone.
type Shared interface {
	Relay
	Board
	DockStore
	ChatStore
}

// A Relay carries notices between replicas.
type Relay interface {
	// Send passes notices on to every replica, this one included. When it returns nil, each replica
	// that runs receives each of them once, and all in one order. It may return before they arrive.
	// A replica that cannot be reached for a while receives them when it is back, or, where that
	// was too long ago to be known, the notice KindGap.
	Send(ctx context.Context, notices ...Notice) error
	// Receive calls deliver, never twice at the same time, until ctx ends. Notices that were sent
	// before the first call to Receive are not delivered.
	Receive(ctx context.Context, deliver func(Notice)) error
}

// A Notice reports a change to all replicas.
type Notice struct {
	Kind  Kind
	User  access.UserID   // whose event, access or docks; of KindAccess "" is everybody
	Stage stage.ARN       // of chat
	Data  json.RawMessage // of KindEvent, KindMessage and KindRemoved: what pages receive
}

// A Kind says what a notice reports.
type Kind string

// The kinds of notice. Those without data ask their receivers to read again.
const (
	KindEvent   Kind = "event"   // a stage event was stored: a StageEvent for the pages of User
	KindAccess  Kind = "access"  // logins, grants or stages of User changed
	KindDocks   Kind = "docks"   // the docks of User changed
	KindChat    Kind = "chat"    // a user was muted or unmuted, or the chat was emptied
	KindMessage Kind = "message" // a ChatMessage for the pages of Stage
	KindRemoved Kind = "removed" // a ChatRemoved for the pages of Stage
	KindPassed  Kind = "passed"  // what one replica passes on to the others, for no page
	KindGap     Kind = "gap"     // notices may be missing: every stream has to resume
)

// A Board has the presence of every replica. It is soft state: a post that is not renewed ends.
type Board interface {
	// Post replaces what a replica reports. It is called at least every PostEvery; after three
	// times that without a call the post ends. An empty post ends it at once.
	Post(ctx context.Context, replica string, present map[stage.ARN][]stage.Presence) error
	// Posts returns what the other replicas report.
	Posts(ctx context.Context, except string) (map[stage.ARN][]stage.Presence, error)
}

// PostEvery is how often a replica renews its post.
const PostEvery = 2 * time.Second

// A DockStore keeps the open docks of accounts. Reports of one dock may arrive at different
// replicas.
type DockStore interface {
	// PutDock adds or replaces a dock of the same ID, seen at that time.
	PutDock(ctx context.Context, user access.UserID, dock Dock, seen time.Time) error
	// DeleteDock reports whether there was such a dock.
	DeleteDock(ctx context.Context, user access.UserID, id string) (bool, error)
	// Docks returns a user's docks, or everybody's for "", in any order.
	Docks(ctx context.Context, user access.UserID) (map[access.UserID][]Dock, error)
	// ExpireDocks deletes docks that were last seen before that time, and returns whose they were.
	ExpireDocks(ctx context.Context, before time.Time) ([]access.UserID, error)
}

// A ChatStore keeps the chat of stages.
type ChatStore interface {
	// Room returns the chat of a stage: its newest messages, oldest first, at most limit. A stage
	// without any has an empty room.
	Room(ctx context.Context, arn stage.ARN, limit int) (Room, error)
	// AddMessage adds a message after all others, and keeps at least the newest keep.
	AddMessage(ctx context.Context, arn stage.ARN, m ChatMessage, keep int) error
	// DeleteMessage reports whether there was such a message.
	DeleteMessage(ctx context.Context, arn stage.ARN, id string) (bool, error)
	// DeleteMessages empties the chat of messages up to that time; who is muted stays muted.
	DeleteMessages(ctx context.Context, arn stage.ARN, upTo time.Time) error
	// Mute adds or removes a muted user.
	Mute(ctx context.Context, arn stage.ARN, who Person, on bool) error
}

// A Room is the chat of one stage.
type Room struct {
	Messages []ChatMessage // oldest first
	Muted    []Person
	LastPost time.Time // of the newest message ever, deleted ones included
}
