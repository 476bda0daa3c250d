package token

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"regexp"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// maxBearer is far above what a token with all that IVS allows needs (some 3 KB), and is checked before anything is parsed.
const maxBearer = 8 << 10

// "jti: case-sensitive, at most 64 characters, letters, digits, _ and -" (Distribute Tokens).
var participantPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// A Keyring knows the public keys whose tokens are accepted. It answers ErrNotFound for a key that it does not know.
type Keyring interface {
	PublicKey(ctx context.Context, kid string) (*ecdsa.PublicKey, error)
}

// Keys is a Keyring in memory, by key ID.
type Keys map[string]*ecdsa.PublicKey

var _ Keyring = Keys(nil)

// PublicKey answers the key of that ID.
func (k Keys) PublicKey(_ context.Context, kid string) (*ecdsa.PublicKey, error) {
	if key, ok := k[kid]; ok {
		return key, nil
	}
	return nil, stage.Errorf(stage.ErrNotFound, "there is no such key")
}

// A Verifier checks participant tokens at the door. It is safe for concurrent use.
type Verifier struct {
	Keys      Keyring
	Endpoints func(context.Context, stage.ARN) (stage.Endpoints, error) // ErrNotFound for a stage that is not served here
	Now       func() time.Time
	Leeway    time.Duration // by how much the clock that issued may be ahead of ours

	// Admit has the last word on a token that is right in itself: is it revoked, is the grant still there? It answers the
	// participant with what the house knows and the token does not say. May be nil.
	Admit func(context.Context, stage.Participant) (stage.Participant, error)
	// APIKey also admits the tokens that a Signer makes in the form APIMade with this key. May be nil: they are refused.
	APIKey *ecdsa.PublicKey
}

// Verify answers who the bearer speaks for.
//
// With an error the participant is no more than a claim: at most ID and Stage are set, as somebody wrote them into a token
// that is not to be believed. It serves one purpose: to tell the owner of that ID that somebody was turned away.
func (v *Verifier) Verify(ctx context.Context, bearer stage.Secret) (stage.Participant, error) {
	t, err := parse(bearer.Reveal())
	claimed := t.claimed()
	if err != nil {
		return claimed, err
	}
	if err := v.checkSignature(ctx, t); err != nil {
		return claimed, err
	}
	if err := v.checkClaims(ctx, t.claims); err != nil {
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

// parsed is a token of which nothing is proven yet.
type parsed struct {
	form      Form
	kid       string
	signed    string // the part that the signature covers
	signature []byte
	claims    claims
}

// parse goes through the library's door for tokens that are verified elsewhere, because its parser finds a method by
// the token's own "alg" in a global registry. Here the form is pinned first and decides the method.
func parse(text string) (parsed, error) {
	if text == "" {
		return parsed{}, refuse("token_missing", "There is no token: put the participant token into the field Bearer Token.")
	}
	if len(text) > maxBearer {
		return parsed{}, malformed(errors.New("over the size limit"))
	}
	var t parsed
	parser := jwt.NewParser(jwt.WithStrictDecoding())
	token, parts, err := parser.ParseUnverified(text, &t.claims)
	if len(parts) == 3 && t.claimed().ID != "" {
		if _, cut := parser.DecodeSegment(parts[2]); cut != nil {
			return t, wrongSignature(cut) // whose it is was still there: the owner is told
		}
	}
	if err != nil && !errors.Is(err, jwt.ErrTokenUnverifiable) {
		return parsed{}, malformed(err)
	}
	if t.signature, err = parser.DecodeSegment(parts[2]); err != nil {
		return parsed{}, malformed(err)
	}
	switch token.Header["alg"] {
	case SelfSigned.Alg():
		t.form = SelfSigned
	case APIMade.Alg():
		t.form = APIMade
	default:
		return parsed{}, malformed(errors.New("alg is neither ES384 nor KMS"))
	}
	t.kid, _ = token.Header["kid"].(string)
	t.signed = text[:len(parts[0])+1+len(parts[1])]
	return t, nil
}

// claimed keeps what has the right shape, so that nothing wild travels on into logs and events.
func (t parsed) claimed() (p stage.Participant) {
	if arn, err := stage.ParseARN(t.claims.Resource); err == nil && participantPattern.MatchString(t.claims.ID) {
		p.ID, p.Stage = stage.ParticipantID(t.claims.ID), arn
	}
	return p
}

func (t parsed) participant() stage.Participant {
	return stage.Participant{
		ID:           stage.ParticipantID(t.claims.ID),
		Stage:        stage.ARN(t.claims.Resource),
		UserID:       t.claims.UserID,
		Attributes:   t.claims.Attributes,
		Capabilities: t.claims.Capabilities.set(),
		ExpiresAt:    t.claims.ExpiresAt.Time,
	}
}

func (v *Verifier) checkSignature(ctx context.Context, t parsed) error {
	key, err := v.key(ctx, t)
	if errors.Is(err, stage.ErrNotFound) {
		return refuse(stage.CodeSignature, "The token is signed with a key that is not known here (any more): get a new token.")
	}
	if err != nil {
		return err
	}
	if err := t.form.Verify(t.signed, t.signature, key); err != nil {
		return wrongSignature(err)
	}
	return nil
}

func (v *Verifier) key(ctx context.Context, t parsed) (*ecdsa.PublicKey, error) {
	if t.form == SelfSigned {
		return v.Keys.PublicKey(ctx, t.kid)
	}
	if v.APIKey == nil {
		return nil, stage.Errorf(stage.ErrNotFound, "tokens made by the API of IVS are not accepted here")
	}
	return v.APIKey, nil
}

func (v *Verifier) checkClaims(ctx context.Context, c claims) error {
	if c.Version != version {
		return refuse("token_version", "The token is of a version that is not known here: it must be %q.", version)
	}
	if !participantPattern.MatchString(c.ID) {
		return refuse("token_malformed", "The token names no participant: its jti has 1 to 64 letters, digits, _ and -.")
	}
	if err := v.checkTimes(c); err != nil {
		return err
	}
	return v.checkStage(ctx, c)
}

func (v *Verifier) checkTimes(c claims) error {
	if c.ExpiresAt == nil || c.IssuedAt == nil {
		return refuse("token_malformed", "The token does not say when it was made and when it expires.")
	}
	now := v.Now()
	if !now.Before(c.ExpiresAt.Time) {
		return refuse("token_expired", "The token has expired: get a new one.")
	}
	if c.IssuedAt.After(now.Add(v.Leeway)) {
		return refuse("token_not_yet_valid", "The token is dated in the future: the clock of the computer that made it is ahead.")
	}
	request := stage.TokenRequest{
		Stage:        stage.ARN(c.Resource),
		UserID:       c.UserID,
		Attributes:   c.Attributes,
		Capabilities: c.Capabilities.set(),
		// Nothing forbids a shorter life to those who sign on their own; some let a token live for the seconds of its use.
		TTL: max(c.ExpiresAt.Sub(c.IssuedAt.Time), stage.MinTTL),
	}
	if err := request.Validate(); err != nil {
		return refuse("token_malformed", "The token is outside the limits: %v.", err)
	}
	return nil
}

func (v *Verifier) checkStage(ctx context.Context, c claims) error {
	arn := stage.ARN(c.Resource)
	endpoints, err := v.Endpoints(ctx, arn)
	if errors.Is(err, stage.ErrNotFound) {
		return refuse("stage_gone", "The token is for a stage that is not here (any more): get a new token.")
	}
	if err != nil {
		return err
	}
	if c.Topic != arn.ID() || c.WHIPURL != endpoints.WHIP || c.EventsURL != endpoints.Events {
		return refuse("token_wrong_stage", "The token was made for another address of this stage: get a new token.")
	}
	return nil
}

func wrongSignature(cause error) error {
	return refuse(stage.CodeSignature, "The token's signature is wrong; it may have been cut or altered while it was copied. Copy it again in full.").WithCause(cause)
}

func malformed(cause error) error {
	return refuse("token_malformed", "This is not a participant token; it may have been cut while it was copied. Copy it again in full.").WithCause(cause)
}

func refuse(code, format string, args ...any) *stage.Error {
	return stage.Errorf(stage.ErrUnauthorized, format, args...).WithCode(code)
}
