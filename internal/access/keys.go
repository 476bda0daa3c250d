package access

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	accessKeyPrefix = "sdk_"
	viewKeyPrefix   = "sdv_"
	maxKeys         = 100 // of a kind and a person
)

// An AccessKey lets a program issue tokens as its owner, and nothing else.
type AccessKey struct {
	ID         string
	Name       string
	CreatedAt  time.Time
	LastUsedAt time.Time
}

// A ViewKey lets a browser source see a stage, in one view. It ends with its owner's access to the stage.
type ViewKey struct {
	ID         string
	Stage      stage.ARN
	View       stage.View
	Owner      User
	CreatedAt  time.Time
	LastUsedAt time.Time
}

// CreateAccessKey makes a key; its secret is told this once.
func (c *Control) CreateAccessKey(ctx context.Context, who User, name string) (AccessKey, stage.Secret, error) {
	name, err := cleanName(name)
	if err != nil {
		return AccessKey{}, stage.Secret{}, err
	}
	cred, secret, err := c.newKey(ctx, who, accessKeyPrefix, Credential{Kind: kindAccess, Label: name})
	return accessKeyOf(cred), secret, err
}

// newKey stores a key of a person who is still there.
func (c *Control) newKey(ctx context.Context, who User, prefix string, cred Credential) (Credential, stage.Secret, error) {
	secret := newSecret(prefix)
	cred.ID, cred.Hash, cred.User, cred.CreatedAt = stage.NewID(), hashOf(secret), who.ID, c.Now()
	err := c.Store.Atomically(ctx, func(tx Store) error {
		if _, err := accountOf(ctx, tx, who.ID); err != nil {
			return err
		}
		keys, err := tx.Credentials(ctx, Match{Kind: cred.Kind, User: who.ID})
		if err != nil {
			return err
		}
		if len(keys) >= maxKeys {
			return stage.Errorf(stage.ErrConflict, "You have %d keys; revoke one that is not needed.", len(keys)).WithCode("conflict")
		}
		return tx.PutCredential(ctx, cred)
	})
	if err != nil {
		return Credential{}, stage.Secret{}, err
	}
	return cred, secret, nil
}

func accessKeyOf(cred Credential) AccessKey {
	return AccessKey{ID: cred.ID, Name: cred.Label, CreatedAt: cred.CreatedAt, LastUsedAt: cred.UsedAt}
}

// AccessKeys lists one's own, oldest first.
func (c *Control) AccessKeys(ctx context.Context, who User) ([]AccessKey, error) {
	creds, err := c.keysOf(ctx, kindAccess, who)
	keys := []AccessKey{}
	for _, cred := range creds {
		keys = append(keys, accessKeyOf(cred))
	}
	return keys, err
}

func (c *Control) keysOf(ctx context.Context, kind Kind, who User) ([]Credential, error) {
	if who.ID == "" {
		return nil, nil
	}
	return c.Store.Credentials(ctx, Match{Kind: kind, User: who.ID})
}

// RevokeAccessKey ends one's own key. Tokens that it issued stay good; revoke them by themselves.
func (c *Control) RevokeAccessKey(ctx context.Context, who User, id string) error {
	return c.deleteKey(ctx, c.Store, kindAccess, who, id)
}

func (c *Control) deleteKey(ctx context.Context, s Store, kind Kind, who User, id string) error {
	if !plainID(id) || who.ID == "" {
		return noSuch("key")
	}
	n, err := s.DeleteCredentials(ctx, Match{Kind: kind, ID: id, User: who.ID})
	if err != nil || n == 0 {
		return cmpErr(err, noSuch("key"))
	}
	return nil
}

// AuthenticateKey finds whose access key it is. The key is good for the tokens of its owner and for nothing
// else: User.ByKey says so.
func (c *Control) AuthenticateKey(ctx context.Context, secret stage.Secret) (User, error) {
	_, account, err := c.useKey(ctx, kindAccess, secret)
	account.ByKey = true
	return account.User, err
}

func (c *Control) useKey(ctx context.Context, kind Kind, secret stage.Secret) (Credential, Account, error) {
	cred, account, err := c.Store.Credential(ctx, kind, hashOf(secret))
	if err != nil {
		return Credential{}, Account{}, notFoundIs(err, unknownKey())
	}
	if now := c.Now(); now.Sub(cred.UsedAt) >= touchEvery {
		cred.UsedAt = now
		c.touch(ctx, cred)
	}
	return cred, account, nil
}

// CreateViewKey makes a key for a browser source; its secret is told this once. Who makes it may subscribe to the stage.
func (c *Control) CreateViewKey(ctx context.Context, who User, arn stage.ARN, what string) (ViewKey, stage.Secret, error) {
	view, err := stage.ParseView(what)
	if err != nil {
		return ViewKey{}, stage.Secret{}, err
	}
	if err := c.maySubscribe(ctx, who.ID, arn); err != nil {
		return ViewKey{}, stage.Secret{}, err
	}
	cred, secret, err := c.newKey(ctx, who, viewKeyPrefix, Credential{Kind: kindView, Stage: arn, View: string(view)})
	return viewKeyOf(cred, who), secret, err
}

func (c *Control) maySubscribe(ctx context.Context, who UserID, arn stage.ARN) error {
	if _, err := stage.ParseARN(string(arn)); err != nil {
		return err
	}
	permit, err := c.Store.Permit(ctx, who, arn, Rate{})
	if err != nil {
		return notFoundIs(err, signInAgain())
	}
	_, err = decide(permit, IssueRequest{Stage: arn, For: "view"})
	return err
}

func viewKeyOf(cred Credential, owner User) ViewKey {
	return ViewKey{ID: cred.ID, Stage: cred.Stage, View: stage.View(cred.View), Owner: owner, CreatedAt: cred.CreatedAt, LastUsedAt: cred.UsedAt}
}

// ViewKeys lists one's own, oldest first.
func (c *Control) ViewKeys(ctx context.Context, who User) ([]ViewKey, error) {
	creds, err := c.keysOf(ctx, kindView, who)
	keys := []ViewKey{}
	for _, cred := range creds {
		keys = append(keys, viewKeyOf(cred, who))
	}
	return keys, err
}

// RevokeViewKey ends one's own key and what it shows.
func (c *Control) RevokeViewKey(ctx context.Context, who User, id string) error {
	var revoked []Issuance
	err := c.Store.Atomically(ctx, func(tx Store) error {
		if err := c.deleteKey(ctx, tx, kindView, who, id); err != nil {
			return err
		}
		err := tx.Advance(ctx, who.ID)
		if err != nil {
			return err
		}
		revoked, err = c.revokeOpen(ctx, tx, Revocation{User: who.ID, Bucket: id})
		return err
	})
	if err != nil {
		return err
	}
	return c.disconnect(ctx, revoked, "The viewing key was revoked.")
}

// AuthenticateViewKey finds a view key whose owner may still subscribe to its stage.
func (c *Control) AuthenticateViewKey(ctx context.Context, secret stage.Secret) (ViewKey, error) {
	cred, account, err := c.useKey(ctx, kindView, secret)
	if err != nil {
		return ViewKey{}, err
	}
	if err := c.maySubscribe(ctx, account.ID, cred.Stage); err != nil {
		return ViewKey{}, err
	}
	return viewKeyOf(cred, account.User), nil
}

// IssueForView makes a token for a view key: it subscribes and nothing else, and counts on the key and not on its owner.
func (c *Control) IssueForView(ctx context.Context, key ViewKey, address string) (stage.ParticipantToken, error) {
	req := IssueRequest{Stage: key.Stage, For: "view", Address: address}
	return c.issue(ctx, key.Owner.ID, key.ID, req, func() error {
		left, err := c.Store.Credentials(ctx, Match{Kind: kindView, ID: key.ID})
		if err != nil || len(left) == 0 {
			return cmpErr(err, unknownKey())
		}
		return nil
	})
}

func unknownKey() error {
	return stage.Errorf(stage.ErrUnauthorized, "This key is not known or was revoked.").WithCode("unauthorized")
}
