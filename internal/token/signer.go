package token

import (
	"cmp"
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Signer issues participant tokens with an own key. It is safe for concurrent use.
type Signer struct {
	Key       crypto.Signer // a key on P-384
	KeyID     string        // the ARN of the public key, as GetPublicKey returns it
	Form      Form          // APIMade for tokens like those of CreateParticipantToken
	Endpoints func(context.Context, stage.ARN) (stage.Endpoints, error)
	Now       func() time.Time

	WHIPEndpoint func(stage.Endpoints) string // the URL for WHIP clients; nil for Endpoints.WHIP
	NewID        func() string                // nil for stage.NewParticipantID
	// value of ParticipantToken.IssuedBy; "" for "own key" and the KeyID
	Name string
}

var _ stage.Issuer = (*Signer)(nil)

// IssueToken creates a token for a new participant.
func (s *Signer) IssueToken(
	ctx context.Context, req stage.TokenRequest,
) (stage.ParticipantToken, error) {
	if err := req.Validate(); err != nil {
		return stage.ParticipantToken{}, err
	}
	endpoints, err := s.Endpoints(ctx, req.Stage)
	if err != nil {
		return stage.ParticipantToken{}, fmt.Errorf("endpoints of %s: %w", req.Stage, err)
	}
	// Both times are whole seconds, so that the token lives exactly its TTL, which IVS limits to 14
	// days.
	now := s.Now().Truncate(time.Second)
	p := stage.Participant{
		ID:           s.newID(),
		Stage:        req.Stage,
		UserID:       req.UserID,
		Attributes:   req.Attributes,
		Capabilities: req.Capabilities,
		ExpiresAt:    now.Add(req.TTL).Truncate(time.Second),
	}
	text, err := s.sign(newClaims(p, endpoints, now))
	if err != nil {
		return stage.ParticipantToken{}, stage.Errorf(stage.ErrUnavailable,
			"the key that signs tokens cannot be used at the moment").WithCode("signing_failed").
			WithCause(err)
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
	h := header{Algorithm: s.Form.algorithm(), Type: "JWT"}
	if s.Form == SelfSigned {
		h.KeyID = s.KeyID
	}
	return join(h, c, func(text string) ([]byte, error) { return s.Form.sign(text, s.Key) })
}

func (s *Signer) newID() stage.ParticipantID {
	if s.NewID != nil {
		return stage.ParticipantID(s.NewID())
	}
	return stage.NewParticipantID(s.Now())
}

func (s *Signer) whipEndpoint(e stage.Endpoints) string {
	if s.WHIPEndpoint != nil {
		return s.WHIPEndpoint(e)
	}
	return e.WHIP
}
