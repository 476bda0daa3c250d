package access

import (
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// maxEnrolmentLife is the longest life of an enrolment code: enough time to add a script to OBS and
// restart OBS.
const maxEnrolmentLife = time.Hour

// maxEnrolments is how many codes of a user are valid at a time.
const maxEnrolments = 10

// Enrolments signs in docks by a code that works once.
type Enrolments struct {
	*trail
	signIns  *signIns
	throttle *throttle
}

// Create creates a code that signs in one dock of a user, once. Users create codes for themselves,
// and operators for anybody. The code lives for at most an hour. An access key, or a dock that it
// signed in, may create a code for the key's owner. The new dock then has the rights of a
// broadcaster, and is signed out when the key ends.
func (e *Enrolments) Create(
	ctx context.Context, by Principal, id UserID, life time.Duration,
) (stage.Secret, time.Time, error) {
	scope, label := ScopeUsers, ""
	switch {
	case by.User.ID == "" || by.User.ID != id:
	case by.Kind == KindAccessKey:
		scope, label = ScopeSelf, byKey+by.CredentialID
	case by.Key != "":
		scope, label = ScopeAccount, byKey+by.Key
	default:
		scope = ScopeAccount
		if by.origin != "" {
			label = fromPasskey + by.origin
		}
	}
	if err := by.Require(scope); err != nil {
		return stage.Secret{}, time.Time{}, err
	}
	var code stage.Secret
	var until time.Time
	err := e.store.Atomically(ctx, func(tx Store) error {
		account, err := accountOf(ctx, tx, id)
		if err != nil {
			return err
		}
		code, until, err = e.put(ctx, tx, by, account, life, label)
		return err
	})
	return code, until, err
}

// put stores a code inside a transaction.
func (e *Enrolments) put(
	ctx context.Context, tx Store, by Principal, account Account, life time.Duration, label string,
) (stage.Secret, time.Time, error) {
	if err := account.active(); err != nil {
		return stage.Secret{}, time.Time{}, err
	}
	if err := trimEnrolments(ctx, tx, account.ID); err != nil {
		return stage.Secret{}, time.Time{}, err
	}
	code, now := newSecret(""), e.now()
	cred := Credential{
		ID: stage.NewID(), Kind: kindEnrolment, Hash: hashOf(code), User: account.ID, Label: label,
		CreatedAt: now, ExpiresAt: now.Add(min(life, maxEnrolmentLife)),
	}
	if err := tx.PutCredential(ctx, cred); err != nil {
		return stage.Secret{}, time.Time{}, err
	}
	return code, cred.ExpiresAt, e.note(ctx, tx, by, userEntry(ActionEnrolment, account))
}

// trimEnrolments deletes the oldest codes of a user, so that there is room for one more.
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

// Use signs in the dock that presents an enrolment code. Wrong codes are throttled per network. A
// valid code is never throttled, since codes cannot be guessed and other users may share the
// network.
func (e *Enrolments) Use(
	ctx context.Context, code stage.Secret, from Client,
) (Principal, stage.Secret, error) {
	from, secret := cleanClient(from), newSecret("")
	var login Principal
	var refusal error
	err := e.store.Atomically(ctx, func(tx Store) error {
		cred, account, err := e.take(ctx, tx, code)
		if errors.Is(err, stage.ErrNotFound) {
			refusal, err = e.wrong(ctx, tx, from)
			return err
		}
		if err != nil {
			return err
		}
		refusal = nil
		if err := account.active(); err != nil {
			return err
		}
		if login, err = e.signIns.putFor(ctx, tx, account, secret, from, cred.Label,
			loginLife); err != nil {
			return err
		}
		return e.note(ctx, tx, login, loginEntry(account, "sign-in link"))
	})
	if err = cmpErr(err, refusal); err != nil {
		e.throttle.warn(ctx, Account{}, from, err)
		return Principal{}, stage.Secret{}, e.failedCode(ctx, from, err)
	}
	return login, secret, nil
}

// take deletes a code, so that it works once. It returns stage.ErrNotFound for a code that is used,
// expired, or not an enrolment code.
func (e *Enrolments) take(
	ctx context.Context, tx Store, code stage.Secret,
) (Credential, Account, error) {
	cred, account, err := tx.Credential(ctx, kindEnrolment, hashOf(code))
	if err != nil {
		return Credential{}, Account{}, err
	}
	used, err := tx.DeleteCredentials(ctx, Match{Kind: kindEnrolment, ID: cred.ID})
	if err == nil && (used == 0 || !e.now().Before(cred.ExpiresAt)) {
		err = stage.ErrNotFound
	}
	return cred, account, err
}

// wrong returns the refusal of a wrong code. It counts the code for the network, unless the network
// must wait because of earlier wrong codes.
func (e *Enrolments) wrong(
	ctx context.Context, tx Store, from Client,
) (refusal, err error) {
	rows, err := readAttempts(ctx, tx, []string{codeBucket(from.Address)})
	if err != nil {
		return nil, err
	}
	now := e.now()
	if wait := longestWait(rows, now); wait > 0 {
		return tooMany(wait), backToNow(ctx, tx, rows, now)
	}
	return badEnrolment(), countFailure(ctx, tx, rows, now)
}

// dockCodes are the kinds of code that sign in a dock of a user: enrolment codes, and approved
// device codes that are not used yet.
func dockCodes() []Kind { return []Kind{kindEnrolment, kindDevice} }

// endDockCodes deletes the dockCodes of a user.
func endDockCodes(ctx context.Context, tx Store, user UserID) error {
	for _, kind := range dockCodes() {
		if _, err := tx.DeleteCredentials(ctx, Match{Kind: kind, User: user}); err != nil {
			return err
		}
	}
	return nil
}

// endDerived runs after an access key or a passkey has ended. It ends the logins that the key or
// passkey created, and its unused codes, since each code could still create a login. It keeps the
// login whose ID is in the parameter `except`.
func endDerived(
	ctx context.Context, tx Store, user UserID, except string, made func(loginLabel) bool,
) error {
	for _, kind := range append(dockCodes(), KindLogin) {
		creds, err := tx.Credentials(ctx, Match{Kind: kind, User: user})
		if err != nil {
			return err
		}
		for _, cred := range creds {
			if cred.ID == except || !made(labelOf(cred.madeBy())) {
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

// signInYourself is the error for a dock that an access key signed in. Such a dock must not create
// anything that could outlive the key, and must not end other logins.
func signInYourself() error {
	return stage.Errorf(stage.ErrDenied,
		"This dock was signed in by an access key: sign in yourself to do this.").
		WithCode("sign_in_yourself")
}
