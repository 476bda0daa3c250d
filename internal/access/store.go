package access

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Store keeps the data from which a Control decides. Its own only decision is which of two
// concurrent writers was first.
//
// It is safe for concurrent use. A missing row is stage.ErrNotFound; a database that does not
// answer is stage.ErrUnavailable. A write is durable when its method returns, except for
// AddIssuance, Touch, AddEvent, AddEvents, EndOpen and Prune: their last writes may be lost when
// the machine crashes. Such a loss never extends what a user may do.
type Store interface {
	// Atomically runs the given function in one serializable transaction. The function must use
	// only tx. It may run more than once, so it must have no other effects.
	Atomically(ctx context.Context, do func(tx Store) error) error

	// ListUsers lists users by name. f.Query is a part of a name as nameKey returns it. ListUsers
	// returns BadCursor for a cursor that this store did not create.
	ListUsers(ctx context.Context, f UserFilter, p Page) (PageOf[ListedUser], error)
	// Operators lists the accounts with the role of an operator.
	Operators(ctx context.Context) ([]Account, error)
	// Account reads an account.
	Account(ctx context.Context, id UserID) (Account, error)
	// Names returns the names of the accounts with these IDs, as far as they exist.
	Names(ctx context.Context, ids ...UserID) (map[UserID]string, error)
	// AccountNamed finds an account by the key of its name.
	AccountNamed(ctx context.Context, key string) (Account, error)
	// PutAccount adds an account, or replaces its name, role, password, suspension and LinkedAt. If
	// another account has the same Key, it returns stage.ErrConflict.
	PutAccount(ctx context.Context, a Account) error
	// DeleteAccount deletes an account with everything that belongs to it, such as credentials,
	// identities and grants. Issuances and events stay.
	DeleteAccount(ctx context.Context, id UserID) error

	// Credential finds a credential and its account by the hash of the secret. If the credential
	// has no user, like an API key, the account is empty.
	Credential(ctx context.Context, kind Kind, hash string) (Credential, Account, error)
	// Credentials lists the matching credentials, oldest first.
	Credentials(ctx context.Context, match Match) ([]Credential, error)
	// PutCredential adds a credential, or replaces the hash, the creation time and the expiry of
	// the one with the same ID.
	PutCredential(ctx context.Context, cred Credential) error
	// DeleteCredentials deletes the matching credentials and returns their number: when two
	// requests use the same code, one of them gets 1.
	DeleteCredentials(ctx context.Context, match Match) (int, error)
	// GuestLinks lists the newest guest links of a stage.
	GuestLinks(ctx context.Context, arn stage.ARN, limit int) ([]Credential, error)
	// UseGuestLink counts one use. If there is none left, it returns stage.ErrConflict.
	UseGuestLink(ctx context.Context, id string, at time.Time) error
	// ReturnGuestUse reverts a use that admitted no guest.
	ReturnGuestUse(ctx context.Context, id string) error
	// Touch stores when a credential and its user were last used, and the new expiry.
	Touch(ctx context.Context, cred Credential) error

	// Stages lists all stages, oldest first.
	Stages(ctx context.Context) ([]StageRecord, error)
	// Stage reads a stage.
	Stage(ctx context.Context, arn stage.ARN) (StageRecord, error)
	// StageNamed finds a local stage by the key of its name.
	StageNamed(ctx context.Context, key string) (StageRecord, error)
	// Endpoints lists the endpoints of all stages, each pair once.
	Endpoints(ctx context.Context) ([]stage.Endpoints, error)
	// PutStage adds or replaces a stage. A closed stage is open again afterwards. If another stage
	// has the same Key, it returns stage.ErrConflict.
	PutStage(ctx context.Context, s StageRecord) error
	// ListStages lists stages by name. f.Query is a part of a name as nameKey returns it.
	ListStages(ctx context.Context, f StageFilter, p Page) (PageOf[ListedStage], error)
	// CloseStage marks a stage as being removed. After it returns, no token for the stage can be
	// recorded, and the methods above do not find the stage.
	CloseStage(ctx context.Context, arn stage.ARN, at time.Time) error
	// ClosedStages lists the stages that are closed and not deleted yet.
	ClosedStages(ctx context.Context) ([]stage.ARN, error)
	// ClearStage deletes at most `limit` grants and at most `limit` credentials of a closed stage,
	// and reports whether there may be more.
	ClearStage(ctx context.Context, arn stage.ARN, limit int) (more bool, err error)
	// DeleteStage deletes a closed stage.
	DeleteStage(ctx context.Context, arn stage.ARN) error

	// Grants lists the grants of these users.
	Grants(ctx context.Context, users ...UserID) ([]Grant, error)
	// PutGrant adds or replaces the grant of a user on a stage. A bar stays in force.
	PutGrant(ctx context.Context, g Grant) error
	// DeleteGrant deletes a grant.
	DeleteGrant(ctx context.Context, user UserID, arn stage.ARN) error
	// PutBar stores a bar with the grant of its user; the zero time removes the bar. Without the
	// grant it returns stage.ErrNotFound.
	PutBar(ctx context.Context, b Bar) error
	// ListBars lists the bars in force, newest first. The bar of a user who is an operator now is
	// not in force.
	ListBars(ctx context.Context, f BarFilter, p Page) (PageOf[Bar], error)
	// Advance increments the revision of an account, so that AddIssuance refuses tokens whose
	// decision used the old revision.
	Advance(ctx context.Context, user UserID) error

	// Permit reads the data for the decision about a token, as of one moment.
	Permit(ctx context.Context, user UserID, arn stage.ARN, rate Rate) (Permit, error)
	// AddIssuance records a token. It returns stage.ErrConflict if the account has another
	// revision, if the rate limit is reached, or if the stage does not exist. The private stage of
	// a rehearsal exists without a record.
	AddIssuance(ctx context.Context, i Issuance, revision int64, rate Rate) error
	// Issuance reads the record of a token.
	Issuance(ctx context.Context, id stage.ParticipantID) (Issuance, error)
	// Issuances reads the records of tokens, as far as they exist.
	Issuances(ctx context.Context, ids ...stage.ParticipantID) ([]Issuance, error)
	// SetCapabilities changes the capabilities in the record of a token that is not revoked.
	SetCapabilities(ctx context.Context, id stage.ParticipantID, can stage.Capabilities) error
	// ListIssuances lists records, newest first. f.Query is a part of a user's name as nameKey
	// returns it.
	ListIssuances(
		ctx context.Context, f TokenFilter, now time.Time, p Page,
	) (PageOf[Issuance], error)
	// RevokeIssuances marks the matching records that are not revoked yet, and returns them.
	RevokeIssuances(ctx context.Context, match Revocation, at time.Time) ([]Issuance, error)
	// RevokedAtAWS lists the revoked tokens for AWS stages whose expiry is after the given time.
	RevokedAtAWS(ctx context.Context, expireAfter time.Time) ([]Issuance, error)

	// Attempts reads a row of the throttle.
	Attempts(ctx context.Context, bucket string) (Attempts, error)
	// PutAttempts adds or replaces a row of the throttle.
	PutAttempts(ctx context.Context, a Attempts) error
	// TrimAttempts deletes all but the newest rows of a user.
	TrimAttempts(ctx context.Context, user UserID, keep int) error
	// TrimLogins deletes all but the newest logins of a user, and returns how many it deleted.
	TrimLogins(ctx context.Context, user UserID, keep int) (int, error)

	// AddEvent stores an event. Its ID is greater than that of every event returned before. If an
	// event of an AWS stage is stored already (Repeats), AddEvent returns it without a user. But if
	// only the new event has the reason for an end, the new event replaces the stored one.
	AddEvent(ctx context.Context, e StoredEvent) (StoredEvent, error)
	// NameKicker sets who kicked a participant, in the stored events that report the kick and name
	// nobody.
	NameKicker(ctx context.Context, id stage.ParticipantID, by User) error
	// TrimRefusals deletes all but the newest refusals of a participant.
	TrimRefusals(ctx context.Context, id stage.ParticipantID, keep int) error
	// Events lists the events of a user that have an ID above `after` and happened at `since` or
	// later: the oldest first, at most `limit`.
	Events(
		ctx context.Context, user UserID, after int64, since time.Time, limit int,
	) ([]StoredEvent, error)
	// AddEvents is AddEvent for several events.
	AddEvents(ctx context.Context, events []StoredEvent) ([]StoredEvent, error)
	// ListEvents lists events, newest first.
	ListEvents(ctx context.Context, f EventFilter, p Page) (PageOf[StoredEvent], error)
	// LastEvent returns the ID of the newest event.
	LastEvent(ctx context.Context) (int64, error)
	// EndOpen stores an end of each local session that has not ended: the participant's last event,
	// apart from refusals, is not an end. It leaves out sessions whose last event has an ID above
	// upTo. It examines at most `limit` open sessions, by the participant's ID, from the first ID
	// above `after`. It returns the last ID that it examined, or "" if there was none.
	EndOpen(
		ctx context.Context, end stage.Event, upTo int64, after stage.ParticipantID, limit int,
	) (last stage.ParticipantID, err error)
	// OpenAt lists the open local sessions of one of several servers, by the participant's ID. The
	// returned events have no kind and no detail.
	OpenAt(ctx context.Context, server string, limit int) ([]StoredEvent, error)
	// CloseAt removes a participant from the list of OpenAt, and reports whether it was there.
	CloseAt(ctx context.Context, id stage.ParticipantID, server string) (bool, error)

	// For each kind of row, Prune deletes at most `limit` rows that are older than the time in the
	// Retention. It reports whether there may be more.
	Prune(ctx context.Context, before Retention, limit int) (more bool, err error)

	IdentityStore
	PasskeyStore
	RuleStore
	RuleGrantStore
	DeviceStore
	AuditStore
	WebhookStore
	BrandingStore
}

// An Account is a User in its stored form.
type Account struct {
	User
	Key      string // the name for comparison
	Password string // argon2id hash; empty if none was chosen yet
	// LinkedAt is when another way to sign in was linked, such as an OpenID Connect identity; zero
	// if none was.
	LinkedAt time.Time
	Revision int64 // increases when the permissions of the account change
}

// A Kind is a kind of credential.
type Kind string

// The kinds of single-use code. The other kinds of credential are those of a Principal.
const (
	kindSetup  Kind = "setup"  // creates the first operator
	kindInvite Kind = "invite" // sets the password of an invited user
	// kindEnrolment signs in one dock of its user.
	kindEnrolment Kind = "enrolment"
	// kindDevice signs in the dock that holds it, once a user has approved it elsewhere (RFC 8628).
	kindDevice Kind = "device"
	// kindChallenge is a used challenge of a passkey.
	kindChallenge Kind = "challenge"
)

// A Credential is the record of a secret. Only the SHA-256 of the secret is stored: secrets are
// random, so they need no slow hash, and their lookup by an index reveals nothing.
//
// The field View also has values of other kinds: the name of the creator of an API key, the user ID
// of a guest with a token, the network of a waiting dock, and the label of the future login of an
// approved dock.
type Credential struct {
	ID        string
	Kind      Kind
	Hash      string
	User      UserID // empty for a setup code, an API key, a challenge and a waiting dock
	Label     string
	Stage     stage.ARN // of a viewing key, a guest link or a token
	View      string    // of a viewing key; for other kinds see above
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	UsedAt    time.Time
	Client    Client
	Scopes    []Scope // of an API key; of a guest link, the role of its guests
	MaxUses   int     // of a guest link
	Uses      int     // of a guest link
}

// A Match selects credentials. At least Kind or ID is set; other empty fields match all.
type Match struct {
	Kind   Kind
	ID     string
	User   UserID
	Hash   string
	Except string // an ID that does not match
}

// A StageRecord is a stage in its stored form.
type StageRecord struct {
	stage.Stage
	Key         string // name of a local stage for comparison; empty for an AWS stage
	Limits      stage.Limits
	CreatedAt   time.Time
	EndpointsAt time.Time // when the endpoints were read from AWS
}

// SortKey returns the name by which lists are sorted.
func (s StageRecord) SortKey() string { return nameKey(s.Name) }

// A Rate is a rate limit: a bucket may get at most Limit tokens between Since and Until. A Limit of
// 0 means no limit. A token dated after Until does not count: the replica that issued it had a
// wrong clock.
type Rate struct {
	Bucket string
	Limit  int
	Since  time.Time
	Until  time.Time
}

// A Permit is the data for the decision about a token.
type Permit struct {
	Account Account
	Stage   bool      // the stage exists
	Grant   Grant     // the grant of the account on the stage; empty if there is none
	Full    time.Time // if the rate limit is reached, the time of the oldest token that counts
}

// A Revocation selects issuances. Empty fields match all.
type Revocation struct {
	ID           stage.ParticipantID
	User         UserID
	Stage        stage.ARN
	Orphaned     bool               // only tokens whose credential no longer exists
	Beyond       stage.Capabilities // only tokens with a capability that is not among these …
	BeyondExpiry time.Time          // … or that expire later than this, if it is set
	ExpiresAfter time.Time
	IssuedAfter  time.Time
	Limit        int // 0 means all
}

// Attempts is a row of the throttle.
type Attempts struct {
	Bucket   string
	User     UserID // for a bucket of a browser or network that this user has signed in from
	Failures int
	At       time.Time // of the last failure or successful sign-in
}

// A StoredEvent is a stage event with its ID, which orders events, and its user.
type StoredEvent struct {
	ID   int64
	User UserID // empty if the event was not stored, see Events.Record and Store.AddEvent
	stage.Event
	By     User // the user who kicked or barred the participant; empty if there is none
	Barred bool // the participant's user, or the link of a guest, gets no more tokens
}

// Retention contains the times before which rows are deleted.
type Retention struct {
	Now       time.Time // expiry of credentials
	Events    time.Time
	Issuances time.Time // time of issue
	Attempts  time.Time // last failure that a shared bucket counted
	Known     time.Time // last sign-in from a browser or network
	Open      time.Time // start of open participants
	Audit     time.Time
	Dead      time.Time // failed deliveries
	Chat      time.Time // messages of chat rooms
}
