package access

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Presented are the credentials in a request. A bearer takes precedence over the cookie.
type Presented struct {
	Login  stage.Secret // the cookie of a browser
	Bearer stage.Secret // Authorization: Bearer
	From   Client       // the origin of the request, for the audit trail
}

// credentialKey identifies the credential of a request by its hash.
type credentialKey struct {
	bearer bool
	hash   [sha256.Size]byte
}

// Clone copies the credentials for an event stream, because a substring of a header would keep the
// whole request in memory. The copy has no From.
func (p Presented) Clone() Presented {
	return Presented{
		Login:  stage.NewSecret(strings.Clone(p.Login.Reveal())),
		Bearer: stage.NewSecret(strings.Clone(p.Bearer.Reveal())),
	}
}

// key must be different for different credentials, because Recall finds principals by it.
func (p Presented) key() credentialKey {
	if p.Bearer.Empty() {
		return credentialKey{hash: sha256.Sum256([]byte(p.Login.Reveal()))}
	}
	return credentialKey{bearer: true, hash: sha256.Sum256([]byte(p.Bearer.Reveal()))}
}

// A Principal is the result of Authenticate: the user and the credential behind a request. What the
// request may do depends on it.
type Principal struct {
	Kind         Kind
	CredentialID string // for a participant token, the participant ID

	// User is the account. With a viewing key, a guest link or a participant token it has only the
	// ID and the name, and no role: such a credential never acts for the account.
	User User

	// Revision is the revision of the account, which increases when its permissions change.
	Revision int64

	// Stage, Capabilities and View limit the credential. They are empty for a login, an access key,
	// an API key and the command line. OnStage sets Stage and Capabilities.
	Stage        stage.ARN
	Capabilities stage.Capabilities
	View         stage.View // the view of a viewing key, and of its tokens

	CreatedAt time.Time
	UsedAt    time.Time // of a login or a key
	ExpiresAt time.Time // moves when a login is used, see loginLife; zero means never
	Client    Client    // of a login
	From      Client    // of the request
	Scopes    []Scope   // of an API key
	// Key is the access key that created this login; empty if none did. Such a login has only a
	// broadcaster's scopes.
	Key     string
	Passkey string // the passkey that created this login; empty if none did
	// HasPassword says that the account of a login or an access key has a password.
	HasPassword bool
	// ByProvider says that the OpenID Connect provider created this login, so that the browser may
	// still be signed in at the provider.
	ByProvider bool
	// Unproven marks an operator's login without the passkey that operators need. It has only a
	// broadcaster's scopes.
	Unproven bool
	Renewed  bool      // ExpiresAt has just moved: the cookie must be sent again
	guest    GuestLink // the link, if the credential is the secret of a guest link
	origin   string    // the passkey with which this login ends; empty if there is none
}

// The kinds of credential that authenticate a request. The section "Where new things go" of
// docs/glossary.md lists what a new kind needs.
const (
	// The operator at the machine itself. No request has this kind.
	KindCommandLine Kind = "command line"
	KindLogin       Kind = "login"  // the cookie of a browser
	KindAccessKey   Kind = "access" // sdk_…: issues tokens for programs
	KindAPIKey      Kind = "api"    // sdo_…: an operator's program
	KindViewKey     Kind = "view"   // sdv_…: a browser source of OBS
	KindToken       Kind = "token"  // a participant token (a JWT)
	KindGuestLink   Kind = "guest"  // sdg_…: lets guests onto one stage
)

// CommandLine returns the principal of the command line. It has no account: a person who can write
// the database may do everything.
func CommandLine() Principal {
	return Principal{Kind: KindCommandLine, User: User{Name: "command line", Role: Operator}}
}

// A Scope is a group of actions. Each kind of credential allows some scopes.
type Scope string

const (
	ScopeSelf   Scope = "self"   // read the caller's own account and stages
	ScopeTokens Scope = "tokens" // issue tokens, read and revoke them
	// The caller's password, logins, keys, docks, tokens and event stream.
	ScopeAccount Scope = "account"
	ScopeStage   Scope = "stage"  // the presence and the chat of a stage
	ScopeView    Scope = "view"   // the view of a viewing key, and its token
	ScopeGuest   Scope = "guest"  // the offer of a guest link, and its tokens
	ScopeUsers   Scope = "users"  // accounts and grants; operators only
	ScopeStages  Scope = "stages" // list, add, change and remove stages; operators only
	ScopeAudit   Scope = "audit"  // the tokens of all users and the audit trail; operators only

	ScopeModerate Scope = "moderate" // kick from stages; operators and, with access, moderators
	ScopeWebhooks Scope = "webhooks" // webhooks and their deliveries; operators only
	ScopeAPIKeys  Scope = "api-keys" // API keys; operators only, and never with an API key
	ScopeSystem   Scope = "system"   // settings, own keys and branding; operators only
)

// Allows reports whether the credential and the role of its user allow a scope.
func (p Principal) Allows(scope Scope) bool {
	switch p.Kind {
	case KindCommandLine:
		return scope != ScopeView && scope != ScopeGuest
	case KindLogin:
		return scope != ScopeView && scope != ScopeGuest && p.User.Role.allows(scope)
	case KindAPIKey:
		return scope == ScopeSelf || slices.Contains(p.Scopes, scope)
	case KindAccessKey:
		return scope == ScopeSelf || scope == ScopeTokens
	case KindViewKey:
		return scope == ScopeView || scope == ScopeStage
	case KindToken:
		return scope == ScopeStage
	case KindGuestLink:
		return scope == ScopeGuest
	}
	return false
}

// allows reports whether a role includes a scope.
func (r Role) allows(scope Scope) bool {
	switch scope {
	case ScopeUsers, ScopeStages, ScopeAudit, ScopeWebhooks, ScopeAPIKeys, ScopeSystem:
		return r == Operator
	case ScopeModerate:
		return r == Operator || r == Moderator
	}
	return true
}

// Require returns an error if the credential does not allow a scope.
func (p Principal) Require(scope Scope) error {
	if p.Allows(scope) {
		return nil
	}
	if scope == ScopeView {
		return stage.Errorf(stage.ErrUnauthorized,
			"This needs the viewing key of a browser source: Authorization: Bearer <key>.")
	}
	if scope == ScopeGuest {
		return stage.Errorf(stage.ErrUnauthorized,
			"This needs the secret of a guest link: Authorization: Bearer <secret>.")
	}
	switch p.Kind {
	case KindLogin:
		if p.Unproven && Operator.allows(scope) {
			return passkeyNeeded()
		}
		return operatorsOnly()
	case KindAPIKey:
		return stage.Errorf(stage.ErrDenied,
			"This API key lacks the scope %q.", scope).WithCode("scope")
	case KindAccessKey:
		return stage.Errorf(stage.ErrUnauthorized,
			"An access key issues, reads and revokes tokens; sign in for anything else.")
	case KindViewKey:
		return stage.Errorf(stage.ErrUnauthorized,
			"A viewing key shows its view of one stage; sign in for anything else.")
	case KindToken:
		return stage.Errorf(stage.ErrUnauthorized,
			"A participant token is good for its stage; sign in for anything else.")
	case KindGuestLink:
		return stage.Errorf(stage.ErrUnauthorized,
			"A guest link lets guests onto its stage; sign in for anything else.")
	}
	return signInFirst()
}

// Authenticate returns the principal behind a request. No other function recognizes the credentials
// of requests to the API. WHIP, WHEP and the events socket pass tokens of local stages to Verify.
func (c *Control) Authenticate(ctx context.Context, presented Presented) (Principal, error) {
	key := presented.key()
	_, generation, _ := c.Outage.principals.get(key)
	who, err := c.authenticate(ctx, presented)
	who.From = presented.From
	who = c.signIns.proven(who)
	if err == nil {
		c.Outage.remember(key, who, generation)
	}
	return who, err
}

func (c *Control) authenticate(ctx context.Context, presented Presented) (Principal, error) {
	switch bearer := presented.Bearer.Reveal(); {
	case bearer == "" && presented.Login.Empty():
		return Principal{}, signInFirst()
	case bearer == "":
		return c.Logins.principal(ctx, presented.Login)
	case strings.HasPrefix(bearer, accessKeyPrefix):
		return c.AccessKeys.principal(ctx, presented.Bearer)
	case strings.HasPrefix(bearer, apiKeyPrefix):
		return c.APIKeys.principal(ctx, presented.Bearer)
	case strings.HasPrefix(bearer, viewKeyPrefix):
		return c.ViewKeys.principal(ctx, presented.Bearer)
	case strings.HasPrefix(bearer, guestLinkPrefix):
		return c.GuestLinks.principal(ctx, presented.Bearer)
	case strings.Count(bearer, ".") == 2: // a JWT (RFC 7515, 3.1); keys have no dots
		return c.byToken(ctx, presented.Bearer)
	}
	return Principal{}, unknownKey()
}

// OnStage limits a principal to one stage and sets its capabilities there.
func (c *Control) OnStage(ctx context.Context, who Principal, arn stage.ARN) (Principal, error) {
	if err := who.Require(ScopeStage); err != nil {
		return Principal{}, err
	}
	if who.Stage != "" {
		if who.Stage != arn {
			return Principal{}, noGrant()
		}
		return who, nil
	}
	granted, err := c.stageList.accessTo(ctx, who.User, arn)
	if err != nil {
		return Principal{}, err
	}
	who.Stage, who.Capabilities = arn, granted.Capabilities
	return who, nil
}

func signInFirst() error { return stage.Errorf(stage.ErrUnauthorized, "Sign in first.") }
