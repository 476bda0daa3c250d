// Package access decides who may sign in, who has access to which stage, and which tokens are
// issued. The Store that it declares keeps the data, and makes one decision: which of two
// concurrent writes wins.
package access

import (
	"context"
	"log/slog"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A UserID identifies an account for ever. It is also the user ID inside participant tokens.
type UserID string

// A Role says what an account is for.
type Role string

const (
	Operator    Role = "operator"    // runs the service; has every capability on every stage
	Moderator   Role = "moderator"   // kicks, bars and mutes on granted stages
	Broadcaster Role = "broadcaster" // publishes to granted stages
)

// A User is a person with an account.
type User struct {
	ID         UserID
	Name       string
	Role       Role
	CreatedAt  time.Time
	LastSeenAt time.Time // zero: never signed in
	Invited    bool      // has no password yet, and no other way to sign in
	// SuspendedAt is when an operator suspended the account; zero: it is active.
	SuspendedAt time.Time
}

// A Client is the origin of a request, for the throttle and the audit trail.
type Client struct {
	Address string       // an IP address, with or without port
	Agent   string       // the User-Agent
	Browser stage.Secret // recognizes a browser that has signed in before; may be empty
}

// A Grant is the permission of a user on a stage.
type Grant struct {
	User         UserID
	Stage        stage.ARN
	Capabilities stage.Capabilities
	MaxTTL       time.Duration // the longest life of the user's tokens
	ByRule       bool          // rules gave this grant, and may remove it again
	BarredAt     time.Time     // set by KickAndBar; zero: not barred
	BarredReason string
	BarredBy     string // see Bar.By
}

// An Issuance is the record of a token. The token itself is never stored.
type Issuance struct {
	ID           stage.ParticipantID
	User         UserID
	UserName     string // name at the time of issue, since the record outlives the account
	Stage        stage.ARN
	Capabilities stage.Capabilities
	IssuedBy     string // "local key", "own key <kid>", "AWS API"
	Bucket       string // bucket of the rate limit, such as the ID of the user or of a viewing key
	// Credential is the ID of the login, viewing key or guest link with which the token ends. It is
	// empty if there is none.
	Credential string
	// Kind is the kind of credential that requested the token. It is empty in older records.
	Kind Kind
	// CredentialID is the ID of the credential that requested the token. It is empty for the
	// command line and in older records.
	CredentialID string
	IssuedAt     time.Time
	ExpiresAt    time.Time
	RevokedAt    time.Time // zero: not revoked
	Address      string
}

// Config is what a Control needs. New copies it, so that later changes have no effect.
type Config struct {
	Store     Store
	Issuer    stage.Issuer
	Moderator stage.Moderator
	Verifier  Verifier // verifies tokens of local stages
	Passwords *Passwords
	Now       func() time.Time

	// Changed is called after the commit with the user whose logins, grants or stages changed, or
	// with "" for all users. It may be nil.
	Changed func(UserID)

	// Removed is called after a stage was removed, to disconnect its participants. It may be nil.
	Removed func(stage.ARN)

	// Asked is called once for each request for a token of a stage, with the result: the token or
	// the error. It may be nil.
	Asked func(stage.ARN, stage.ParticipantToken, error)

	// Queued wakes the sender of webhooks after a message was queued. It is not called for messages
	// about users and revoked tokens, which the sender finds at its next poll. It may be nil.
	Queued func()

	// Unreachable returns an error if the name of a host alone shows that webhooks can never reach
	// it. The function may be nil.
	Unreachable func(host string) error

	// StageMaker creates users' own stages at AWS. It is nil if no region is served.
	StageMaker StageMaker

	// Wanted is called after a change that may have stored requests to create users' own stages at
	// AWS. It may be nil.
	Wanted func()

	// External decides who may sign in with a provider, and with which role.
	External ExternalPolicy

	// Brand is the branding in the settings.
	Brand Branding
	// Replicated says that other processes change the database, too. Refresh must be called after
	// each of their changes.
	Replicated bool

	// NoLocalStages refuses to add local stages, for servers without media.
	NoLocalStages bool

	// NoPasswords refuses sign-in by name and password.
	NoPasswords bool

	// Passkeys verifies passkeys. It is nil if the server offers none.
	Passkeys PasskeyVerifier

	// OperatorPasskeys denies a login the scopes of operators, unless a passkey created it.
	OperatorPasskeys bool

	// Log receives security events, the actions of operators, and failures that no caller receives.
	// It may be nil.
	Log *slog.Logger

	// If one of the following settings is zero, the default in parentheses applies.
	TokenLimit  int           // tokens per Issuance.Bucket and TokenWindow (30); negative: no limit
	TokenWindow time.Duration // (10 minutes)

	AuditRetention time.Duration // how long entries of the audit trail are kept (1 year)

	// Present finds a participant who is on a stage now, without the database. It may be nil.
	Present func(context.Context, stage.ParticipantID) (stage.Participant, bool)
}

// A Control makes the decisions of this package. Each exported field decides about one subject. All
// methods are safe for concurrent use. Their errors are a *stage.Error with a sentence that may be
// shown, or wrap an error of the Store or the Issuer.
type Control struct {
	cfg Config

	AccessKeys     *AccessKeys
	APIKeys        *APIKeys
	Branding       *BrandingSetting
	Chat           *Chat
	Devices        *Devices
	Enrolments     *Enrolments
	Events         *Events
	GuestLinks     *GuestLinks
	Invites        *Invites
	Logins         *Logins
	Moderation     *Moderation
	Outage         *Outage
	OwnKeys        *OwnKeys
	Passkeys       *Passkeys
	PasswordLogins *PasswordLogins
	Setup          *Setup
	Stages         *Stages
	ViewKeys       *ViewKeys
	Webhooks       *Webhooks

	// shared with the subjects
	outbox    *outbox
	trail     *trail
	sessions  *sessions
	caches    *caches
	signIns   *signIns
	stageList *stageList

	claims  claimsSeen
	permits cache[permitKey, Permit] // may be outdated: AddIssuance checks the revision
}

// New returns a Control.
func New(cfg Config) *Control {
	c := &Control{
		cfg:      cfg,
		outbox:   &outbox{store: cfg.Store, now: cfg.Now, wake: cfg.Queued},
		sessions: &sessions{cfg.Moderator, cfg.Log},
	}
	c.trail = &trail{store: cfg.Store, now: cfg.Now, log: cfg.Log, outbox: c.outbox}
	c.trail.failures.Max = failureNames
	c.Outage = &Outage{trail: c.trail, sessions: c.sessions, present: cfg.Present}
	c.caches = &caches{outage: c.Outage, notify: cfg.Changed}
	c.stageList = &stageList{
		store: cfg.Store, now: cfg.Now, caches: c.caches, replicated: cfg.Replicated,
	}
	c.signIns = &signIns{
		trail: c.trail, caches: c.caches, external: cfg.External,
		noPasswords: cfg.NoPasswords, operatorPasskeys: cfg.OperatorPasskeys,
	}
	tries := &throttle{cfg.Store, cfg.Now, cfg.Log}
	keys := keyring{c.trail}

	c.AccessKeys = &AccessKeys{keys, c.sessions, c.caches}
	c.APIKeys = &APIKeys{c.trail, keys, c.Outage}
	c.Branding = &BrandingSetting{c.trail, cfg.Brand}
	c.Chat = &Chat{c.trail}
	c.Devices = &Devices{c.trail, c.signIns}
	c.Enrolments = &Enrolments{c.trail, c.signIns, tries}
	c.Events = &Events{c.outbox, c.Outage}
	c.GuestLinks = &GuestLinks{c.trail, keys, c.sessions}
	c.Invites = &Invites{c.trail, cfg.Passwords, c.signIns, c.sessions}
	c.Logins = &Logins{c.trail, keys, c.sessions, c.caches}
	c.Moderation = &Moderation{
		c.trail, c.stageList, c.GuestLinks, c.sessions, c.caches, c.Outage,
	}
	c.OwnKeys = &OwnKeys{c.trail}
	c.Passkeys = &Passkeys{c.trail, cfg.Passkeys, c.signIns, c.sessions, c.caches}
	c.PasswordLogins = &PasswordLogins{
		c.trail, tries, cfg.Passwords, c.signIns, c.sessions, c.caches,
	}
	c.Setup = &Setup{c.trail, cfg.Passwords, c.signIns}
	c.Stages = &Stages{
		c.trail, c.stageList, c.sessions, c.caches, cfg.NoLocalStages, cfg.Removed,
	}
	c.ViewKeys = &ViewKeys{keys, c.sessions}
	c.Webhooks = &Webhooks{c.trail, cfg.Unreachable}
	return c
}

// Refresh drops the cached logins and stages after a change, here or on another replica. The
// principals that Recall returns are kept, since Recall serves while the database does not answer.
func (c *Control) Refresh() {
	c.caches.clear()
}
