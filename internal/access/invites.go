package access

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Invites renews and accepts invites, with which invited users choose a password.
type Invites struct {
	*trail
	passwords *Passwords
	signIns   *signIns
	sessions  *sessions
}

// newInvite creates an invite. Its ID is made from the user's ID alone, so the invite replaces an
// earlier one of the same user.
func newInvite(id UserID, now time.Time) (stage.Secret, Credential) {
	code := newSecret("")
	return code, Credential{
		ID: "invite-" + string(id), Kind: kindInvite, Hash: hashOf(code), User: id,
		CreatedAt: now, ExpiresAt: now.Add(inviteLife),
	}
}

// Renew creates a new invite, for a lost link or a forgotten password. The old password stays valid
// until the invite is used.
func (i *Invites) Renew(
	ctx context.Context, by Principal, id UserID,
) (User, stage.Secret, time.Time, error) {
	fail := func(err error) (User, stage.Secret, time.Time, error) {
		return User{}, stage.Secret{}, time.Time{}, err
	}
	if err := by.Require(ScopeUsers); err != nil {
		return fail(err)
	}
	code, cred := newInvite(id, i.now())
	var account Account
	err := i.store.Atomically(ctx, func(tx Store) error {
		var err error
		if account, err = accountOf(ctx, tx, id); err != nil {
			return err
		}
		if err := tx.PutCredential(ctx, cred); err != nil {
			return err
		}
		return i.note(ctx, tx, by, userEntry(ActionUserInvited, account))
	})
	if err != nil {
		return fail(err)
	}
	return account.User, code, cred.ExpiresAt, nil
}

// Name returns the name of the user of an invite.
func (i *Invites) Name(ctx context.Context, code stage.Secret) (string, error) {
	account, err := i.account(ctx, code)
	return account.Name, err
}

func (i *Invites) account(ctx context.Context, code stage.Secret) (Account, error) {
	cred, account, err := i.store.Credential(ctx, kindInvite, hashOf(code))
	if err != nil {
		return Account{}, notFoundIs(err, badCode())
	}
	if !i.now().Before(cred.ExpiresAt) {
		return Account{}, badCode()
	}
	return account, nil
}

// Accept sets the password of the invited user and signs them in. It ends all logins, keys, guest
// links and open tokens of the user, because another person may know the forgotten password.
func (i *Invites) Accept(
	ctx context.Context, code, password stage.Secret, from Client,
) (Principal, stage.Secret, error) {
	account, err := i.account(ctx, code)
	if err != nil {
		return Principal{}, stage.Secret{}, i.failedCode(ctx, from, err)
	}
	if err := checkPassword(password, account.Name); err != nil {
		return Principal{}, stage.Secret{}, err
	}
	account.Password, err = i.passwords.hashInTurn(ctx, account.Key, from, password)
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	account.Invited = false
	var revoked []Issuance
	from = cleanClient(from)
	login, secret, err := i.signIns.putFirst(ctx, account, from, "invite", func(tx Store) error {
		if err := useInvite(ctx, tx, code); err != nil {
			return err
		}
		if revoked, err = endKeysOf(ctx, tx, i.outbox, account.ID); err != nil {
			return err
		}
		// Passkeys end too, since a lost device may be the reason for the invite.
		if _, err := tx.DeletePasskeys(ctx, account.ID, ""); err != nil {
			return err
		}
		by := Principal{Kind: KindLogin, User: account.User, From: from}
		return i.note(ctx, tx, by, userEntry(ActionPasswordChanged, account))
	})
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	i.sessions.endOrLog(ctx, revoked, reasonPassword.sentence())
	return login, secret, nil
}

func useInvite(ctx context.Context, tx Store, code stage.Secret) error {
	used, err := tx.DeleteCredentials(ctx, Match{Kind: kindInvite, Hash: hashOf(code)})
	if err != nil || used == 0 {
		return cmpErr(err, badCode())
	}
	return nil
}
