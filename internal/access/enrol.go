package access

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// maxEnrolmentLife bounds an enrolment code: long enough to add a script to OBS and restart it.
const maxEnrolmentLife = time.Hour

// maxEnrolments is how many codes of a user are good at a time.
const maxEnrolments = 10

// NewEnrolment makes a code that signs in one dock of a user, once: of one's own account, or of
// anybody's for an operator. The code lives for at most an hour. One's own access key may make one,
// too: that dock has a broadcaster's rights and is signed out with the key.
func (c *Control) NewEnrolment(
	ctx context.Context, by Principal, id UserID, life time.Duration,
) (stage.Secret, time.Time, error) {
	scope, label := ScopeUsers, ""
	switch {
	case by.User.ID == "" || by.User.ID != id:
	case by.Kind == KindAccessKey:
		scope, label = ScopeSelf, byKey+by.CredentialID
	default:
		scope = ScopeAccount
	}
	if by.Key != "" {
		return stage.Secret{}, time.Time{}, signInYourself()
	}
	if err := by.Require(scope); err != nil {
		return stage.Secret{}, time.Time{}, err
	}
	return c.putEnrolment(ctx, c.cfg.Store, id, life, label)
}

// putEnrolment stores a code inside a decision.
func (c *Control) putEnrolment(
	ctx context.Context, s Store, id UserID, life time.Duration, label string,
) (stage.Secret, time.Time, error) {
	account, err := accountOf(ctx, s, id)
	if err != nil {
		return stage.Secret{}, time.Time{}, err
	}
	if err := account.active(); err != nil {
		return stage.Secret{}, time.Time{}, err
	}
	if err := trimEnrolments(ctx, s, id); err != nil {
		return stage.Secret{}, time.Time{}, err
	}
	code, now := newSecret(""), c.cfg.Now()
	cred := Credential{
		ID: stage.NewID(), Kind: kindEnrolment, Hash: hashOf(code), User: id, Label: label,
		CreatedAt: now, ExpiresAt: now.Add(min(life, maxEnrolmentLife)),
	}
	return code, cred.ExpiresAt, s.PutCredential(ctx, cred)
}

// trimEnrolments makes room for one more code: the oldest of too many goes.
func trimEnrolments(ctx context.Context, s Store, user UserID) error {
	open, err := s.Credentials(ctx, Match{Kind: kindEnrolment, User: user})
	if err != nil {
		return err
	}
	for _, cred := range open[:max(0, len(open)-maxEnrolments+1)] {
		if _, err := s.DeleteCredentials(ctx, Match{Kind: kindEnrolment, ID: cred.ID}); err != nil {
			return err
		}
	}
	return nil
}

// Enrol signs in the dock that brings an enrolment code.
func (c *Control) Enrol(
	ctx context.Context, code stage.Secret, from Client,
) (Principal, stage.Secret, error) {
	from, secret := cleanClient(from), newSecret("")
	var login Principal
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		cred, account, err := tx.Credential(ctx, kindEnrolment, hashOf(code))
		if err != nil {
			return notFoundIs(err, badEnrolment())
		}
		used, err := tx.DeleteCredentials(ctx, Match{Kind: kindEnrolment, ID: cred.ID})
		if err != nil || used == 0 || !c.cfg.Now().Before(cred.ExpiresAt) {
			return cmpErr(err, badEnrolment())
		}
		if err := account.active(); err != nil {
			return err
		}
		if login, err = c.putLoginFor(ctx, tx, account, secret, from, cred.Label,
			loginLife); err != nil {
			return err
		}
		return c.note(ctx, tx, login, loginEntry(account, "sign-in link"))
	})
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	return login, secret, nil
}

// endEnrolled ends the logins, and the codes for logins, that a revoked access key made.
func endEnrolled(ctx context.Context, tx Store, user UserID, key string) error {
	for _, kind := range []Kind{KindLogin, kindEnrolment} {
		creds, err := tx.Credentials(ctx, Match{Kind: kind, User: user})
		if err != nil {
			return err
		}
		for _, cred := range creds {
			if labelOf(cred.Label).key != key {
				continue
			}
			if _, err := tx.DeleteCredentials(ctx, Match{Kind: kind, ID: cred.ID}); err != nil {
				return err
			}
		}
	}
	return nil
}

func badEnrolment() error {
	return stage.Errorf(stage.ErrUnauthorized,
		"This sign-in link was used already, or it is too old. Sign in here, or get a new one.").
		WithCode("bad_code")
}

// signInYourself refuses what could outlive the access key that signed a dock in.
func signInYourself() error {
	return stage.Errorf(stage.ErrDenied,
		"This dock was signed in by an access key, which makes no access keys and no docks: sign "+
			"in yourself first.").
		WithCode("denied")
}
