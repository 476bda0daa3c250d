// Package access holds the rules: who may sign in, who may enter which stage, and which tokens are given out.
// It declares the Store it needs and decides everything itself; the store only remembers.
package access

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A UserID names an account for ever; it is the user id inside participant tokens, too.
type UserID string

// A Role says what an account is for.
type Role string

// The roles.
const (
	Operator    Role = "operator"    // runs the service, and has every capability on every stage
	Moderator   Role = "moderator"   // kicks and mutes on the stages that were granted
	Broadcaster Role = "broadcaster" // enters the stages that were granted
)

// A User is a person with an account.
type User struct {
	ID         UserID
	Name       string
	Role       Role
	CreatedAt  time.Time
	LastSeenAt time.Time // zero: never signed in
	Invited    bool      // has not chosen a password yet, and is linked to no other way in
	// SuspendedAt is when an operator suspended the account; zero: it is active.
	SuspendedAt time.Time
}

// A Client is where a request came from, for the throttle and for the list of one's logins.
type Client struct {
	Address string       // an IP address, with or without port
	Agent   string       // the User-Agent
	Browser stage.Secret // recognizes a browser that has signed in before; may be empty
}

// A Grant lets a broadcaster enter a stage.
type Grant struct {
	User         UserID
	Stage        stage.ARN
	Capabilities stage.Capabilities
	MaxTTL       time.Duration // the longest life of a token
	ByRule       bool          // rules gave it, and rules take it away
}

// An Issuance is the record of a token. The token itself is kept nowhere.
type Issuance struct {
	ID           stage.ParticipantID
	User         UserID
	UserName     string // on that day: the record outlives the account
	Stage        stage.ARN
	Capabilities stage.Capabilities
	IssuedBy     string // "local key", "own key <kid>", "AWS API"
	Bucket       string // what the rate limit counts it on: the user's ID or that of a viewing key
	Credential   string // the login or viewing key that a view token rests on; empty: it rests on the grant alone
	IssuedAt     time.Time
	ExpiresAt    time.Time
	RevokedAt    time.Time // zero: not revoked
	Address      string
}

// Control is the rules. Its methods are safe for concurrent use; their errors are *stage.Error with a sentence for the person,
// or wrap what the Store or the Issuer said.
type Control struct {
	Store     Store
	Issuer    stage.Issuer
	Moderator stage.Moderator
	Verifier  Verifier // of the tokens for local stages
	Passwords *Passwords
	Now       func() time.Time

	// Changed is told, after the commit, whose logins, grants or stages changed; "" stands for everybody. It may be nil.
	Changed func(UserID)

	// Removed is told, after the commit, that a stage is gone, and says so to whoever is on it. It may be nil.
	Removed func(stage.ARN)

	// Queued is called when a message for a webhook was queued. It may be nil.
	Queued func()

	// External decides who may sign in with a provider, and as what.
	External ExternalPolicy

	// NoPasswords refuses name and password: everybody signs in another way.
	NoPasswords bool

	// Log receives security events, what operators do, and failures without harm. It may be nil.
	Log *slog.Logger

	// The settings; zero means the default in parentheses.
	TokenLimit  int           // tokens per broadcaster and TokenWindow (30); negative: no limit
	TokenWindow time.Duration // (10 minutes)
	LoginLife   time.Duration // a login ends when it was not used for so long (30 days)
	InviteLife  time.Duration // (7 days)

	AuditRetention time.Duration // how long entries of the audit trail are kept (1 year)

	subscription subscription

	logins  memory[string, seenLogin] // by the hash of the cookie
	stages  memory[struct{}, seenStages]
	reading singleflight.Group        // of stages
	permits memory[permitKey, Permit] // AddIssuance asks the database whether they still hold
}

// touch writes down that a credential was used, and says whether that is stored. Who holds it is let in either way: a
// database that is busy for a moment ends no broadcast.
func (c *Control) touch(ctx context.Context, cred Credential) bool {
	err := c.Store.Touch(ctx, cred)
	if err != nil && c.Log != nil {
		c.Log.Warn("the use of a credential was not written down", "kind", cred.Kind, "user", cred.User, "err", err)
	}
	return err == nil
}

func (c *Control) changed(id UserID) {
	c.logins.forgetAll()
	c.stages.forgetAll()
	if c.Changed != nil {
		c.Changed(id)
	}
}
