package token

import (
	"cmp"
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Signer issues participant tokens with an own key. It is safe for concurrent use.
type Signer struct {
	Key       crypto.Signer // on P-384
	KeyID     string        // the ARN of the public key, as GetPublicKey answers it
	Form      Form          // SelfSigned unless the token shall look like one of CreateParticipantToken
	Endpoints func(context.Context, stage.ARN) (stage.Endpoints, error)
	Now       func() time.Time

	WHIPEndpoint func(stage.Endpoints) string // what a WHIP client is given; nil: Endpoints.WHIP
	NewID        func() string                // nil: stage.NewID
	Name         string                       // of the issuer in the operator's list; "": own key and its ID
}

var _ stage.Issuer = (*Signer)(nil)

// IssueToken makes a token for a new participant.
func (s *Signer) IssueToken(ctx context.Context, req stage.TokenRequest) (stage.ParticipantToken, error) {
	if err := req.Validate(); err != nil {
		return stage.ParticipantToken{}, err
	}
	endpoints, err := s.Endpoints(ctx, req.Stage)
	if err != nil {
		return stage.ParticipantToken{}, fmt.Errorf("endpoints of %s: %w", req.Stage, err)
	}
	// Both times are whole seconds, so that the life of the token is exactly the TTL, of which 14 days are the limit.
	now := s.Now().Truncate(time.Second)
	p := stage.Participant{
		ID:           stage.ParticipantID(s.newID()),
		Stage:        req.Stage,
		UserID:       req.UserID,
		Attributes:   req.Attributes,
		Capabilities: req.Capabilities,
		ExpiresAt:    now.Add(req.TTL).Truncate(time.Second),
	}
	text, err := s.sign(newClaims(p, endpoints, now))
	if err != nil {
		return stage.ParticipantToken{}, stage.Errorf(stage.ErrUnavailable, "the key that signs tokens cannot be used at the moment").WithCode("signing_failed").WithCause(err)
	}
	return stage.ParticipantToken{
		Participant:  p,
		Secret:       stage.NewSecret(text),
		WHIPEndpoint: s.whipEndpoint(endpoints),
		ExpiresAt:    p.ExpiresAt,
		IssuedBy:     cmp.Or(s.Name, "own key "+s.KeyID),
	}, nil
}

func (s *Signer) sign(c claims) (string, error) {
	t := jwt.NewWithClaims(s.Form, c)
	if s.Form == SelfSigned {
		t.Header["kid"] = s.KeyID
	}
	return t.SignedString(s.Key)
}

func (s *Signer) newID() string {
	if s.NewID != nil {
		return s.NewID()
	}
	return stage.NewID()
}

func (s *Signer) whipEndpoint(e stage.Endpoints) string {
	if s.WHIPEndpoint != nil {
		return s.WHIPEndpoint(e)
	}
	return e.WHIP
}
