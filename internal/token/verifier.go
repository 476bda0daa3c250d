package token

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// maxBearer limits the length before a token is parsed. A token with everything that IVS allows has
// some 3 KB.
const maxBearer = 8 << 10

// A Keyring returns the public keys whose tokens are accepted, and ErrNotFound for other IDs.
type Keyring interface {
	PublicKey(ctx context.Context, kid string) (*ecdsa.PublicKey, error)
}

// Keys is a Keyring in memory, by key ID.
type Keys map[string]*ecdsa.PublicKey

var _ Keyring = Keys(nil)

// PublicKey returns the key of that ID.
func (k Keys) PublicKey(_ context.Context, kid string) (*ecdsa.PublicKey, error) {
	if key, ok := k[kid]; ok {
		return key, nil
	}
	return nil, stage.Errorf(stage.ErrNotFound, "there is no such key")
}

// A Verifier checks participant tokens. It is safe for concurrent use.
type Verifier struct {
	Keys Keyring
	// Endpoints returns ErrNotFound for a stage that is not served.
	Endpoints func(context.Context, stage.ARN) (stage.Endpoints, error)
	Now       func() time.Time
	Leeway    time.Duration // how far the issuer's clock may be ahead

	// Admit checks what the token does not contain, such as a revocation, and completes the
	// participant. It is called only for valid tokens, and may be nil.
	Admit func(context.Context, stage.Participant) (stage.Participant, error)
	// APIKey verifies tokens of the form APIMade. If APIKey is nil, such tokens are refused.
	APIKey *ecdsa.PublicKey
}

// Verify returns the participant of a token.
//
// With an error, the participant has at most the ID and the Stage that the token claims. Use these
// only to show the refusal to the owner of that ID.
func (v *Verifier) Verify(ctx context.Context, bearer stage.Secret) (stage.Participant, error) {
	t, err := parse(bearer.Reveal())
	claimed := t.claimed()
	if err != nil {
		return claimed, err
	}
	// The signature is verified first, because without it the claims may be forged.
	if err := v.checkSignature(ctx, t); err != nil {
		return claimed, err
	}
	if err := v.checkClaims(ctx, t); err != nil {
		return claimed, err
	}
	p := t.participant()
	if v.Admit != nil {
		if p, err = v.Admit(ctx, p); err != nil {
			return claimed, err
		}
	}
	return p, nil
}

// A parsed is a token that was parsed and not verified.
type parsed struct {
	form      Form
	kid       string
	signed    string // what the signature covers
	signature []byte
	claims    claims
	wrong     *stage.Error // names a claim of a wrong type
}

// parse parses a token. "alg" only selects the form. It does not decide whether the signature is
// verified, nor with which key (RFC 8725, 3.1).
func parse(text string) (t parsed, err error) {
	if text == "" {
		return t, refuse("token_missing",
			"There is no token: put the participant token into the field Bearer Token.")
	}
	if len(text) > maxBearer {
		return t, malformed(errors.New("over the size limit"))
	}
	c, err := split(text)
	if err != nil {
		return t, malformed(err)
	}
	form, known := formOf(c.header.Algorithm)
	if !known {
		return t, malformed(errors.New("alg is neither ES384 nor KMS"))
	}
	t = parsed{form: form, kid: c.header.KeyID, signed: c.signed}
	if t.claims, t.wrong, err = decodeClaims(c.payload); err != nil {
		return t, malformed(err)
	}
	if t.signature, err = decode(c.signature); err != nil {
		return t, wrongSignature(err)
	}
	return t, nil
}

// claimed returns the claimed participant, but only if its format is valid, because it appears in
// logs and events.
func (t parsed) claimed() (p stage.Participant) {
	id := stage.ParticipantID(t.claims.ID)
	if arn, err := stage.ParseARN(t.claims.Resource); err == nil && id.Valid() {
		p.ID, p.Stage = id, arn
	}
	return p
}

func (t parsed) participant() stage.Participant {
	expires, _ := timeOf(t.claims.ExpiresAt)
	return stage.Participant{
		ID:           stage.ParticipantID(t.claims.ID),
		Stage:        stage.ARN(t.claims.Resource),
		UserID:       t.claims.UserID,
		Attributes:   t.claims.Attributes,
		Capabilities: t.claims.Capabilities.set(),
		ExpiresAt:    expires,
	}
}

func (v *Verifier) checkSignature(ctx context.Context, t parsed) error {
	key, err := v.key(ctx, t)
	if errors.Is(err, stage.ErrNotFound) {
		return refuse(stage.CodeSignature,
			"The token is signed with a key that is not known here (any more): get a new token.")
	}
	if err != nil {
		return err
	}
	if err := t.form.verify(t.signed, t.signature, key); err != nil {
		return wrongSignature(err)
	}
	return nil
}

func (v *Verifier) key(ctx context.Context, t parsed) (*ecdsa.PublicKey, error) {
	if t.form == SelfSigned {
		return v.Keys.PublicKey(ctx, t.kid)
	}
	if v.APIKey == nil {
		return nil, stage.Errorf(stage.ErrNotFound, "tokens of the IVS API are not accepted here")
	}
	return v.APIKey, nil
}

func (v *Verifier) checkClaims(ctx context.Context, t parsed) error {
	c := t.claims
	if t.wrong != nil {
		return t.wrong
	}
	if c.Version != version {
		return refuse("token_version",
			`The token's claim "version" must be %q: no other version is known here.`, version)
	}
	if !stage.ParticipantID(c.ID).Valid() {
		return refuse("token_malformed",
			`The token's claim "jti" names the participant: 1 to 64 letters, digits, _ and -.`)
	}
	if err := v.checkTimes(c); err != nil {
		return err
	}
	return v.checkStage(ctx, c)
}

func (v *Verifier) checkTimes(c claims) error {
	expires, ok := timeOf(c.ExpiresAt)
	issued, issuedOK := timeOf(c.IssuedAt)
	if !ok || !issuedOK {
		return refuse("token_malformed",
			`The token's claims "iat" and "exp" must say when it was issued and when it expires.`)
	}
	now := v.Now()
	if !now.Before(expires) {
		return refuse("token_expired", "The token has expired: get a new one.")
	}
	if issued.After(now.Add(v.Leeway)) {
		return refuse("token_not_yet_valid",
			"The token is dated in the future: the clock of the computer that issued it is ahead.")
	}
	request := stage.TokenRequest{
		Stage:        stage.ARN(c.Resource),
		UserID:       c.UserID,
		Attributes:   c.Attributes,
		Capabilities: c.Capabilities.set(),
		// A self-signed token may live for less than the shortest TTL of the API.
		TTL: max(expires.Sub(issued), stage.MinTTL),
	}
	if err := request.Validate(); err != nil {
		return refuse("token_malformed", "The token exceeds a limit. %v", err)
	}
	return nil
}

func (v *Verifier) checkStage(ctx context.Context, c claims) error {
	arn := stage.ARN(c.Resource)
	endpoints, err := v.Endpoints(ctx, arn)
	if errors.Is(err, stage.ErrNotFound) {
		return refuse("stage_gone",
			"The token is for a stage that is not here (any more): get a new token.")
	}
	if err != nil {
		return err
	}
	if c.Topic != arn.ID() || c.WHIPURL != endpoints.WHIP || c.EventsURL != endpoints.Events {
		return refuse("token_wrong_stage",
			"The token was made for another address of this stage: get a new token.")
	}
	return nil
}

func wrongSignature(cause error) error {
	return refuse(stage.CodeSignature, "The token's signature is wrong; it may have been cut or "+
		"altered while it was copied. Copy it again in full.").WithCause(cause)
}

func malformed(cause error) error {
	return refuse("token_malformed", "This is not a participant token; it may have been cut while "+
		"it was copied. Copy it again in full.").WithCause(cause)
}

func refuse(code, format string, args ...any) *stage.Error {
	return stage.Errorf(stage.ErrUnauthorized, format, args...).WithCode(code)
}

// ClaimedStage returns the stage that a token claims, or "". It does not verify the token, so the
// result may only decide where the token is verified.
func ClaimedStage(bearer stage.Secret) stage.ARN {
	t, _ := parse(bearer.Reveal())
	return t.claimed().Stage
}
