package access

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const maxKeys = 100 // of one kind per user

// A keyring stores and recognizes keys. Types with other conditions for creating or deleting a key
// have the keyring in a field. If they embedded it, they would inherit its methods, which have only
// the conditions for access keys and viewing keys.
type keyring struct{ *trail }

// create stores a key, unless its user was removed meanwhile.
func (k keyring) create(
	ctx context.Context, who Principal, prefix string, cred Credential,
) (Credential, stage.Secret, error) {
	if err := who.Require(ScopeAccount); err != nil {
		return Credential{}, stage.Secret{}, err
	}
	secret := newSecret(prefix)
	cred.ID, cred.Hash = stage.NewID(), hashOf(secret)
	cred.User, cred.CreatedAt = who.User.ID, k.now()
	err := k.store.Atomically(ctx, func(tx Store) error {
		if _, err := accountOf(ctx, tx, who.User.ID); err != nil {
			return err
		}
		keys, err := tx.Credentials(ctx, Match{Kind: cred.Kind, User: who.User.ID})
		if err != nil {
			return err
		}
		if len(keys) >= maxKeys {
			return words.Error(stage.ErrConflict, "said.conflict.keys",
				words.Values{"n": len(keys)}).WithCode("conflict")
		}
		if err := tx.PutCredential(ctx, cred); err != nil {
			return err
		}
		return k.note(ctx, tx, who, Entry{
			Action: ActionKeyCreated, Target: cred.ID, TargetName: cred.Label,
			TargetUser: cred.User, Stage: cred.Stage, Detail: string(cred.Kind),
		})
	})
	if err != nil {
		return Credential{}, stage.Secret{}, err
	}
	return cred, secret, nil
}

// list lists the caller's keys of one kind, oldest first.
func (k keyring) list(ctx context.Context, kind Kind, who Principal) ([]Credential, error) {
	if err := who.Require(ScopeAccount); err != nil || who.User.ID == "" {
		return nil, err
	}
	return k.store.Credentials(ctx, Match{Kind: kind, User: who.User.ID})
}

// delete deletes a key of the caller, inside a transaction.
func (k keyring) delete(
	ctx context.Context, tx Store, kind Kind, who Principal, id string,
) error {
	if err := who.Require(ScopeAccount); err != nil {
		return err
	}
	if kind == KindAccessKey && who.Key != "" && who.Key != id {
		return signInYourself() // deleting the other key would sign out its docks
	}
	if !stage.ValidID(id) || who.User.ID == "" {
		return noSuch("key")
	}
	match := Match{Kind: kind, ID: id, User: who.User.ID}
	there, err := tx.Credentials(ctx, match)
	if err != nil {
		return err
	}
	n, err := tx.DeleteCredentials(ctx, match)
	if err != nil || n == 0 || len(there) == 0 {
		return cmpErr(err, noSuch("key"))
	}
	return k.note(ctx, tx, who, Entry{
		Action: ActionKeyRevoked, Target: id, TargetName: there[0].Label,
		TargetUser: there[0].User, Stage: there[0].Stage, Detail: string(kind),
	})
}

// use returns a valid key with its account, and records the use.
func (k keyring) use(
	ctx context.Context, kind Kind, secret stage.Secret,
) (Credential, Account, error) {
	cred, account, err := k.store.Credential(ctx, kind, hashOf(secret))
	if err != nil {
		return Credential{}, Account{}, notFoundIs(err, unknownKey())
	}
	if !cred.ExpiresAt.IsZero() && !k.now().Before(cred.ExpiresAt) {
		return Credential{}, Account{}, unknownKey()
	}
	if err := account.active(); err != nil {
		return Credential{}, Account{}, err
	}
	if now := k.now(); now.Sub(cred.UsedAt) >= touchEvery {
		cred.UsedAt = now
		k.touch(ctx, cred)
	}
	return cred, account, nil
}

// touch records the use of a credential and reports whether that succeeded. The credential stays
// valid after a failure: a busy database must not end a broadcast.
func (k keyring) touch(ctx context.Context, cred Credential) bool {
	err := k.store.Touch(ctx, cred)
	if err != nil && k.log != nil {
		k.log.WarnContext(ctx, "the last use of a credential was not stored",
			"kind", cred.Kind, "user", cred.User, "err", err)
	}
	return err == nil
}

func unknownKey() error {
	return stage.Errorf(stage.ErrUnauthorized, "This key is unknown or was revoked.").
		WithCode("unauthorized")
}
