package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const (
	apiKeyPrefix = "sdo_"
	maxAPIKeys   = 100
	maxKeyLife   = 10 * 365 * 24 * time.Hour
)

// An APIKey lets an operator's program use the API within its scopes. It does not depend on the
// account of the operator who created it.
type APIKey struct {
	ID         string
	Name       string
	Scopes     []Scope
	CreatedAt  time.Time
	CreatedBy  string
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time
}

// APIKeyScopes lists the scopes that an API key can have.
func APIKeyScopes() []Scope {
	return []Scope{ScopeUsers, ScopeStages, ScopeModerate, ScopeAudit, ScopeWebhooks, ScopeSystem}
}

// APIKeys creates and revokes API keys, for operators.
type APIKeys struct {
	*trail
	keys   keyring
	outage *Outage
}

// Create creates a key with scopes (none: all of them) and a life (0: it never expires). Its
// secret is returned only here.
func (k *APIKeys) Create(
	ctx context.Context, by Principal, name string, scopes []Scope, life time.Duration,
) (APIKey, stage.Secret, error) {
	if err := by.Require(ScopeAPIKeys); err != nil {
		return APIKey{}, stage.Secret{}, err
	}
	name, err := cleanName(name)
	if err != nil {
		return APIKey{}, stage.Secret{}, err
	}
	if scopes, err = checkScopes(scopes); err != nil {
		return APIKey{}, stage.Secret{}, err
	}
	if life < 0 || life > maxKeyLife {
		return APIKey{}, stage.Secret{}, stage.Errorf(stage.ErrInvalid,
			"The life of an API key must be at most 10 years.")
	}
	secret, now := newSecret(apiKeyPrefix), k.now()
	cred := Credential{
		ID: stage.NewID(), Kind: KindAPIKey, Hash: hashOf(secret), Label: name, View: by.User.Name,
		Scopes: scopes, CreatedAt: now,
	}
	if life > 0 {
		cred.ExpiresAt = now.Add(life)
	}
	err = k.store.Atomically(ctx, func(tx Store) error {
		there, err := tx.Credentials(ctx, Match{Kind: KindAPIKey})
		if err != nil {
			return err
		}
		if len(there) >= maxAPIKeys {
			return words.Error(stage.ErrConflict, "said.conflict.apiKeys",
				words.Values{"n": len(there)})
		}
		if err := tx.PutCredential(ctx, cred); err != nil {
			return err
		}
		return k.note(ctx, tx, by, Entry{
			Action: ActionKeyCreated, Target: cred.ID, TargetName: name, Detail: scopeList(scopes),
		})
	})
	if err != nil {
		return APIKey{}, stage.Secret{}, err
	}
	return apiKeyOf(cred), secret, nil
}

func checkScopes(scopes []Scope) ([]Scope, error) {
	if len(scopes) == 0 {
		return APIKeyScopes(), nil
	}
	for _, s := range scopes {
		if !slices.Contains(APIKeyScopes(), s) {
			return nil, stage.Errorf(stage.ErrInvalid, "%q is no scope; there are %s.", s,
				scopeList(APIKeyScopes()))
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(scopes))), nil
}

func scopeList(scopes []Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func apiKeyOf(cred Credential) APIKey {
	return APIKey{
		ID: cred.ID, Name: cred.Label, Scopes: cred.Scopes, CreatedAt: cred.CreatedAt,
		CreatedBy: cred.View, ExpiresAt: cred.ExpiresAt, LastUsedAt: cred.UsedAt,
	}
}

// List lists all API keys, oldest first.
func (k *APIKeys) List(ctx context.Context, by Principal) ([]APIKey, error) {
	if err := by.Require(ScopeAPIKeys); err != nil {
		return nil, err
	}
	creds, err := k.store.Credentials(ctx, Match{Kind: KindAPIKey})
	keys := []APIKey{}
	for _, cred := range creds {
		keys = append(keys, apiKeyOf(cred))
	}
	return keys, err
}

// Revoke ends an API key and the unused dock links that it created, at once.
func (k *APIKeys) Revoke(ctx context.Context, by Principal, id string) error {
	if err := by.Require(ScopeAPIKeys); err != nil {
		return err
	}
	if !stage.ValidID(id) {
		return noSuch("key")
	}
	err := k.store.Atomically(ctx, func(tx Store) error {
		there, err := tx.Credentials(ctx, Match{Kind: KindAPIKey, ID: id})
		if err != nil || len(there) == 0 {
			return cmpErr(err, noSuch("key"))
		}
		if _, err := tx.DeleteCredentials(ctx, Match{Kind: KindAPIKey, ID: id}); err != nil {
			return err
		}
		if err := endLinksOf(ctx, tx, id); err != nil {
			return err
		}
		return k.note(ctx, tx, by, Entry{
			Action: ActionKeyRevoked, Target: id, TargetName: there[0].Label,
		})
	})
	k.outage.forgetKey(id)
	return err
}

// principal returns the principal of a valid key: an operator without an account, limited to the
// scopes.
func (k *APIKeys) principal(ctx context.Context, secret stage.Secret) (Principal, error) {
	cred, _, err := k.keys.use(ctx, KindAPIKey, secret)
	if err != nil {
		return Principal{}, err
	}
	return Principal{
		Kind: KindAPIKey, CredentialID: cred.ID, Scopes: cred.Scopes,
		User:      User{Name: cred.Label, Role: Operator},
		CreatedAt: cred.CreatedAt, UsedAt: cred.UsedAt, ExpiresAt: cred.ExpiresAt,
	}, nil
}
