package access

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Store remembers. It decides nothing but races: which of two writers came first.
//
// It is safe for concurrent use. A missing row is stage.ErrNotFound, a database that does not answer is stage.ErrUnavailable.
// What a method wrote is durable when it returns, but for AddIssuance, Touch and AddEvent: a crash of the machine (not of the
// process) may forget their last moments, which only ever takes something away from someone.
type Store interface {
	// Atomically runs do as if nobody else used the database meanwhile: everything it does through tx happens, or nothing does.
	// do may run more than once, so it has no other effects. It uses tx only.
	Atomically(ctx context.Context, do func(tx Store) error) error

	// ListUsers lists by name; the filter's query is a key. Cursors are the store's own: it answers
	// BadCursor for others.
	ListUsers(ctx context.Context, f UserFilter, p Page) (PageOf[ListedUser], error)
	// Operators lists the accounts with that role.
	Operators(ctx context.Context) ([]Account, error)
	Account(ctx context.Context, id UserID) (Account, error)
	// Names returns the names of those accounts that exist among these IDs.
	Names(ctx context.Context, ids ...UserID) (map[UserID]string, error)
	AccountNamed(ctx context.Context, key string) (Account, error)
	// PutAccount adds an account, or replaces its name, role and password. It answers stage.ErrConflict when another account has that key.
	PutAccount(ctx context.Context, a Account) error
	// DeleteAccount takes the account's credentials, grants and attempts with it. Its issuances and events stay.
	DeleteAccount(ctx context.Context, id UserID) error

	// Credential finds a credential and its account (empty for a setup code) by the hash of its secret.
	Credential(ctx context.Context, kind Kind, hash string) (Credential, Account, error)
	// Credentials lists those that match, oldest first.
	Credentials(ctx context.Context, match Match) ([]Credential, error)
	// PutCredential adds a credential or replaces the one of the same ID.
	PutCredential(ctx context.Context, cred Credential) error
	// DeleteCredentials deletes those that match and says how many they were: of two who use up a code, one gets 1.
	DeleteCredentials(ctx context.Context, match Match) (int, error)
	// Touch says that a credential was used, by its user, and until when it lives now (zero: for ever).
	Touch(ctx context.Context, cred Credential) error

	Stages(ctx context.Context) ([]StageRecord, error)
	Stage(ctx context.Context, arn stage.ARN) (StageRecord, error)
	// StageNamed finds a local stage by the key of its name.
	StageNamed(ctx context.Context, key string) (StageRecord, error)
	// Endpoints lists the endpoints of all stages, each pair once.
	Endpoints(ctx context.Context) ([]stage.Endpoints, error)
	// PutStage adds or replaces a stage. It answers stage.ErrConflict when another one has that key.
	PutStage(ctx context.Context, s StageRecord) error
	// ListStages lists by name; the filter's query is a key.
	ListStages(ctx context.Context, f StageFilter, p Page) (PageOf[ListedStage], error)
	// CloseStage marks a stage as being removed, or answers stage.ErrNotFound. When it returns, no
	// token for it is recorded any more. The other methods do not find a closed stage.
	CloseStage(ctx context.Context, arn stage.ARN, at time.Time) error
	// ClosedStages lists those that are marked and not deleted yet.
	ClosedStages(ctx context.Context) ([]stage.ARN, error)
	// ClearStage deletes at most limit grants and limit keys of a closed stage, and reports whether
	// there may be more.
	ClearStage(ctx context.Context, arn stage.ARN, limit int) (more bool, err error)
	// DeleteStage deletes a closed stage.
	DeleteStage(ctx context.Context, arn stage.ARN) error

	// Grants lists those of these users.
	Grants(ctx context.Context, users ...UserID) ([]Grant, error)
	PutGrant(ctx context.Context, g Grant) error
	DeleteGrant(ctx context.Context, user UserID, arn stage.ARN) error
	// Advance increments the revision of an account: tokens that are being decided on are decided on
	// again.
	Advance(ctx context.Context, user UserID) error

	// Permit reads what the decision about a token needs, at one moment.
	Permit(ctx context.Context, user UserID, arn stage.ARN, rate Rate) (Permit, error)
	// AddIssuance records a token if the account still has that revision and the rate is not used up, else stage.ErrConflict.
	AddIssuance(ctx context.Context, i Issuance, revision int64, rate Rate) error
	Issuance(ctx context.Context, id stage.ParticipantID) (Issuance, error)
	// ListIssuances lists the newest first; the filter's query is a key of a part of a user's name.
	ListIssuances(ctx context.Context, f TokenFilter, now time.Time, p Page) (PageOf[Issuance], error)
	// RevokeIssuances marks those that match and are not revoked yet, and returns them.
	RevokeIssuances(ctx context.Context, match Revocation, at time.Time) ([]Issuance, error)
	// RevokedAtAWS lists the revoked ones for stages of AWS that expire after that time.
	RevokedAtAWS(ctx context.Context, expireAfter time.Time) ([]Issuance, error)

	// Attempts reads a row of the throttle; a missing one is stage.ErrNotFound.
	Attempts(ctx context.Context, bucket string) (Attempts, error)
	PutAttempts(ctx context.Context, a Attempts) error
	// TrimAttempts keeps a user's newest rows.
	TrimAttempts(ctx context.Context, user UserID, keep int) error
	// TrimLogins deletes all but the newest logins of a user.
	TrimLogins(ctx context.Context, user UserID, keep int) error

	// AddEvent gives the event an ID above that of every event that anybody has seen, and returns it.
	AddEvent(ctx context.Context, e StoredEvent) (StoredEvent, error)
	// TrimRefusals keeps the newest refusals of a participant.
	TrimRefusals(ctx context.Context, id stage.ParticipantID, keep int) error
	// Events lists a user's with a greater ID and not before since, oldest first, at most limit.
	Events(ctx context.Context, user UserID, after int64, since time.Time, limit int) ([]StoredEvent, error)
	// AddEvents is AddEvent for several.
	AddEvents(ctx context.Context, events []StoredEvent) ([]StoredEvent, error)
	// ListEvents lists the newest first.
	ListEvents(ctx context.Context, f EventFilter, p Page) (PageOf[StoredEvent], error)
	// Unfinished lists the open participants, at most limit: those whose last event that is not a
	// refusal is not an end. Kind and detail of that event are left out. Participants with a
	// smaller or the same ID as after are left out.
	Unfinished(ctx context.Context, after stage.ParticipantID, limit int) ([]StoredEvent, error)

	// Prune deletes at most limit rows of each kind that ended before these times, and reports
	// whether there may be more.
	Prune(ctx context.Context, before Retention, limit int) (more bool, err error)

	IdentityStore
	RuleStore
	DeviceStore
	AuditStore
	WebhookStore
}

// An Account is a User as it is remembered.
type Account struct {
	User
	Key      string // the name for comparison
	Password string // the argon2id hash; empty: none chosen yet
	// LinkedAt is when another way in was linked, such as an OpenID Connect identity; zero: none.
	LinkedAt time.Time
	Revision int64 // moves on when what the account may do changes
}

// A Kind says what a credential is good for.
type Kind string

// The kinds of single-use code. The other kinds of credential are those of a Principal.
const (
	kindSetup  Kind = "setup"  // makes the first operator
	kindInvite Kind = "invite" // chooses a password
	// kindEnrolment signs in one dock of its user.
	kindEnrolment Kind = "enrolment"
	// kindDevice signs in the dock that holds it, once a user has approved it elsewhere (RFC 8628).
	kindDevice Kind = "device"
)

// A Credential is a secret that was given to someone. Only the SHA-256 of the secret is kept: it is random, so that no slow
// hash is needed, and finding it by an index tells nothing to one who has not the secret.
type Credential struct {
	ID        string
	Kind      Kind
	Hash      string
	User      UserID // empty for a setup code
	Label     string
	Stage     stage.ARN // of a view key
	View      string    // of a view key
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	UsedAt    time.Time
	Client    Client
	Scopes    []Scope // of an API key
}

// A Match picks credentials; empty fields match everything. It has a Kind or an ID.
type Match struct {
	Kind   Kind
	ID     string
	User   UserID
	Hash   string
	Except string // an ID to spare
}

// A StageRecord is a stage as it is remembered.
type StageRecord struct {
	stage.Stage
	Key         string // the name of a local stage for comparison; empty for stages of AWS, whose names may repeat
	SortKey     string // the name as lists compare it
	Limits      stage.Limits
	CreatedAt   time.Time
	EndpointsAt time.Time // when AWS was asked for the endpoints
}

// A Rate is a limit on a bucket: at most Limit tokens issued since, and not later than Until: those are of a clock that was
// wrong. Limit 0 means none.
type Rate struct {
	Bucket string
	Limit  int
	Since  time.Time
	Until  time.Time
}

// A Permit is what the decision about a token is made from.
type Permit struct {
	Account Account
	Stage   bool      // the stage exists
	Grant   Grant     // of that account on that stage; empty when there is none
	Full    time.Time // when the oldest token that fills the rate was issued; zero: there is room
}

// A Revocation picks issuances; empty fields match everything.
type Revocation struct {
	ID           stage.ParticipantID
	User         UserID
	Stage        stage.ARN
	Orphaned     bool               // only those whose credential is gone
	Beyond       stage.Capabilities // only those with a capability that is not among these,
	BeyondExpiry time.Time          // or, if it is set, that expire later
	ExpiresAfter time.Time
	IssuedAfter  time.Time
	Limit        int // at most so many; 0: all
}

// Attempts is a row of the throttle.
type Attempts struct {
	Bucket   string
	User     UserID // set on the rows of an address that is known to be a user's
	Failures int
	At       time.Time // of the last one
}

// A StoredEvent is a stage event with its place in the order, and whose it is.
type StoredEvent struct {
	ID   int64
	User UserID // empty: of nobody we know, and not stored
	stage.Event
}

// Retention says from when on things are kept.
type Retention struct {
	Now       time.Time // credentials that expired before
	Events    time.Time
	Issuances time.Time // issued before
	Attempts  time.Time
	Known     time.Time // addresses that a user did not come from since
	Open      time.Time // participants whose session cannot last longer
	Audit     time.Time
	Dead      time.Time // deliveries that no receiver accepted
}
