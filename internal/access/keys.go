package access

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	accessKeyPrefix = "sdk_"
	viewKeyPrefix   = "sdv_"
)

// An AccessKey lets a program issue tokens as its owner, and sign in docks of its owner.
type AccessKey struct {
	ID         string
	Name       string
	CreatedAt  time.Time
	LastUsedAt time.Time
}

// A ViewKey lets a browser source show a stage in one view. It ends when its owner loses access to
// the stage.
type ViewKey struct {
	ID         string
	Stage      stage.ARN
	View       stage.View
	Shown      string // name of the user in the view; empty for a layout and for a guest
	Owner      User
	CreatedAt  time.Time
	LastUsedAt time.Time
}

// AccessKeys creates and revokes access keys, for their owners.
type AccessKeys struct {
	keyring
	sessions *sessions
	caches   *caches
}

// Create creates a key. Its secret is returned only here.
func (k *AccessKeys) Create(
	ctx context.Context, who Principal, name string,
) (AccessKey, stage.Secret, error) {
	if who.Key != "" {
		return AccessKey{}, stage.Secret{}, signInYourself()
	}
	name, err := cleanName(name)
	if err != nil {
		return AccessKey{}, stage.Secret{}, err
	}
	key := Credential{Kind: KindAccessKey, Label: name}
	cred, secret, err := k.create(ctx, who, accessKeyPrefix, key)
	return accessKeyOf(cred), secret, err
}

func accessKeyOf(cred Credential) AccessKey {
	return AccessKey{
		ID: cred.ID, Name: cred.Label, CreatedAt: cred.CreatedAt, LastUsedAt: cred.UsedAt,
	}
}

// List lists the keys of the caller, oldest first.
func (k *AccessKeys) List(ctx context.Context, who Principal) ([]AccessKey, error) {
	creds, err := k.list(ctx, KindAccessKey, who)
	keys := []AccessKey{}
	for _, cred := range creds {
		keys = append(keys, accessKeyOf(cred))
	}
	return keys, err
}

// Revoke ends a key of the caller and signs out the docks that it signed in. Its tokens stay valid,
// and can be revoked one by one.
func (k *AccessKeys) Revoke(ctx context.Context, who Principal, id string) error {
	var revoked []Issuance
	err := k.store.Atomically(ctx, func(tx Store) error {
		err := k.delete(ctx, tx, KindAccessKey, who, id)
		if err != nil {
			return err
		}
		err = endDerived(ctx, tx, who.User.ID, "", func(l loginLabel) bool { return l.key == id })
		if err != nil {
			return err
		}
		revoked, err = k.outbox.revokeOrphans(ctx, tx, who.User.ID)
		return err
	})
	if err != nil {
		return err
	}
	k.caches.changed(who.User.ID)
	k.sessions.endOrLog(ctx, revoked, reasonLogin.sentence())
	return nil
}

// principal returns the principal of a valid key.
func (k *AccessKeys) principal(ctx context.Context, secret stage.Secret) (Principal, error) {
	cred, account, err := k.use(ctx, KindAccessKey, secret)
	if err != nil {
		return Principal{}, err
	}
	return principalOf(cred, account), nil
}

// ViewKeys creates and revokes viewing keys, for their owners.
type ViewKeys struct {
	keyring
	sessions *sessions
}

// Create creates a key for a browser source of a stage to which the caller may subscribe. The
// secret of the key is returned only here.
func (k *ViewKeys) Create(
	ctx context.Context, who Principal, arn stage.ARN, what string,
) (ViewKey, stage.Secret, error) {
	view, err := stage.ParseView(what)
	if err != nil {
		return ViewKey{}, stage.Secret{}, err
	}
	if err := k.maySubscribe(ctx, who.User.ID, arn); err != nil {
		return ViewKey{}, stage.Secret{}, err
	}
	key := Credential{Kind: KindViewKey, Stage: arn, View: string(view)}
	cred, secret, err := k.create(ctx, who, viewKeyPrefix, key)
	if err != nil {
		return ViewKey{}, stage.Secret{}, err
	}
	keys := []ViewKey{viewKeyOf(cred, who.User)}
	err = k.nameShown(ctx, keys)
	return keys[0], secret, err
}

// nameShown sets the names of the users whom viewing keys show.
func (k *ViewKeys) nameShown(ctx context.Context, keys []ViewKey) error {
	var ids []UserID
	for _, key := range keys {
		if id := UserID(key.View); stage.ValidID(id) {
			ids = append(ids, id)
		}
	}
	names, err := k.store.Names(ctx, ids...)
	if err != nil {
		return err
	}
	for i := range keys {
		keys[i].Shown = names[UserID(keys[i].View)]
	}
	return nil
}

func (k *ViewKeys) maySubscribe(ctx context.Context, who UserID, arn stage.ARN) error {
	if _, err := stage.ParseARN(string(arn)); err != nil {
		return err
	}
	permit, err := k.store.Permit(ctx, who, arn, Rate{})
	if err != nil {
		return notFoundIs(err, signInAgain())
	}
	_, err = decide(permit, IssueRequest{Stage: arn, For: forView})
	return err
}

func viewKeyOf(cred Credential, owner User) ViewKey {
	return ViewKey{
		ID: cred.ID, Stage: cred.Stage, View: stage.View(cred.View), Owner: owner,
		CreatedAt: cred.CreatedAt, LastUsedAt: cred.UsedAt,
	}
}

// List lists the viewing keys of the caller, oldest first.
func (k *ViewKeys) List(ctx context.Context, who Principal) ([]ViewKey, error) {
	creds, err := k.list(ctx, KindViewKey, who)
	keys := []ViewKey{}
	for _, cred := range creds {
		keys = append(keys, viewKeyOf(cred, who.User))
	}
	if err != nil {
		return nil, err
	}
	return keys, k.nameShown(ctx, keys)
}

// Revoke ends a viewing key of the caller, and the sessions of its tokens.
func (k *ViewKeys) Revoke(ctx context.Context, who Principal, id string) error {
	var revoked []Issuance
	err := k.store.Atomically(ctx, func(tx Store) error {
		if err := k.delete(ctx, tx, KindViewKey, who, id); err != nil {
			return err
		}
		var err error
		revoked, err = k.outbox.revokeOrphans(ctx, tx, who.User.ID)
		return err
	})
	if err != nil {
		return err
	}
	return k.sessions.end(ctx, revoked, reasonViewingKey.sentence())
}

// principal returns the principal of a key whose owner may still subscribe to its stage.
func (k *ViewKeys) principal(ctx context.Context, secret stage.Secret) (Principal, error) {
	cred, account, err := k.use(ctx, KindViewKey, secret)
	if err != nil {
		return Principal{}, err
	}
	if err := k.maySubscribe(ctx, account.ID, cred.Stage); err != nil {
		return Principal{}, err
	}
	who := principalOf(cred, account)
	who.User = User{ID: account.ID, Name: account.Name}
	who.Stage, who.View, who.Capabilities = cred.Stage, stage.View(cred.View), stage.Subscribe
	return who, nil
}

// ViewKey describes the viewing key of a principal.
func (p Principal) ViewKey() (ViewKey, error) {
	if err := p.Require(ScopeView); err != nil {
		return ViewKey{}, err
	}
	return ViewKey{
		ID: p.CredentialID, Stage: p.Stage, View: p.View, Owner: p.User,
		CreatedAt: p.CreatedAt, LastUsedAt: p.UsedAt,
	}, nil
}

// IssueForView issues a view token to a viewing key. The token counts against the rate limit of the
// key, and not against that of its owner.
func (c *Control) IssueForView(
	ctx context.Context, who Principal, address string,
) (stage.ParticipantToken, error) {
	if err := who.Require(ScopeView); err != nil {
		return stage.ParticipantToken{}, err
	}
	req := IssueRequest{Stage: who.Stage, For: forView, Address: address}
	return c.issue(ctx, basis{
		user: who.User.ID, bucket: who.CredentialID, credential: who.CredentialID, kind: who.Kind,
		by: who.CredentialID,
	}, req)
}
