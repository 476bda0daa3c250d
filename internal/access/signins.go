package access

import (
	"context"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// signIns stores new logins, as the settings allow.
type signIns struct {
	*trail
	caches           *caches
	external         ExternalPolicy
	noPasswords      bool // see Config.NoPasswords
	operatorPasskeys bool // see Config.OperatorPasskeys
}

// put stores a new login inside a transaction.
func (s *signIns) put(
	ctx context.Context, tx Store, account Account, secret stage.Secret, from Client,
) (Principal, error) {
	return s.putFor(ctx, tx, account, secret, from, "", loginLife)
}

// putFor stores a login with a certain life. If its label contains externalLabel, requests with the
// login do not extend its life.
func (s *signIns) putFor(
	ctx context.Context, tx Store, account Account, secret stage.Secret, from Client,
	label string, life time.Duration,
) (Principal, error) {
	now := s.now()
	cred := Credential{
		ID: stage.NewID(), Kind: KindLogin, Hash: hashOf(secret), User: account.ID, Label: label,
		CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(life), Client: from,
	}
	until, err := s.vouchedUntil(ctx, tx, account)
	if err != nil {
		return Principal{}, err
	}
	if !until.IsZero() {
		if !now.Before(until) {
			return Principal{}, providerFirst()
		}
		cred.Label = strings.TrimSpace(externalLabel + " " + strings.TrimPrefix(label,
			externalLabel))
		cred.ExpiresAt = earlier(cred.ExpiresAt, until)
	}
	if err := tx.PutCredential(ctx, cred); err != nil {
		return Principal{}, err
	}
	if err := tx.Touch(ctx, cred); err != nil {
		return Principal{}, err
	}
	if err := s.trim(ctx, tx, account.ID); err != nil {
		return Principal{}, err
	}
	account.LastSeenAt = now
	return s.proven(principalOf(cred, account)), nil
}

// putFirst stores an account with its new password and signs it in, if the function `useCode`
// accepts its code.
func (s *signIns) putFirst(
	ctx context.Context, account Account, from Client, way string, useCode func(Store) error,
) (Principal, stage.Secret, error) {
	secret := newSecret("")
	var login Principal
	err := s.store.Atomically(ctx, func(tx Store) error {
		if err := useCode(tx); err != nil {
			return err
		}
		if err := setPassword(ctx, tx, account, account.Password, ""); err != nil {
			return err
		}
		if err := welcome(ctx, tx, account.ID, from, s.now()); err != nil {
			return err
		}
		var err error
		if login, err = s.put(ctx, tx, account, secret, from); err != nil {
			return err
		}
		return s.note(ctx, tx, login, loginEntry(account, way))
	})
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	s.caches.changed(account.ID)
	return login, secret, nil
}

// trim ends the oldest logins of a user who has too many, and revokes their view tokens. The server
// ends the sessions of these tokens at its next regular check.
func (s *signIns) trim(ctx context.Context, tx Store, id UserID) error {
	ended, err := tx.TrimLogins(ctx, id, maxLogins)
	if err != nil || ended == 0 {
		return err
	}
	_, err = s.outbox.revokeOrphans(ctx, tx, id)
	return err
}

// vouchedUntil returns when all logins of an account must end, because its user signs in only with
// the provider. The zero time means no such limit.
func (s *signIns) vouchedUntil(
	ctx context.Context, tx Store, account Account,
) (until time.Time, err error) {
	if s.external.Issuer == "" || s.byPassword(account) || account.LinkedAt.IsZero() {
		return time.Time{}, nil
	}
	identities, err := tx.IdentitiesOf(ctx, account.ID)
	if err != nil {
		return time.Time{}, err
	}
	for _, i := range identities {
		if sameIssuer(i.Issuer, s.external.Issuer) {
			if end := i.SeenAt.Add(s.external.life()); end.After(until) {
				until = end
			}
		}
	}
	return until, nil
}

// byPassword reports whether a password can sign in to an account. Where passwords are switched
// off, accepting an invite still stores a password: a random one that nobody knows.
func (s *signIns) byPassword(account Account) bool {
	return account.Password != "" && !s.noPasswords
}

// proven removes the scopes of operators from a login without a passkey, if operators need one.
func (s *signIns) proven(who Principal) Principal {
	if s.operatorPasskeys && who.Kind == KindLogin && who.User.Role == Operator &&
		who.Passkey == "" {
		who.User.Role, who.Unproven = Broadcaster, true
	}
	return who
}
