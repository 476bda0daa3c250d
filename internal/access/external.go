package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// linkedIssuer is the issuer of users whom an application registers by dock links.
const linkedIssuer = "dock-link"

// An External identity is a person whom an OpenID Connect provider or an application with an API
// key has identified. Issuer and Subject identify the person permanently.
type External struct {
	Issuer        string
	Subject       string
	Name          string
	Email         string
	EmailVerified bool
	Claims        map[string][]string
	// Partial says that some claims could not be read, so a claim that is missing here may exist.
	Partial bool
}

// A Claim is a claim with one of its values.
type Claim struct {
	Name  string
	Value string
}

// ParseClaim parses NAME=VALUE.
func ParseClaim(text string) (Claim, error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" || value == "" {
		return Claim{}, fmt.Errorf("a claim is written as NAME=VALUE, not as %q", text)
	}
	return Claim{name, value}, nil
}

// Holds reports whether an identity has the claim.
func (c Claim) Holds(claims map[string][]string) bool {
	return slices.Contains(claims[c.Name], c.Value)
}

// An ExternalPolicy decides who may sign in with a provider, and with which role. Its zero value
// admits every user of the provider, as a broadcaster.
type ExternalPolicy struct {
	// Issuer is the issuer of the provider; empty if there is none. If an account has no password,
	// all logins of its user end after LoginLife, including those created by a code or a passkey.
	Issuer     string
	Domains    []string // domains of a verified e-mail address; empty means any
	Scopes     []string // requested besides openid, profile and email
	Required   []Claim  // a person needs at least one of them; empty: none is needed
	Operators  []Claim  // each of them makes an operator
	Moderators []Claim
	// LoginLife is the life of a login by the provider. Use does not extend it, so that a person
	// from whom the provider withdraws access is signed out in time.
	LoginLife time.Duration
}

// externalLoginLife is the default of LoginLife, about a working day.
const externalLoginLife = 12 * time.Hour

// An Identity is an External identity as it is stored, with its user.
type Identity struct {
	Issuer  string
	Subject string
	User    UserID
	Email   string
	Claims  map[string][]string
	SeenAt  time.Time // time of the last sign-in; 1970 if the policy refused it
	Scopes  string    // the scopes that were requested then; empty: not known
}

// An IdentityStore stores the users of external identities.
type IdentityStore interface {
	// Identity returns stage.ErrNotFound for an unknown pair of issuer and subject.
	Identity(ctx context.Context, issuer, subject string) (Identity, error)
	// PutIdentity adds an identity, or replaces all of it except its user.
	PutIdentity(ctx context.Context, i Identity) error
	// IdentitiesOf lists the identities of these users.
	IdentitiesOf(ctx context.Context, users ...UserID) ([]Identity, error)
}

// LogInExternal signs in the person of an identity. The first sign-in creates the account; each one
// applies the role and the rules anew. If the policy refuses a person whom it admitted before, the
// person's logins end. The person also loses the access and the role that came from the provider.
func (c *Control) LogInExternal(
	ctx context.Context, e External, from Client,
) (Principal, stage.Secret, error) {
	from, secret := cleanClient(from), newSecret("")
	c.warnOfMissingClaims(ctx, e)
	if err := c.cfg.External.admit(e); err != nil {
		why := c.cfg.External.whyRefused(e, err)
		c.trail.failedSignIn(ctx, cleanText(e.Name, maxName), from, why)
		if failed := c.withdraw(context.WithoutCancel(ctx), e, from); failed != nil {
			err = fmt.Errorf("withdraw the access that the provider's claims gave: %w", failed)
		}
		return Principal{}, stage.Secret{}, err
	}
	var login Principal
	var revoked []Issuance
	var widened []UserID
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		account, err := c.linked(ctx, tx, e, Principal{Kind: KindLogin, From: from})
		if err != nil {
			return err
		}
		if err := account.active(); err != nil {
			return err
		}
		before := account.Role
		by := Principal{Kind: KindLogin, User: account.User, From: from}
		if account, err = c.applyRole(ctx, tx, by, account, e); err != nil {
			return err
		}
		if revoked, err = c.roleChanged(ctx, tx, before, account); err != nil {
			return err
		}
		why := ruling{by: by, widened: &widened}
		lost, err := c.applyRules(ctx, tx, why, account, e.Claims)
		if err != nil {
			return err
		}
		revoked = append(revoked, lost...)
		if login, err = c.putExternalLogin(ctx, tx, account, secret, from); err != nil {
			return err
		}
		return c.trail.note(ctx, tx, login, Entry{
			Action: ActionLogin, Target: string(account.ID), TargetName: account.Name,
			Detail: e.Issuer,
		})
	})
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	c.caches.changed(append(widened, login.User.ID)...)
	c.wakeMaker()
	if err := c.sessions.end(ctx, revoked, reasonChanged.sentence()); err != nil &&
		c.cfg.Log != nil {
		c.cfg.Log.WarnContext(ctx, "sessions without access were not ended", "user", login.User.ID,
			"err", err)
	}
	return login, secret, nil
}

// admit returns an error for an identity that the policy does not admit.
func (p ExternalPolicy) admit(e External) error {
	if e.Issuer == "" || e.Subject == "" {
		return stage.Errorf(stage.ErrUnauthorized, "The sign-in service did not say who signs in.").
			WithCode("oidc_refused")
	}
	if !p.admitsDomain(e) {
		return stage.Errorf(stage.ErrDenied,
			"Only verified e-mail addresses of %s may sign in here.",
			strings.Join(p.Domains, ", ")).WithCode("not_admitted")
	}
	if len(p.Required) > 0 && !holdsAny(p.Required, e.Claims) {
		return stage.Errorf(stage.ErrDenied,
			"Your account may not sign in here; ask the operator.").WithCode("not_admitted")
	}
	return nil
}

func (p ExternalPolicy) admitsDomain(e External) bool {
	if len(p.Domains) == 0 {
		return true
	}
	_, domain, _ := strings.Cut(e.Email, "@")
	return e.EmailVerified && slices.ContainsFunc(p.Domains,
		func(d string) bool { return strings.EqualFold(d, domain) })
}

func holdsAny(wanted []Claim, claims map[string][]string) bool {
	return slices.ContainsFunc(wanted, func(c Claim) bool { return c.Holds(claims) })
}

// role returns the role that the claims give, or "" if claims do not decide about roles.
func (p ExternalPolicy) role(claims map[string][]string) Role {
	switch {
	case len(p.Operators)+len(p.Moderators) == 0:
		return ""
	case holdsAny(p.Operators, claims):
		return Operator
	case holdsAny(p.Moderators, claims):
		return Moderator
	}
	return Broadcaster
}

// why returns the claim that gives a role, for the audit trail.
func (p ExternalPolicy) why(role Role, claims map[string][]string) string {
	for of, list := range map[Role][]Claim{Operator: p.Operators, Moderator: p.Moderators} {
		for _, claim := range list {
			if of == role && claim.Holds(claims) {
				return "by the claim " + claim.Name + "=" + claim.Value
			}
		}
	}
	return "the provider vouches for no other role"
}

// linked returns the account of an identity, or creates it. It never finds an account by an e-mail
// address or a name, since people can choose those at the provider. If the principal in the
// parameter `by` has no user, the audit trail names the person of the identity.
func (c *Control) linked(
	ctx context.Context, tx Store, e External, by Principal,
) (Account, error) {
	known, err := tx.Identity(ctx, e.Issuer, e.Subject)
	if err != nil && !errors.Is(err, stage.ErrNotFound) {
		return Account{}, err
	}
	i := Identity{
		Issuer: e.Issuer, Subject: e.Subject, User: known.User, Email: cleanText(e.Email, 254),
		Claims: e.Claims, SeenAt: c.cfg.Now(), Scopes: c.cfg.External.scopes(),
	}
	if err == nil {
		account, err := tx.Account(ctx, known.User)
		if err != nil {
			return Account{}, err
		}
		return account, tx.PutIdentity(ctx, i)
	}
	account, err := c.createLinked(ctx, tx, e.Name, by)
	if err != nil {
		return Account{}, err
	}
	i.User = account.ID
	return account, tx.PutIdentity(ctx, i)
}

// createLinked creates an account without a password. It adds a number to a name that is taken.
func (c *Control) createLinked(
	ctx context.Context, tx Store, wanted string, by Principal,
) (Account, error) {
	name, err := freeUserName(ctx, tx, wanted)
	if err != nil {
		return Account{}, err
	}
	account := newAccount(name, Broadcaster, c.cfg.Now())
	account.LinkedAt = c.cfg.Now()
	if err := tx.PutAccount(ctx, account); err != nil {
		return Account{}, err
	}
	if by.User == (User{}) {
		by.User = account.User
	}
	return account, c.trail.note(ctx, tx, by, userEntry(ActionUserCreated, account))
}

func freeUserName(ctx context.Context, tx Store, wanted string) (string, error) {
	return freeName(wanted, func(key string) error {
		_, err := tx.AccountNamed(ctx, key)
		return err
	})
}

const nameTries = 50

// freeName returns the name, with a number if the name is taken. The function `find` looks up an
// account by the key of its name.
func freeName(wanted string, find func(key string) error) (string, error) {
	name, err := cleanName(clipName(wanted))
	if err != nil {
		name = "Broadcaster"
	}
	for n := 1; n <= nameTries; n++ {
		try := numbered(name, n)
		err := find(nameKey(try))
		if errors.Is(err, stage.ErrNotFound) {
			return try, nil
		}
		if err != nil {
			return "", err
		}
	}
	return withSuffix(name, " "+stage.NewID()), nil // all numbers of a very common name are taken
}

// numbered returns the n-th of several equal names: "Ana", "Ana (2)", …
func numbered(name string, n int) string {
	if n == 1 {
		return name
	}
	return withSuffix(name, fmt.Sprintf(" (%d)", n))
}

func (c *Control) applyRole(
	ctx context.Context, tx Store, by Principal, account Account, e External,
) (Account, error) {
	role := c.cfg.External.role(e.Claims)
	if role == "" || role == account.Role {
		return account, nil
	}
	if account.Role == Operator {
		err := spareLastOperator(ctx, tx, account)
		if errors.Is(err, stage.ErrConflict) {
			return account, nil // the last operator keeps the role, whatever the claims are
		}
		if err != nil {
			return account, err
		}
	}
	account.Role = role
	if err := tx.PutAccount(ctx, account); err != nil {
		return account, err
	}
	return account, c.trail.note(ctx, tx, by, Entry{
		Action: ActionUserChanged, Target: string(account.ID), TargetName: account.Name,
		Detail: cleanText("role "+string(role)+", "+c.cfg.External.why(role, e.Claims), 400),
	})
}

// putExternalLogin stores a login with a fixed expiry, after which the provider must admit the user
// again.
func (c *Control) putExternalLogin(
	ctx context.Context, tx Store, account Account, secret stage.Secret, from Client,
) (Principal, error) {
	label := externalLabel + " " + byProvider
	return c.signIns.putFor(ctx, tx, account, secret, from, label, c.cfg.External.life())
}
