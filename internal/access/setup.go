package access

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// setupID is the ID of the only setup code: a new code replaces it.
const setupID = "setup"

func alreadySetUp() error {
	return stage.Errorf(stage.ErrConflict,
		"This Stagedoor has an operator already; sign in, or ask the operator for an invite.").
		WithCode("already_set_up")
}

func badCode() error {
	return stage.Errorf(stage.ErrInvalid,
		"This link was used already, has expired or is incomplete; ask for a new one.").
		WithCode("bad_code")
}

// setupByProvider refuses a setup code if passwords are switched off, since the code creates an
// operator with a password. Without passwords, a claim of the provider makes the first operator.
func setupByProvider() error {
	return stage.Errorf(stage.ErrDenied,
		"Passwords are switched off here: the first operator signs in with the sign-in service.").
		WithCode("no_passwords")
}

// needsSetup reports whether there is no operator yet.
func needsSetup(ctx context.Context, s Store) (bool, error) {
	operators, err := s.Operators(ctx)
	return len(operators) == 0, err
}

// takesSetup refuses a setup code if there is an operator, or if passwords are switched off.
func (c *Control) takesSetup(ctx context.Context, s Store) error {
	needed, err := needsSetup(ctx, s)
	switch {
	case err != nil:
		return err
	case !needed:
		return alreadySetUp()
	case c.cfg.NoPasswords:
		return setupByProvider()
	}
	return nil
}

// NewSetupCode creates the setup code. It replaces an earlier one.
func (c *Control) NewSetupCode(ctx context.Context) (stage.Secret, error) {
	code := newSecret("")
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		if err := c.takesSetup(ctx, tx); err != nil {
			return err
		}
		return tx.PutCredential(ctx, Credential{
			ID: setupID, Kind: kindSetup, Hash: hashOf(code), CreatedAt: c.cfg.Now(),
		})
	})
	return code, err
}

// SetUp creates the first operator. Of concurrent calls, one succeeds.
func (c *Control) SetUp(
	ctx context.Context, code stage.Secret, name string, password stage.Secret, from Client,
) (Principal, stage.Secret, error) {
	if err := c.CheckSetup(ctx, code); err != nil {
		return Principal{}, stage.Secret{}, c.trail.failedCode(ctx, from, err)
	}
	name, err := cleanName(name)
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	if err := checkPassword(password, name); err != nil {
		return Principal{}, stage.Secret{}, err
	}
	hash, err := c.cfg.Passwords.hashInTurn(ctx, nameKey(name), from, password)
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	account := c.newAccount(name, Operator)
	account.Password = hash
	from = cleanClient(from)
	return c.firstLogin(ctx, account, from, "setup code", func(tx Store) error {
		if err := useSetup(ctx, tx, code); err != nil {
			return err
		}
		by := Principal{Kind: KindLogin, User: account.User, From: from}
		return c.trail.note(ctx, tx, by, userEntry(ActionSetUp, account))
	})
}

// NeedsSetup reports whether there is no operator yet.
func (c *Control) NeedsSetup(ctx context.Context) (bool, error) {
	return needsSetup(ctx, c.cfg.Store)
}

// ProviderMakesOperators reports whether a claim of the provider makes an operator.
func (c *Control) ProviderMakesOperators() bool {
	return c.cfg.External.Issuer != "" && len(c.cfg.External.Operators) > 0
}

// CheckSetup returns an error for a code that SetUp would refuse, before a password is chosen and
// hashed.
func (c *Control) CheckSetup(ctx context.Context, code stage.Secret) error {
	if err := c.takesSetup(ctx, c.cfg.Store); err != nil {
		return err
	}
	_, _, err := c.cfg.Store.Credential(ctx, kindSetup, hashOf(code))
	return notFoundIs(err, badCode())
}

func useSetup(ctx context.Context, tx Store, code stage.Secret) error {
	if needed, err := needsSetup(ctx, tx); err != nil || !needed {
		return cmpErr(err, alreadySetUp())
	}
	used, err := tx.DeleteCredentials(ctx, Match{Kind: kindSetup, Hash: hashOf(code)})
	if err != nil || used == 0 {
		return cmpErr(err, badCode())
	}
	return nil
}

// firstLogin stores an account with its new password and signs it in, if the function `useCode`
// accepts its code.
func (c *Control) firstLogin(
	ctx context.Context, account Account, from Client, way string, useCode func(Store) error,
) (Principal, stage.Secret, error) {
	secret := newSecret("")
	var login Principal
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		if err := useCode(tx); err != nil {
			return err
		}
		if err := setPassword(ctx, tx, account, account.Password, ""); err != nil {
			return err
		}
		if err := welcome(ctx, tx, account.ID, from, c.cfg.Now()); err != nil {
			return err
		}
		var err error
		if login, err = c.signIns.put(ctx, tx, account, secret, from); err != nil {
			return err
		}
		return c.trail.note(ctx, tx, login, loginEntry(account, way))
	})
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	c.caches.changed(account.ID)
	return login, secret, nil
}
