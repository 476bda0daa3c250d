package feed

import (
	"context"
	"encoding/json"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// Shared is the state that the replicas of a server share. Memory implements it for one process.
// feedtest.Contract tests implementations against these comments.
//
// Callers pass all times. An implementation needs a clock only to end the posts of a replica that
// has stopped.
type Shared interface {
	Relay
	Board
	DockStore
	ChatStore
}

// A Relay carries notices between replicas.
type Relay interface {
	// Send sends notices to every replica, including this one. If it returns nil, each running
	// replica receives each notice once, and all replicas receive them in the same order. Send may
	// return before the notices arrive. A replica that was unreachable receives them later. If they
	// are no longer kept by then, it receives the notice KindGap instead.
	Send(ctx context.Context, notices ...Notice) error
	// Receive calls the function `deliver` until ctx ends, never concurrently. Notices that were
	// sent before the first call of Receive are not delivered.
	Receive(ctx context.Context, deliver func(Notice)) error
}

// A Notice reports a change to all replicas.
type Notice struct {
	Kind  Kind
	User  access.UserID   // owner of the event, login or dock; "" with KindAccess means all users
	Stage stage.ARN       // of a chat notice
	Data  json.RawMessage // of KindEvent, KindMessage and KindRemoved: the JSON for pages
}

// A Kind is the kind of a notice.
type Kind string

// The kinds of notice. After a notice without data, receivers read the state again.
const (
	KindEvent   Kind = "event"   // a stage event was stored: a StageEvent for the pages of User
	KindAccess  Kind = "access"  // logins, grants or stages of User changed
	KindDocks   Kind = "docks"   // the docks of User changed
	KindChat    Kind = "chat"    // a user was muted or unmuted, or the chat was emptied
	KindMessage Kind = "message" // a ChatMessage for the pages of Stage
	KindRemoved Kind = "removed" // a ChatRemoved for the pages of Stage
	KindPassed  Kind = "passed"  // data of Pass, for replicas and not for pages
	KindGap     Kind = "gap"     // notices may be missing: every stream must resume
)

// A Board has the presence on every replica. A post that is not renewed expires.
type Board interface {
	// Post replaces the post of a replica. It is called at least every PostEvery. A post expires
	// when it was not renewed for three times PostEvery. An empty post removes the replica's post
	// at once.
	Post(ctx context.Context, replica string, present map[stage.ARN][]stage.Presence) error
	// Posts returns the posts of the other replicas.
	Posts(ctx context.Context, except string) (map[stage.ARN][]stage.Presence, error)
}

// PostEvery is how often a replica renews its post.
const PostEvery = 2 * time.Second

// A DockStore keeps the open docks of accounts. Reports of one dock may arrive at different
// replicas.
type DockStore interface {
	// PutDock adds a dock, or replaces the one with the same ID. The parameter `seen` is the time
	// of the report.
	PutDock(ctx context.Context, user access.UserID, dock Dock, seen time.Time) error
	// DeleteDock reports whether the dock existed.
	DeleteDock(ctx context.Context, user access.UserID, id string) (bool, error)
	// Docks returns the docks of a user, in any order; "" means all users.
	Docks(ctx context.Context, user access.UserID) (map[access.UserID][]Dock, error)
	// ExpireDocks deletes docks whose last report is older than a time, and returns their owners.
	ExpireDocks(ctx context.Context, before time.Time) ([]access.UserID, error)
}

// A ChatStore keeps the chat of stages.
type ChatStore interface {
	// Room returns the chat room of a stage with its newest messages, at most `limit`, in the order
	// of time. If the stage has no chat yet, the room is empty.
	Room(ctx context.Context, arn stage.ARN, limit int) (Room, error)
	// AddMessage adds a message after all others. It keeps at least the newest messages, as many as
	// the parameter `keep` says.
	AddMessage(ctx context.Context, arn stage.ARN, m ChatMessage, keep int) error
	// DeleteMessage reports whether the message existed.
	DeleteMessage(ctx context.Context, arn stage.ARN, id string) (bool, error)
	// DeleteMessages deletes messages up to that time; muted users stay muted.
	DeleteMessages(ctx context.Context, arn stage.ARN, upTo time.Time) error
	// Mute adds or removes a muted user.
	Mute(ctx context.Context, arn stage.ARN, who Person, on bool) error
}

// A Room is the chat room of one stage.
type Room struct {
	Messages []ChatMessage // oldest first
	Muted    []Person
	LastPost time.Time // time of the newest message ever, even if it was deleted
}
