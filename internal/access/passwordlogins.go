package access

import (
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// PasswordLogins signs in with names and passwords, and changes passwords.
type PasswordLogins struct {
	*trail
	throttle  *throttle
	passwords *Passwords
	signIns   *signIns
	sessions  *sessions
	caches    *caches
}

// LogIn signs in with a name and a password. A wrong name and a wrong password give the same error
// after the same time.
func (p *PasswordLogins) LogIn(
	ctx context.Context, name string, password stage.Secret, from Client,
) (Principal, stage.Secret, error) {
	if p.signIns.noPasswords {
		return Principal{}, stage.Secret{}, stage.Errorf(stage.ErrDenied,
			"Passwords are switched off here; sign in another way.").WithCode("no_passwords")
	}
	from = cleanClient(from)
	key := nameKey(cleanText(name, 4*maxName))
	account, err := p.store.AccountNamed(ctx, key)
	if err != nil && !errors.Is(err, stage.ErrNotFound) {
		return Principal{}, stage.Secret{}, err
	}
	switch err := p.verify(ctx, account, key, password, from); {
	case errors.Is(err, stage.ErrUnauthorized):
		// An unknown name is not stored, because it may be a password that was typed into the wrong
		// field.
		p.failedSignIn(ctx, account.Name, from, err)
		return Principal{}, stage.Secret{}, err
	case err != nil:
		p.throttle.warn(ctx, account, from, err)
		return Principal{}, stage.Secret{}, err
	}
	return p.newLogin(ctx, account, from)
}

// verify compares a password with that of an account, under the throttle. The account is empty for
// an unknown name.
func (p *PasswordLogins) verify(
	ctx context.Context, account Account, key string, password stage.Secret, from Client,
) error {
	if len(password.Reveal()) > maxPassword {
		return wrongPassword()
	}
	known, err := p.throttle.knows(ctx, account.ID, from)
	if err != nil {
		return err
	}
	leave, err := p.passwords.turns.enter(ctx, key, from.Address, known)
	if err != nil {
		return err
	}
	defer leave()
	a, err := p.throttle.begin(ctx, key, account.ID, from)
	if err != nil {
		return err
	}
	same, err := p.passwords.matches(password, account.Password)
	if err != nil {
		p.throttle.abandoned(ctx, a)
		return err
	}
	if !same {
		return wrongPassword()
	}
	return p.throttle.succeeded(ctx, a)
}

func wrongPassword() error {
	return stage.Errorf(stage.ErrUnauthorized,
		"Name or password is wrong.").WithCode("wrong_password")
}

// newLogin creates a login, unless the password changed after the comparison.
func (p *PasswordLogins) newLogin(
	ctx context.Context, account Account, from Client,
) (Principal, stage.Secret, error) {
	secret := newSecret("")
	var login Principal
	err := p.store.Atomically(ctx, func(tx Store) error {
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
		if login, err = p.signIns.put(ctx, tx, now, secret, from); err != nil {
			return err
		}
		return p.note(ctx, tx, login, loginEntry(now, "password"))
	})
	return login, secret, err
}

// Change changes the password of the caller and ends the user's other logins. With endKeys it also
// ends keys, guest links and open tokens. Without endKeys, an unattended OBS stays live.
func (p *PasswordLogins) Change(
	ctx context.Context, who Principal, current, password stage.Secret, endKeys bool,
) error {
	if err := who.Require(ScopeAccount); err != nil {
		return err
	}
	account, err := p.store.Account(ctx, who.User.ID)
	if err != nil {
		return err
	}
	if err := checkPassword(password, account.Name); err != nil {
		return err
	}
	if err := p.verify(ctx, account, account.Key, current, who.Client); err != nil {
		return currentIsWrong(err)
	}
	hash, err := p.passwords.hashInTurn(ctx, account.Key, who.Client, password)
	if err != nil {
		return err
	}
	var revoked []Issuance
	err = p.store.Atomically(ctx, func(tx Store) error {
		revoked = nil // the transaction may be retried
		now, err := tx.Account(ctx, account.ID)
		if err != nil {
			return notFoundIs(err, signInAgain())
		}
		if now.Password != account.Password {
			return currentIsWrong(wrongPassword())
		}
		if endKeys {
			if revoked, err = endKeysOf(ctx, tx, p.outbox, account.ID); err != nil {
				return err
			}
		}
		if err := setPassword(ctx, tx, now, hash, who.CredentialID); err != nil {
			return err
		}
		orphans, err := p.outbox.revokeOrphans(ctx, tx, account.ID)
		if err != nil {
			return err
		}
		revoked = append(revoked, orphans...)
		return p.note(ctx, tx, who, userEntry(ActionPasswordChanged, now))
	})
	if err != nil {
		return err
	}
	p.caches.changed(account.ID)
	return p.sessions.end(ctx, revoked, reasonPassword.sentence())
}

// endKeysOf ends what could outlive a changed password: keys, guest links, the logins that access
// keys created, and open tokens. A token that is being issued at the same time is decided again.
func endKeysOf(
	ctx context.Context, tx Store, out *outbox, id UserID,
) ([]Issuance, error) {
	for _, kind := range []Kind{KindAccessKey, KindViewKey, KindGuestLink} {
		if _, err := tx.DeleteCredentials(ctx, Match{Kind: kind, User: id}); err != nil {
			return nil, err
		}
	}
	err := endDerived(ctx, tx, id, "", func(l loginLabel) bool { return l.key != "" })
	if err != nil {
		return nil, err
	}
	if err := tx.Advance(ctx, id); err != nil {
		return nil, err
	}
	return out.revokeOpen(ctx, tx, Revocation{User: id})
}

// currentIsWrong replaces ErrUnauthorized for a user who is signed in and enters the current
// password: at that error a page would show the sign-in.
func currentIsWrong(err error) error {
	if !errors.Is(err, stage.ErrUnauthorized) {
		return err
	}
	return stage.Errorf(stage.ErrInvalid,
		"The current password is wrong.").WithCode("wrong_password")
}

// setPassword stores a new password. It ends the account's invite, its dock codes, and its logins,
// except the login whose ID is exceptLogin.
func setPassword(ctx context.Context, tx Store, account Account, hash, exceptLogin string) error {
	account.Password = hash
	if err := tx.PutAccount(ctx, account); err != nil {
		return err
	}
	logins := Match{Kind: KindLogin, User: account.ID, Except: exceptLogin}
	if _, err := tx.DeleteCredentials(ctx, logins); err != nil {
		return err
	}
	if _, err := tx.DeleteCredentials(ctx, Match{Kind: kindInvite, User: account.ID}); err != nil {
		return err
	}
	return endDockCodes(ctx, tx, account.ID)
}
