package access

import (
	"cmp"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The parts of the label of a login, which record how it was created.
const (
	externalLabel = "external" // requests do not postpone the expiry of the login
	byProvider    = "provider" // created by an OpenID Connect sign-in in this browser
	byKey         = "key:"     // created by an access key; the ID of the key follows
	byPasskey     = "passkey:" // created by a passkey; the ID of the passkey follows
	byAPIKey      = "api:"     // created by a dock link of an API key; the ID of the key follows
	// Created by a code of a user who had signed in with a passkey; the ID of the passkey follows.
	// The login has no rights that need a passkey, but it ends with that passkey.
	fromPasskey = "from-passkey:"
)

// A loginLabel records how a login was created.
type loginLabel struct {
	external, provider         bool
	key, passkey, apiKey, from string
}

// restsOn reports whether a login ends with a certain passkey.
func (l loginLabel) restsOn(passkey string) bool { return passkey == cmp.Or(l.passkey, l.from) }

func labelOf(text string) (l loginLabel) {
	for word := range strings.FieldsSeq(text) {
		switch {
		case word == externalLabel:
			l.external = true
		case word == byProvider:
			l.provider = true
		case strings.HasPrefix(word, byKey):
			l.key = strings.TrimPrefix(word, byKey)
		case strings.HasPrefix(word, byPasskey):
			l.passkey = strings.TrimPrefix(word, byPasskey)
		case strings.HasPrefix(word, byAPIKey):
			l.apiKey = strings.TrimPrefix(word, byAPIKey)
		case strings.HasPrefix(word, fromPasskey):
			l.from = strings.TrimPrefix(word, fromPasskey)
		}
	}
	return l
}

// madeBy returns the label of a login, or of the login that a code will create. A device code
// stores it in View, since its Label is the user code.
func (cred Credential) madeBy() string {
	if cred.Kind == kindDevice {
		return cred.View
	}
	return cred.Label
}

func loginEntry(account Account, way string) Entry {
	e := userEntry(ActionLogin, account)
	e.Detail = way
	return e
}

// sameIssuer compares issuers as go-oidc does: some tokens of Google omit the scheme.
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
		"The sign-in service must confirm your account first: sign in with it, then again "+
			"this way.").
		WithCode("provider_first")
}
