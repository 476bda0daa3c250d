package access

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const (
	maxPasskeys = 20 // of one account
	// challengeLife is how long a used challenge is stored: longer than the validity of any
	// challenge.
	challengeLife = time.Hour
)

// A Passkey is a public key with which a user signs in (WebAuthn).
type Passkey struct {
	ID        string
	User      UserID
	KeyID     string // chosen by the authenticator
	Name      string
	Record    string // data of the PasskeyVerifier
	CreatedAt time.Time
	UsedAt    time.Time // zero: never
}

// A PasskeyUser is an account with its passkeys.
type PasskeyUser struct {
	ID   UserID
	Name string
	Keys []Passkey
}

// A CheckedPasskey is the result of a valid answer.
type CheckedPasskey struct {
	KeyID     string
	Record    string // the new record
	Challenge string // the caller must accept each challenge only once
	Copied    bool   // the counter decreased, so there may be a copy of the private key
}

// A PasskeyVerifier creates the options for browsers, and verifies the answers.
type PasskeyVerifier interface {
	// ID returns the host name to which browsers bind passkeys.
	ID() string
	// Create returns options for navigator.credentials.create.
	Create(u PasskeyUser) (json.RawMessage, error)
	// Created verifies the browser's answer to Create, for the same user.
	Created(u PasskeyUser, answer []byte) (CheckedPasskey, error)
	// Ask returns options for navigator.credentials.get.
	Ask() (json.RawMessage, error)
	// Answered verifies the browser's answer to Ask. The function `find` returns the user with a
	// key.
	Answered(answer []byte, find func(keyID string) (PasskeyUser, error)) (CheckedPasskey, error)
}

// A PasskeyStore stores passkeys.
type PasskeyStore interface {
	// Passkeys lists the passkeys of a user, oldest first.
	Passkeys(ctx context.Context, user UserID) ([]Passkey, error)
	// PasskeyByKey finds a passkey by its KeyID.
	PasskeyByKey(ctx context.Context, keyID string) (Passkey, error)
	// PutPasskey adds a passkey, or replaces its name, record and last use. It returns
	// stage.ErrConflict if another passkey has that KeyID.
	PutPasskey(ctx context.Context, k Passkey) error
	// DeletePasskeys deletes one passkey of a user, or all for an empty ID, and returns their
	// number.
	DeletePasskeys(ctx context.Context, user UserID, id string) (int, error)
	// UseOnce stores a credential without a user. It returns stage.ErrConflict if its hash is
	// stored already.
	UseOnce(ctx context.Context, cred Credential) error
}

func noPasskeys() error {
	return stage.Errorf(stage.ErrNotFound,
		"There are no passkeys here: they need https and a host name in the public URL.").
		WithCode("no_passkeys")
}

func passkeyNeeded() error {
	return stage.Errorf(stage.ErrDenied, "Operators need a passkey here: sign in with yours, "+
		"or add your first one on the account page, and sign in with it.").
		WithCode("passkey_needed")
}

// Passkeys adds and removes passkeys, for their users, and signs in with them.
type Passkeys struct {
	*trail
	verifier PasskeyVerifier // see Config.Passkeys; may be nil
	signIns  *signIns
	sessions *sessions
	caches   *caches
}

// Host returns the host name for which passkeys work, or "".
func (p *Passkeys) Host() string {
	if p.verifier == nil {
		return ""
	}
	return p.verifier.ID()
}

// List lists the passkeys of the caller, oldest first.
func (p *Passkeys) List(ctx context.Context, who Principal) ([]Passkey, error) {
	if err := who.Require(ScopeAccount); err != nil {
		return nil, err
	}
	return p.store.Passkeys(ctx, who.User.ID)
}

// Begin returns the options with which the caller's browser creates a passkey.
func (p *Passkeys) Begin(ctx context.Context, who Principal) (json.RawMessage, error) {
	u, err := p.mayChange(ctx, p.store, who)
	if err != nil {
		return nil, err
	}
	return p.verifier.Create(u)
}

// mayChange returns the caller with their passkeys. If operators need a passkey, a login without
// one may add only the account's first passkey. So a stolen password does not suffice to add a
// second one.
func (p *Passkeys) mayChange(
	ctx context.Context, s Store, who Principal,
) (PasskeyUser, error) {
	if err := who.Require(ScopeAccount); err != nil {
		return PasskeyUser{}, err
	}
	switch {
	case p.verifier == nil:
		return PasskeyUser{}, noPasskeys()
	case who.Key != "":
		return PasskeyUser{}, signInYourself()
	}
	keys, err := s.Passkeys(ctx, who.User.ID)
	if err != nil {
		return PasskeyUser{}, err
	}
	if who.Unproven && len(keys) > 0 {
		return PasskeyUser{}, passkeyNeeded()
	}
	return PasskeyUser{ID: who.User.ID, Name: who.User.Name, Keys: keys}, nil
}

// Add stores the passkey that the caller's browser created.
func (p *Passkeys) Add(
	ctx context.Context, who Principal, name string, answer []byte,
) (Passkey, error) {
	name, err := cleanName(name)
	if err != nil {
		return Passkey{}, err
	}
	var made Passkey
	err = p.store.Atomically(ctx, func(tx Store) error {
		u, err := p.mayChange(ctx, tx, who)
		if err != nil {
			return err
		}
		if len(u.Keys) >= maxPasskeys {
			return words.Error(stage.ErrConflict, "said.conflict.passkeys",
				words.Values{"n": len(u.Keys)})
		}
		checked, err := p.verifier.Created(u, answer)
		if err != nil {
			return notVerified(err)
		}
		if err := p.useChallenge(ctx, tx, checked.Challenge); err != nil {
			return notVerified(err)
		}
		made = Passkey{
			ID: stage.NewID(), User: who.User.ID, KeyID: checked.KeyID, Name: name,
			Record:    checked.Record,
			CreatedAt: p.now(),
		}
		err = tx.PutPasskey(ctx, made)
		if errors.Is(err, stage.ErrConflict) {
			return words.Error(stage.ErrConflict, "said.conflict.passkeyThere", nil)
		}
		if err != nil {
			return err
		}
		return p.note(ctx, tx, who, passkeyEntry(ActionPasskeyCreated, made))
	})
	return made, err
}

// notVerified replaces ErrUnauthorized for a passkey that could not be verified: at that error a
// page would show the sign-in, and this user is still signed in.
func notVerified(err error) error {
	if !errors.Is(err, stage.ErrUnauthorized) {
		return err
	}
	return stage.Errorf(stage.ErrInvalid, "This passkey does not verify. Try again.").
		WithCode("passkey_refused").WithCause(err)
}

func passkeyEntry(action Action, k Passkey) Entry {
	return Entry{Action: action, Target: k.ID, TargetName: k.Name, TargetUser: k.User}
}

// useChallenge refuses a challenge that was used already.
func (p *Passkeys) useChallenge(ctx context.Context, tx Store, challenge string) error {
	now := p.now()
	err := tx.UseOnce(ctx, Credential{
		ID: stage.NewID(), Kind: kindChallenge, Hash: hashOf(stage.NewSecret(challenge)),
		CreatedAt: now,
		ExpiresAt: now.Add(challengeLife),
	})
	if errors.Is(err, stage.ErrConflict) {
		return stage.Errorf(stage.ErrUnauthorized, "This answer was used already. Try again.").
			WithCode("passkey_refused")
	}
	return err
}

// Rename changes the name of a passkey of the caller.
func (p *Passkeys) Rename(ctx context.Context, who Principal, id, name string) error {
	name, err := cleanName(name)
	if err != nil {
		return err
	}
	return p.on(ctx, who, id, func(tx Store, k Passkey, _ []Passkey) error {
		k.Name = name
		if err := tx.PutPasskey(ctx, k); err != nil {
			return err
		}
		return p.note(ctx, tx, who, passkeyEntry(ActionPasskeyChanged, k))
	})
}

func (p *Passkeys) on(
	ctx context.Context, who Principal, id string,
	act func(tx Store, k Passkey, all []Passkey) error,
) error {
	return p.store.Atomically(ctx, func(tx Store) error {
		u, err := p.mayChange(ctx, tx, who)
		if err != nil {
			return err
		}
		for _, k := range u.Keys {
			if k.ID == id {
				return act(tx, k, u.Keys)
			}
		}
		return noSuch("passkey")
	})
}

// Remove deletes a passkey of the caller, and ends the logins that depend on the passkey, except
// the caller's own. It returns an error if the user needs this passkey, see spareLast.
func (p *Passkeys) Remove(ctx context.Context, who Principal, id string) error {
	var revoked []Issuance
	err := p.on(ctx, who, id, func(tx Store, k Passkey, all []Passkey) error {
		account, err := tx.Account(ctx, who.User.ID)
		if err != nil {
			return err
		}
		if len(all) == 1 {
			if err := p.spareLast(account); err != nil {
				return err
			}
		}
		if _, err := tx.DeletePasskeys(ctx, who.User.ID, k.ID); err != nil {
			return err
		}
		err = endDerived(ctx, tx, who.User.ID, who.CredentialID, func(l loginLabel) bool {
			return l.restsOn(k.ID)
		})
		if err != nil {
			return err
		}
		if revoked, err = p.outbox.revokeOrphans(ctx, tx, who.User.ID); err != nil {
			return err
		}
		return p.note(ctx, tx, who, passkeyEntry(ActionPasskeyRemoved, k))
	})
	if err != nil {
		return err
	}
	p.caches.changed(who.User.ID)
	p.sessions.endOrLog(ctx, revoked, reasonLogin.sentence())
	return nil
}

// spareLast returns an error if the user could not sign in without the passkey, or could not use
// the scopes of an operator.
func (p *Passkeys) spareLast(account Account) error {
	switch {
	case p.signIns.operatorPasskeys && account.Role == Operator:
		return stage.Errorf(stage.ErrConflict,
			"Operators need a passkey here, and this is your last one: add another first.").
			WithCode("last_passkey")
	case p.signIns.noPasswords && account.LinkedAt.IsZero():
		return stage.Errorf(stage.ErrConflict,
			"Passwords are switched off here, and this passkey is your last way in: "+
				"add another first.").WithCode("last_passkey")
	}
	return nil
}

// Ask returns the options with which a browser signs in with a passkey.
func (p *Passkeys) Ask() (json.RawMessage, error) {
	if p.verifier == nil {
		return nil, noPasskeys()
	}
	return p.verifier.Ask()
}

// LogIn signs in with a browser's answer to Ask.
func (p *Passkeys) LogIn(
	ctx context.Context, answer []byte, from Client,
) (Principal, stage.Secret, error) {
	if p.verifier == nil {
		return Principal{}, stage.Secret{}, noPasskeys()
	}
	from, secret := cleanClient(from), newSecret("")
	var login Principal
	var account Account
	err := p.store.Atomically(ctx, func(tx Store) error {
		account = Account{}
		var used Passkey
		checked, err := p.verifier.Answered(answer, func(keyID string) (PasskeyUser, error) {
			var err error
			used, account, err = passkeyOwner(ctx, tx, keyID)
			return PasskeyUser{ID: account.ID, Name: account.Name, Keys: []Passkey{used}}, err
		})
		if err != nil {
			return err
		}
		if err := p.useChallenge(ctx, tx, checked.Challenge); err != nil {
			return err
		}
		if checked.Copied {
			return stage.Errorf(stage.ErrUnauthorized,
				"This passkey may have been copied: its counter went back. "+
					"Sign in another way, and remove it.").WithCode("passkey_copied")
		}
		if err := account.active(); err != nil {
			return err
		}
		used.Record, used.UsedAt = checked.Record, p.now()
		if err := tx.PutPasskey(ctx, used); err != nil {
			return err
		}
		if login, err = p.signIns.putFor(ctx, tx, account, secret, from, byPasskey+used.ID,
			loginLife); err != nil {
			return err
		}
		return p.note(ctx, tx, login, loginEntry(account, "passkey "+used.Name))
	})
	if err != nil {
		if errors.Is(err, stage.ErrUnauthorized) || errors.Is(err, stage.ErrDenied) {
			p.failedSignIn(ctx, account.Name, from, err)
		}
		return Principal{}, stage.Secret{}, err
	}
	return login, secret, nil
}

func passkeyOwner(ctx context.Context, tx Store, keyID string) (Passkey, Account, error) {
	unknown := stage.Errorf(stage.ErrUnauthorized,
		"This passkey is not registered here, or it was removed. Sign in another way.").
		WithCode("passkey_unknown")
	k, err := tx.PasskeyByKey(ctx, keyID)
	if err != nil {
		return k, Account{}, notFoundIs(err, unknown)
	}
	account, err := tx.Account(ctx, k.User)
	return k, account, notFoundIs(err, unknown)
}

// OperatorsWayIn reports whether an operator can sign in without a password: by a claim, a passkey,
// or an identity at the provider. If there is no operator yet, only a claim counts.
func (c *Control) OperatorsWayIn(ctx context.Context) (bool, error) {
	if c.Setup.ProviderMakesOperators() {
		return true, nil
	}
	operators, err := c.cfg.Store.Operators(ctx)
	if err != nil {
		return false, err
	}
	for _, account := range operators {
		if !account.SuspendedAt.IsZero() {
			continue
		}
		keys, err := c.cfg.Store.Passkeys(ctx, account.ID)
		if err != nil {
			return false, err
		}
		identities, err := c.cfg.Store.IdentitiesOf(ctx, account.ID)
		if err != nil {
			return false, err
		}
		for _, i := range identities {
			if c.cfg.External.Issuer != "" && sameIssuer(i.Issuer, c.cfg.External.Issuer) &&
				!i.refused() {
				return true, nil
			}
		}
		if len(keys) > 0 && c.cfg.Passkeys != nil {
			return true, nil
		}
	}
	return false, nil
}
