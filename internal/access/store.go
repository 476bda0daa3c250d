package access

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Store stores what the rules decide from. It decides races alone: which of two writers came
// first.
//
// It is safe for concurrent use. A missing row is stage.ErrNotFound; a database that does not
// answer is stage.ErrUnavailable. A write is durable when its method returns, except for
// AddIssuance, Touch and AddEvent: their last moments may be lost when the machine crashes, which
// never permits more.
type Store interface {
	// Atomically runs do in one serializable transaction, through tx alone. do may run more than
	// once, so it has no other effects.
	Atomically(ctx context.Context, do func(tx Store) error) error

	// ListUsers lists users by name. The filter's query is a key. A cursor that the store did not
	// make is BadCursor.
	ListUsers(ctx context.Context, f UserFilter, p Page) (PageOf[ListedUser], error)
	// Operators lists the accounts with that role.
	Operators(ctx context.Context) ([]Account, error)
	// Account reads an account.
	Account(ctx context.Context, id UserID) (Account, error)
	// Names returns the names of those accounts that exist among these IDs.
	Names(ctx context.Context, ids ...UserID) (map[UserID]string, error)
	// AccountNamed finds an account by the key of its name.
	AccountNamed(ctx context.Context, key string) (Account, error)
	// PutAccount adds an account, or replaces its name, role and password. If another account has
	// that key, it returns stage.ErrConflict.
	PutAccount(ctx context.Context, a Account) error
	// DeleteAccount deletes an account with its credentials, grants and attempts. Issuances and
	// events stay.
	DeleteAccount(ctx context.Context, id UserID) error

	// Credential finds a credential and its account by the hash of the secret. The account of a
	// setup code or an API key is empty.
	Credential(ctx context.Context, kind Kind, hash string) (Credential, Account, error)
	// Credentials lists the matching credentials, oldest first.
	Credentials(ctx context.Context, match Match) ([]Credential, error)
	// PutCredential adds a credential, or replaces the one with the same ID.
	PutCredential(ctx context.Context, cred Credential) error
	// DeleteCredentials deletes the matching credentials and returns their number: when two
	// requests use the same code, one of them gets 1.
	DeleteCredentials(ctx context.Context, match Match) (int, error)
	// GuestLinks lists the newest guest links of a stage.
	GuestLinks(ctx context.Context, arn stage.ARN, limit int) ([]Credential, error)
	// UseGuestLink counts one use. If there is none left, it returns stage.ErrConflict.
	UseGuestLink(ctx context.Context, id string, at time.Time) error
	// ReturnGuestUse takes back a use that admitted no guest.
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
	// PutStage adds or replaces a stage. If another stage has that key, it returns
	// stage.ErrConflict.
	PutStage(ctx context.Context, s StageRecord) error
	// ListStages lists stages by name. The filter's query is a key.
	ListStages(ctx context.Context, f StageFilter, p Page) (PageOf[ListedStage], error)
	// CloseStage marks a stage as being removed. When it returns, no token for the stage is
	// recorded any more. The other methods do not find a closed stage.
	CloseStage(ctx context.Context, arn stage.ARN, at time.Time) error
	// ClosedStages lists the stages that are closed and not deleted yet.
	ClosedStages(ctx context.Context) ([]stage.ARN, error)
	// ClearStage deletes at most limit grants and limit keys of a closed stage, and reports whether
	// there may be more.
	ClearStage(ctx context.Context, arn stage.ARN, limit int) (more bool, err error)
	// DeleteStage deletes a closed stage.
	DeleteStage(ctx context.Context, arn stage.ARN) error

	// Grants lists the grants of these users.
	Grants(ctx context.Context, users ...UserID) ([]Grant, error)
	// PutGrant adds or replaces the grant of a user on a stage.
	PutGrant(ctx context.Context, g Grant) error
	// DeleteGrant deletes a grant.
	DeleteGrant(ctx context.Context, user UserID, arn stage.ARN) error
	// PutBar sets when and why the holder of a grant was barred from the stage; the zero time ends
	// it. Without the grant it returns stage.ErrNotFound.
	PutBar(ctx context.Context, user UserID, arn stage.ARN, at time.Time, reason string) error
	// Advance increments the revision of an account, so that AddIssuance refuses the tokens that
	// are being decided about at the moment.
	Advance(ctx context.Context, user UserID) error

	// Permit reads what the decision about a token needs, as of one moment.
	Permit(ctx context.Context, user UserID, arn stage.ARN, rate Rate) (Permit, error)
	// AddIssuance records a token. If the account has another revision, the rate limit is reached,
	// or the stage does not exist and is not the private one of a rehearsal, it returns
	// stage.ErrConflict.
	AddIssuance(ctx context.Context, i Issuance, revision int64, rate Rate) error
	// Issuance reads the record of a token.
	Issuance(ctx context.Context, id stage.ParticipantID) (Issuance, error)
	// SetCapabilities changes what a token that is not revoked permits, by its record.
	SetCapabilities(ctx context.Context, id stage.ParticipantID, can stage.Capabilities) error
	// ListIssuances lists records, newest first. The filter's query is a key of a part of a user's
	// name.
	ListIssuances(
		ctx context.Context, f TokenFilter, now time.Time, p Page,
	) (PageOf[Issuance], error)
	// RevokeIssuances marks the matching records that are not revoked yet, and returns them.
	RevokeIssuances(ctx context.Context, match Revocation, at time.Time) ([]Issuance, error)
	// RevokedAtAWS lists the revoked tokens for AWS stages that expire after that time.
	RevokedAtAWS(ctx context.Context, expireAfter time.Time) ([]Issuance, error)

	// Attempts reads a row of the throttle.
	Attempts(ctx context.Context, bucket string) (Attempts, error)
	// PutAttempts adds or replaces a row of the throttle.
	PutAttempts(ctx context.Context, a Attempts) error
	// TrimAttempts deletes all but the newest rows of a user.
	TrimAttempts(ctx context.Context, user UserID, keep int) error
	// TrimLogins deletes all but the newest logins of a user, and returns how many it deleted.
	TrimLogins(ctx context.Context, user UserID, keep int) (int, error)

	// AddEvent stores an event. Its ID is greater than that of every event that was returned
	// before. An event of an AWS stage that is stored already (Repeats) is returned without a user,
	// unless it brings the reason of an end: it replaces the stored one then.
	AddEvent(ctx context.Context, e StoredEvent) (StoredEvent, error)
	// TrimRefusals deletes all but the newest refusals of a participant.
	TrimRefusals(ctx context.Context, id stage.ParticipantID, keep int) error
	// Events lists at most limit events of a user with a greater ID and not before since, oldest
	// first.
	Events(
		ctx context.Context, user UserID, after int64, since time.Time, limit int,
	) ([]StoredEvent, error)
	// AddEvents is AddEvent for several.
	AddEvents(ctx context.Context, events []StoredEvent) ([]StoredEvent, error)
	// ListEvents lists events, newest first.
	ListEvents(ctx context.Context, f EventFilter, p Page) (PageOf[StoredEvent], error)
	// Unfinished lists at most limit participants with an ID greater than after whose last event,
	// refusals aside, is not an end. Kind and detail of the event are left out.
	Unfinished(ctx context.Context, after stage.ParticipantID, limit int) ([]StoredEvent, error)
	// OpenAt is Unfinished for the local sessions of one server among several.
	OpenAt(ctx context.Context, server string, limit int) ([]StoredEvent, error)
	// CloseAt takes a participant out of that list, and reports whether it was there.
	CloseAt(ctx context.Context, id stage.ParticipantID, server string) (bool, error)

	// Prune deletes at most limit rows of each kind that ended before these times, and reports
	// whether there may be more.
	Prune(ctx context.Context, before Retention, limit int) (more bool, err error)

	IdentityStore
	PasskeyStore
	RuleStore
	DeviceStore
	AuditStore
	WebhookStore
	BrandingStore
}

// An Account is a User as it is stored.
type Account struct {
	User
	Key      string // the name for comparison
	Password string // argon2id hash; empty: none chosen yet
	// LinkedAt is when another way in was linked, such as an OpenID Connect identity; zero: none.
	LinkedAt time.Time
	Revision int64 // increases when the permissions of the account change
}

// A Kind is a kind of credential.
type Kind string

// The kinds of single-use code. The other kinds of credential are those of a Principal.
const (
	kindSetup  Kind = "setup"  // makes the first operator
	kindInvite Kind = "invite" // chooses a password
	// kindEnrolment signs in one dock of its user.
	kindEnrolment Kind = "enrolment"
	// kindDevice signs in the dock that holds it, once a user has approved it elsewhere (RFC 8628).
	kindDevice Kind = "device"
	// kindChallenge is the challenge of a passkey that has served.
	kindChallenge Kind = "challenge"
)

// A Credential is the record of a secret. Only the SHA-256 of the secret is stored. A slow hash is
// not needed, since secrets are random, and the lookup by index leaks nothing about them.
type Credential struct {
	ID        string
	Kind      Kind
	Hash      string
	User      UserID // empty for a setup code
	Label     string
	Stage     stage.ARN // of a viewing key or a token
	View      string    // of a viewing key
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	UsedAt    time.Time
	Client    Client
	Scopes    []Scope // of an API key; of a guest link what it lets a guest do
	MaxUses   int     // of a guest link
	Uses      int     // of a guest link
}

// A Match selects credentials. Empty fields match all. It has a Kind or an ID.
type Match struct {
	Kind   Kind
	ID     string
	User   UserID
	Hash   string
	Except string // an ID to spare
}

// A StageRecord is a stage as it is stored.
type StageRecord struct {
	stage.Stage
	Key         string // name of a local stage for comparison; empty for an AWS stage
	Limits      stage.Limits
	CreatedAt   time.Time
	EndpointsAt time.Time // when the endpoints were read from AWS
}

// SortKey is the name as lists compare it.
func (s StageRecord) SortKey() string { return nameKey(s.Name) }

// A Rate is a rate limit: at most Limit tokens of the bucket between Since and Until; 0 is no
// limit. Later tokens are ignored: the clock that dated them was wrong.
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
	Grant   Grant     // of the account on the stage; empty: none
	Full    time.Time // if the rate limit is reached: the time of the oldest token that counts
}

// A Revocation selects issuances. Empty fields match all.
type Revocation struct {
	ID           stage.ParticipantID
	User         UserID
	Stage        stage.ARN
	Orphaned     bool               // those whose credential is gone
	Beyond       stage.Capabilities // those with a capability that is not among these,
	BeyondExpiry time.Time          // or, if this is set, that expire later
	ExpiresAfter time.Time
	IssuedAfter  time.Time
	Limit        int // 0: all
}

// Attempts is a row of the throttle.
type Attempts struct {
	Bucket   string
	User     UserID // of the row of an address from which the user signed in before
	Failures int
	At       time.Time // of the last failure
}

// A StoredEvent is a stage event with its ID, which orders events, and its user.
type StoredEvent struct {
	ID   int64
	User UserID // empty: the token was not issued here, and the event is not stored
	stage.Event
}

// Retention has the times before which rows are deleted.
type Retention struct {
	Now       time.Time // credentials that expired before
	Events    time.Time
	Issuances time.Time // issued before
	Attempts  time.Time
	Known     time.Time // last sign-in from an address
	Open      time.Time // start of open participants
	Audit     time.Time
	Dead      time.Time // deliveries that no receiver accepted
	Chat      time.Time // messages of a chat
}
