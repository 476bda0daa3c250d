package access

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	defaultLoginLife = 30 * 24 * time.Hour
	// A use is written down at most so often: reading a page is not a write.
	touchEvery = time.Minute
	// The end of a login moves at most so often: each move costs a cookie.
	renewEvery = 24 * time.Hour
	// Logins of one account; the newest are kept.
	maxLogins = 50
)

func (c *Control) loginLife() time.Duration { return cmp.Or(c.LoginLife, defaultLoginLife) }

// LogIn compares name and password. It says the same, after the same time, for a wrong name and a wrong password.
func (c *Control) LogIn(ctx context.Context, name string, password stage.Secret, from Client) (Principal, stage.Secret, error) {
	if c.NoPasswords {
		return Principal{}, stage.Secret{}, stage.Errorf(stage.ErrDenied,
			"Passwords are switched off here; sign in another way.").WithCode("no_passwords")
	}
	from = cleanClient(from)
	key := nameKey(cleanText(name, 4*maxName))
	account, err := c.Store.AccountNamed(ctx, key)
	if err != nil && !errors.Is(err, stage.ErrNotFound) {
		return Principal{}, stage.Secret{}, err
	}
	switch err := c.verify(ctx, account, key, password, from); {
	case errors.Is(err, stage.ErrUnauthorized):
		// An unknown name is not kept: it may be a password that was typed into the wrong field.
		c.failedSignIn(ctx, account.Name, from, err)
		return Principal{}, stage.Secret{}, err
	case err != nil:
		c.warnThrottled(account, from, err)
		return Principal{}, stage.Secret{}, err
	}
	return c.newLogin(ctx, account, from)
}

// verify compares the password of an account, which may be empty, under the throttle.
func (c *Control) verify(ctx context.Context, account Account, key string, password stage.Secret, from Client) error {
	if len(password.Reveal()) > maxPassword {
		return wrongPassword()
	}
	leave, err := c.Passwords.turns.enter(ctx, key, from.Address)
	if err != nil {
		return err
	}
	defer leave()
	a, err := c.begin(ctx, key, account.ID, from)
	if err != nil {
		return err
	}
	same, err := c.Passwords.matches(password, account.Password)
	if err != nil {
		c.abandoned(ctx, a)
		return err
	}
	if !same {
		return wrongPassword()
	}
	return c.succeeded(ctx, a)
}

// warnThrottled logs a sign-in that was refused before its password was compared.
func (c *Control) warnThrottled(account Account, from Client, err error) {
	if errors.Is(err, stage.ErrTooMany) && c.Log != nil {
		c.Log.Warn("sign-in throttled", "user", account.ID, "from", from.Address, "err", err)
	}
}

func wrongPassword() error {
	return stage.Errorf(stage.ErrUnauthorized, "Name or password is wrong.").WithCode("wrong_password")
}

// newLogin gives a browser its secret, unless the password was changed since it was compared.
func (c *Control) newLogin(ctx context.Context, account Account, from Client) (Principal, stage.Secret, error) {
	secret := newSecret("")
	var login Principal
	err := c.Store.Atomically(ctx, func(tx Store) error {
		now, err := tx.Account(ctx, account.ID)
		if err != nil {
			return notFoundIs(err, wrongPassword())
		}
		if now.Password != account.Password {
			return wrongPassword()
		}
		if err := now.active(); err != nil {
			return err
		}
		if login, err = c.putLogin(ctx, tx, now, secret, from); err != nil {
			return err
		}
		return c.note(ctx, tx, login, Entry{Action: ActionLogin, Target: string(now.ID), TargetName: now.Name})
	})
	return login, secret, err
}

// putLogin stores a new login inside a decision.
func (c *Control) putLogin(ctx context.Context, tx Store, account Account, secret stage.Secret, from Client) (Principal, error) {
	return c.putLoginFor(ctx, tx, account, secret, from, "", c.loginLife())
}

// putLoginFor stores a login of a certain life. A label marks those that use does not extend.
func (c *Control) putLoginFor(
	ctx context.Context, tx Store, account Account, secret stage.Secret, from Client, label string, life time.Duration,
) (Principal, error) {
	now := c.Now()
	cred := Credential{
		ID: stage.NewID(), Kind: KindLogin, Hash: hashOf(secret), User: account.ID, Label: label,
		CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(life), Client: from,
	}
	if err := tx.PutCredential(ctx, cred); err != nil {
		return Principal{}, err
	}
	if err := tx.Touch(ctx, cred); err != nil {
		return Principal{}, err
	}
	if err := tx.TrimLogins(ctx, account.ID, maxLogins); err != nil {
		return Principal{}, err
	}
	account.LastSeenAt = now
	return principalOf(cred, account), nil
}

// principalOf is the principal of a credential that acts for its account.
func principalOf(cred Credential, account Account) Principal {
	return Principal{
		Kind: cred.Kind, CredentialID: cred.ID, User: account.User, Revision: account.Revision,
		CreatedAt: cred.CreatedAt, UsedAt: cred.UsedAt, ExpiresAt: cred.ExpiresAt, Client: cred.Client,
	}
}

// byLogin finds the login of a cookie. Use moves the expiry of a login; Renewed reports that.
func (c *Control) byLogin(ctx context.Context, secret stage.Secret) (Principal, error) {
	hash, now := hashOf(secret), c.Now()
	seen, age, known := c.logins.recall(hash)
	if known && now.Sub(seen.at) < believeLogin && now.Before(seen.login.ExpiresAt) {
		return seen.login, nil
	}
	login, err := c.readLogin(ctx, hash, now)
	if err != nil {
		c.logins.forget(hash)
		return Principal{}, err
	}
	again := login
	again.Renewed = false
	c.logins.keep(hash, seenLogin{again, now}, age)
	return login, nil
}

func (c *Control) readLogin(ctx context.Context, hash string, now time.Time) (Principal, error) {
	cred, account, err := c.Store.Credential(ctx, KindLogin, hash)
	if err != nil {
		return Principal{}, notFoundIs(err, signInAgain())
	}
	if !now.Before(cred.ExpiresAt) {
		return Principal{}, signInAgain()
	}
	if now.Sub(cred.UsedAt) < touchEvery {
		return principalOf(cred, account), nil
	}
	return c.renew(ctx, cred, account, now), nil
}

func (c *Control) renew(ctx context.Context, cred Credential, account Account, now time.Time) Principal {
	used := cred
	used.UsedAt = now
	renewed := cred.Label != externalLabel && now.Add(c.loginLife()).Sub(cred.ExpiresAt) >= renewEvery
	if renewed {
		used.ExpiresAt = now.Add(c.loginLife())
	}
	if !c.touch(ctx, used) {
		return principalOf(cred, account)
	}
	account.LastSeenAt = now
	login := principalOf(used, account)
	login.Renewed = renewed
	return login
}

func signInAgain() error {
	return stage.Errorf(stage.ErrUnauthorized, "Sign in first; this sign-in has ended.")
}

// LogOut ends the login that asks for it.
func (c *Control) LogOut(ctx context.Context, who Principal) error {
	if err := who.Require(ScopeAccount); err != nil {
		return err
	}
	revoked, err := c.endLogins(ctx, Match{ID: who.CredentialID, User: who.User.ID})
	if err != nil {
		return err
	}
	c.changed(who.User.ID)
	c.disconnectOrLog(ctx, revoked, signedOut)
	return nil
}

const signedOut = "The login has ended."

// endLogins deletes the logins that match, all of one user, and revokes the view tokens that rest on them.
func (c *Control) endLogins(ctx context.Context, match Match) (revoked []Issuance, err error) {
	match.Kind = KindLogin
	err = c.Store.Atomically(ctx, func(tx Store) error {
		if _, err := tx.DeleteCredentials(ctx, match); err != nil {
			return err
		}
		revoked, err = c.revokeOrphans(ctx, tx, match.User)
		return err
	})
	return revoked, err
}

const passwordChanged = "The password of the account was changed."

// ChangePassword ends every other login of the person. With endKeys it ends their keys and open tokens, too: by itself it does
// not, since an OBS that nobody sits at would fall silent.
func (c *Control) ChangePassword(ctx context.Context, who Principal, current, password stage.Secret, endKeys bool) error {
	if err := who.Require(ScopeAccount); err != nil {
		return err
	}
	account, err := c.Store.Account(ctx, who.User.ID)
	if err != nil {
		return err
	}
	if err := checkPassword(password, account.Name); err != nil {
		return err
	}
	if err := c.verify(ctx, account, account.Key, current, who.Client); err != nil {
		return currentIsWrong(err)
	}
	hash, err := c.Passwords.hashInTurn(ctx, account.Key, who.Client, password)
	if err != nil {
		return err
	}
	var revoked []Issuance
	err = c.Store.Atomically(ctx, func(tx Store) error {
		revoked = nil // this may run more than once
		now, err := tx.Account(ctx, account.ID)
		if err != nil {
			return notFoundIs(err, signInAgain())
		}
		if now.Password != account.Password {
			return currentIsWrong(wrongPassword())
		}
		if endKeys {
			if revoked, err = c.endKeys(ctx, tx, account.ID); err != nil {
				return err
			}
		}
		if err := setPassword(ctx, tx, now, hash, who.CredentialID); err != nil {
			return err
		}
		orphans, err := c.revokeOrphans(ctx, tx, account.ID)
		if err != nil {
			return err
		}
		revoked = append(revoked, orphans...)
		return c.note(ctx, tx, who, userEntry(ActionPasswordChanged, now))
	})
	if err != nil {
		return err
	}
	c.changed(account.ID)
	return c.disconnect(ctx, revoked, passwordChanged)
}

// endKeys takes from a person what could outlive their password: keys and open tokens, those included that are being issued now.
func (c *Control) endKeys(ctx context.Context, tx Store, id UserID) ([]Issuance, error) {
	for _, kind := range []Kind{KindAccessKey, KindViewKey} {
		if _, err := tx.DeleteCredentials(ctx, Match{Kind: kind, User: id}); err != nil {
			return nil, err
		}
	}
	if err := tx.Advance(ctx, id); err != nil {
		return nil, err
	}
	return c.revokeOpen(ctx, tx, Revocation{User: id})
}

// currentIsWrong says what was wrong to somebody who is signed in.
func currentIsWrong(err error) error {
	if !errors.Is(err, stage.ErrUnauthorized) {
		return err
	}
	return stage.Errorf(stage.ErrInvalid, "The current password is wrong.").WithCode("wrong_password")
}

// setPassword ends the logins but one, and the invitation: whoever had the old way in is out.
func setPassword(ctx context.Context, tx Store, account Account, hash, exceptLogin string) error {
	account.Password = hash
	if err := tx.PutAccount(ctx, account); err != nil {
		return err
	}
	if _, err := tx.DeleteCredentials(ctx, Match{Kind: KindLogin, User: account.ID, Except: exceptLogin}); err != nil {
		return err
	}
	_, err := tx.DeleteCredentials(ctx, Match{Kind: kindInvite, User: account.ID})
	return err
}
