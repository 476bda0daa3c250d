// Package passkey registers and verifies passkeys (Web Authentication Level 3). It has no storage
// and does not decide about accounts. It signs challenges, so that they need not be stored, and
// returns a registered key as a text for the caller to store.
package passkey

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// challengeLife is the life of a challenge. It is long, since people need time to find their phone
// or security key.
const challengeLife = 5 * time.Minute

// A Relying is a relying party of Web Authentication: the server to which browsers bind passkeys.
type Relying struct {
	id  string
	web *webauthn.WebAuthn
	key []byte // signs challenges
	now func() time.Time
}

var _ access.PasskeyVerifier = (*Relying)(nil)

// ErrNoDomain is the error for a public URL to which browsers bind no passkeys.
var ErrNoDomain = errors.New(
	"passkeys need a public URL with a host name, such as https://stage.example.com")

// New returns the relying party of a public URL. It replaces a loopback address with localhost,
// because browsers bind passkeys only to names. The secret signs challenges, and all replicas share
// it.
func New(public *url.URL, secret []byte, now func() time.Time) (*Relying, error) {
	origin := *public
	if ip, err := netip.ParseAddr(public.Hostname()); err == nil {
		if !ip.IsLoopback() {
			return nil, ErrNoDomain
		}
		origin.Host = "localhost"
		if public.Port() != "" {
			origin.Host += ":" + public.Port()
		}
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "stagedoor passkey challenges", sha256.Size)
	if err != nil {
		return nil, err
	}
	web, err := webauthn.New(&webauthn.Config{
		RPID: origin.Hostname(), RPDisplayName: "Stagedoor", RPOrigins: []string{origin.String()},
		AttestationPreference: protocol.PreferNoAttestation,
		// The authenticator must verify the person by a PIN, a finger or a face, because a passkey
		// replaces the password.
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey:      protocol.ResidentKeyRequirementRequired,
			UserVerification: protocol.VerificationRequired,
		},
		// Some browsers return extension outputs that were not requested. They are ignored.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, err
	}
	return &Relying{id: origin.Hostname(), web: web, key: key, now: now}, nil
}

// ID returns the host name to which browsers bind the passkeys.
func (r *Relying) ID() string { return r.id }

// Create returns the options with which a browser creates a passkey for a user.
func (r *Relying) Create(u access.PasskeyUser) (json.RawMessage, error) {
	creation, _, err := r.create(u, r.challenge(string(u.ID)))
	if err != nil {
		return nil, err
	}
	return json.Marshal(creation.Response)
}

func (r *Relying) create(
	u access.PasskeyUser, challenge []byte,
) (*protocol.CredentialCreation, *webauthn.SessionData, error) {
	known, err := read(u)
	if err != nil {
		return nil, nil, err
	}
	var exclude []protocol.CredentialDescriptor
	for _, c := range known.credentials {
		exclude = append(exclude, c.Descriptor())
	}
	creation, session, err := r.web.BeginRegistration(known, webauthn.WithExclusions(exclude))
	if err != nil {
		return nil, nil, err
	}
	creation.Response.Challenge = challenge
	session.Challenge = base64.RawURLEncoding.EncodeToString(challenge)
	return creation, session, nil
}

// Created verifies the browser's answer to Create.
func (r *Relying) Created(u access.PasskeyUser, answer []byte) (access.CheckedPasskey, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return access.CheckedPasskey{}, refused(err)
	}
	challenge, err := r.checkChallenge(parsed.Response.CollectedClientData.Challenge, string(u.ID))
	if err != nil {
		return access.CheckedPasskey{}, err
	}
	_, session, err := r.create(u, challenge)
	if err != nil {
		return access.CheckedPasskey{}, err
	}
	key, err := r.web.CreateCredential(user{PasskeyUser: u}, *session, parsed)
	if err != nil {
		return access.CheckedPasskey{}, refused(err)
	}
	record, err := json.Marshal(key)
	return access.CheckedPasskey{KeyID: encode(key.ID), Record: string(record),
		Challenge: encode(challenge)}, err
}

// Ask returns the options with which a browser signs in with any of its passkeys.
func (r *Relying) Ask() (json.RawMessage, error) {
	assertion, _, err := r.ask(r.challenge(""))
	if err != nil {
		return nil, err
	}
	return json.Marshal(assertion.Response)
}

func (r *Relying) ask(
	challenge []byte,
) (*protocol.CredentialAssertion, *webauthn.SessionData, error) {
	return r.web.BeginDiscoverableLogin(webauthn.WithChallenge(challenge),
		webauthn.WithUserVerification(protocol.VerificationRequired))
}

// Answered verifies the browser's answer to Ask. The function `find` returns the user who has the
// passkey with that ID. The result contains the new record of the passkey, to be stored.
func (r *Relying) Answered(answer []byte, find func(keyID string) (access.PasskeyUser, error)) (
	access.CheckedPasskey, error,
) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return access.CheckedPasskey{}, refused(err)
	}
	challenge, err := r.checkChallenge(parsed.Response.CollectedClientData.Challenge, "")
	if err != nil {
		return access.CheckedPasskey{}, err
	}
	u, err := find(encode(parsed.RawID))
	if err != nil {
		return access.CheckedPasskey{}, err
	}
	_, session, err := r.ask(challenge)
	if err != nil {
		return access.CheckedPasskey{}, err
	}
	known, err := read(u)
	if err != nil {
		return access.CheckedPasskey{}, err
	}
	key, err := r.web.ValidateDiscoverableLogin(func(_, _ []byte) (webauthn.User,
		error) {
		return known, nil
	}, *session, parsed)
	if err != nil {
		return access.CheckedPasskey{}, refused(err)
	}
	record, err := json.Marshal(key)
	return access.CheckedPasskey{
		KeyID: encode(key.ID), Record: string(record), Challenge: encode(challenge),
		Copied: key.Authenticator.CloneWarning,
	}, err
}

func refused(cause error) error {
	return stage.Errorf(stage.ErrUnauthorized,
		"This passkey does not verify. Try again, or sign in another way.").
		WithCode("passkey_refused").WithCause(cause)
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// user is a user in the form that the library needs.
type user struct {
	access.PasskeyUser
	credentials []webauthn.Credential
}

func read(u access.PasskeyUser) (user, error) {
	out := user{PasskeyUser: u}
	for _, k := range u.Keys {
		var c webauthn.Credential
		if err := json.Unmarshal([]byte(k.Record), &c); err != nil {
			return out, fmt.Errorf("the record of a passkey: %w", err)
		}
		out.credentials = append(out.credentials, c)
	}
	return out, nil
}

func (u user) WebAuthnID() []byte                         { return []byte(u.ID) }
func (u user) WebAuthnName() string                       { return u.Name }
func (u user) WebAuthnDisplayName() string                { return u.Name }
func (u user) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

// A challenge consists of 16 random bytes, its expiry, and a signature over both and its user. With
// the signature, the server need not store challenges for requests without a login.
const (
	randomBytes = 16
	timeBytes   = 8
	signedBytes = randomBytes + timeBytes
)

func (r *Relying) challenge(user string) []byte {
	c := make([]byte, randomBytes, signedBytes+sha256.Size)
	rand.Read(c)
	c = binary.BigEndian.AppendUint64(c, uint64(r.now().Add(challengeLife).UnixMilli()))
	return append(c, r.sign(c, user)...)
}

func (r *Relying) sign(c []byte, user string) []byte {
	mac := hmac.New(sha256.New, r.key)
	mac.Write(c)
	mac.Write([]byte(user))
	return mac.Sum(nil)
}

// checkChallenge returns the bytes of a challenge. The challenge must be signed by this server for
// that user, and must not have expired.
func (r *Relying) checkChallenge(text, user string) ([]byte, error) {
	c, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(c) != signedBytes+sha256.Size ||
		!hmac.Equal(c[signedBytes:], r.sign(c[:signedBytes], user)) {
		return nil, refused(errors.New("the challenge is not one of this server"))
	}
	until := time.UnixMilli(int64(binary.BigEndian.Uint64(c[randomBytes:signedBytes])))
	if !r.now().Before(until) {
		return nil, stage.Errorf(stage.ErrUnauthorized,
			"This took longer than 5 minutes. Try again.").WithCode("passkey_refused")
	}
	return c, nil
}
