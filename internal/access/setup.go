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

// setupByProvider is the error for a setup code where passwords are switched off: the code would
// create an operator with a password. Without passwords, a claim of the provider makes the first
// operator.
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

// Setup creates the first operator.
type Setup struct {
	*trail
	passwords *Passwords
	signIns   *signIns
}

// takesCode refuses a setup code if there is an operator, or if passwords are switched off.
func (s *Setup) takesCode(ctx context.Context, tx Store) error {
	needed, err := needsSetup(ctx, tx)
	switch {
	case err != nil:
		return err
	case !needed:
		return alreadySetUp()
	case s.signIns.noPasswords:
		return setupByProvider()
	}
	return nil
}

// NewCode creates the setup code. It replaces an earlier one.
func (s *Setup) NewCode(ctx context.Context) (stage.Secret, error) {
	code := newSecret("")
	err := s.store.Atomically(ctx, func(tx Store) error {
		if err := s.takesCode(ctx, tx); err != nil {
			return err
		}
		return tx.PutCredential(ctx, Credential{
			ID: setupID, Kind: kindSetup, Hash: hashOf(code), CreatedAt: s.now(),
		})
	})
	return code, err
}

// CreateOperator creates the first operator. Of concurrent calls, one succeeds.
func (s *Setup) CreateOperator(
	ctx context.Context, code stage.Secret, name string, password stage.Secret, from Client,
) (Principal, stage.Secret, error) {
	if err := s.Check(ctx, code); err != nil {
		return Principal{}, stage.Secret{}, s.failedCode(ctx, from, err)
	}
	name, err := cleanName(name)
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	if err := checkPassword(password, name); err != nil {
		return Principal{}, stage.Secret{}, err
	}
	hash, err := s.passwords.hashInTurn(ctx, nameKey(name), from, password)
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	account := newAccount(name, Operator, s.now())
	account.Password = hash
	from = cleanClient(from)
	return s.signIns.putFirst(ctx, account, from, "setup code", func(tx Store) error {
		if err := useSetup(ctx, tx, code); err != nil {
			return err
		}
		by := Principal{Kind: KindLogin, User: account.User, From: from}
		return s.note(ctx, tx, by, userEntry(ActionSetUp, account))
	})
}

// Needed reports whether there is no operator yet.
func (s *Setup) Needed(ctx context.Context) (bool, error) {
	return needsSetup(ctx, s.store)
}

// ProviderMakesOperators reports whether a claim of the provider makes an operator.
func (s *Setup) ProviderMakesOperators() bool {
	return s.signIns.external.Issuer != "" && len(s.signIns.external.Operators) > 0
}

// Check returns an error for a code that CreateOperator would refuse, before a password is chosen
// and hashed.
func (s *Setup) Check(ctx context.Context, code stage.Secret) error {
	if err := s.takesCode(ctx, s.store); err != nil {
		return err
	}
	_, _, err := s.store.Credential(ctx, kindSetup, hashOf(code))
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
