package access

import (
	"context"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The words in the label of a login.
const (
	externalLabel = "external" // use does not extend it
	byKey         = "key:"     // an access key made it; the ID of the key follows
	byPasskey     = "passkey:" // a passkey made it; its ID follows
)

// A loginLabel says how a login came about.
type loginLabel struct {
	external     bool
	key, passkey string
}

func labelOf(text string) (l loginLabel) {
	for word := range strings.FieldsSeq(text) {
		switch {
		case word == externalLabel:
			l.external = true
		case strings.HasPrefix(word, byKey):
			l.key = strings.TrimPrefix(word, byKey)
		case strings.HasPrefix(word, byPasskey):
			l.passkey = strings.TrimPrefix(word, byPasskey)
		}
	}
	return l
}

func loginEntry(account Account, way string) Entry {
	e := userEntry(ActionLogin, account)
	e.Detail = way
	return e
}

// vouchedUntil returns when the logins of an account end at the latest, because it has no password
// and belongs to a person whom the provider vouched for; zero: use alone decides.
func (c *Control) vouchedUntil(
	ctx context.Context, tx Store, account Account,
) (until time.Time, err error) {
	if c.cfg.External.Issuer == "" || account.Password != "" || account.LinkedAt.IsZero() {
		return time.Time{}, nil
	}
	identities, err := tx.IdentitiesOf(ctx, account.ID)
	if err != nil {
		return time.Time{}, err
	}
	for _, i := range identities {
		if sameIssuer(i.Issuer, c.cfg.External.Issuer) {
			if end := i.SeenAt.Add(c.cfg.External.life()); end.After(until) {
				until = end
			}
		}
	}
	return until, nil
}

// sameIssuer compares issuers as go-oidc does: Google leaves the scheme out in some tokens.
func sameIssuer(a, b string) bool {
	return strings.TrimPrefix(a, "https://") == strings.TrimPrefix(b, "https://")
}

func (p ExternalPolicy) life() time.Duration {
	if p.LoginLife <= 0 {
		return externalLoginLife
	}
	return p.LoginLife
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func providerFirst() error {
	return stage.Errorf(stage.ErrUnauthorized,
		"The sign-in service must confirm your account first: sign in with it, then again this way.").
		WithCode("provider_first")
}
