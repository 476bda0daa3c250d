// Package token makes and checks the participant tokens of stages, exactly as Amazon IVS has them: a JSON Web Token signed
// with ES384 by one's own key ("Distribute Tokens", Amazon IVS Real-Time User Guide), so that the same code signs for
// stages of AWS and for stages of our own. The one other form is that of CreateParticipantToken, which the emulator makes.
package token

import (
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// version is the only one that IVS accepts in a self-signed token. It is "X.F" with F a set of flags, none of them set:
// to a web SDK the flag 2 would mean to send silence while it only watches.
const version = "1.0"

// claims are the payload of a participant token. User ID and attributes are optional, all else is mandatory.
type claims struct {
	jwt.RegisteredClaims // exp, iat, jti: the other registered claims are not used

	UserID       string            `json:"user_id,omitempty"`
	Resource     string            `json:"resource"`
	Topic        string            `json:"topic"`
	EventsURL    string            `json:"events_url"`
	WHIPURL      string            `json:"whip_url"`
	Capabilities capabilities      `json:"capabilities"`
	Attributes   map[string]string `json:"attributes,omitempty"`
	Version      string            `json:"version"`
}

// capabilities lists what is allowed and leaves out the rest: "For subscribe-only tokens, set only allow_subscribe to true".
type capabilities struct {
	Publish   bool `json:"allow_publish,omitempty"`
	Subscribe bool `json:"allow_subscribe,omitempty"`
}

func newClaims(p stage.Participant, e stage.Endpoints, issued time.Time) claims {
	return claims{
		RegisteredClaims: jwt.RegisteredClaims{
			ID:        string(p.ID),
			IssuedAt:  jwt.NewNumericDate(issued),
			ExpiresAt: jwt.NewNumericDate(p.ExpiresAt),
		},
		UserID:       p.UserID,
		Resource:     string(p.Stage),
		Topic:        p.Stage.ID(),
		EventsURL:    e.Events,
		WHIPURL:      e.WHIP,
		Capabilities: capabilities{Publish: p.Capabilities.Has(stage.Publish), Subscribe: p.Capabilities.Has(stage.Subscribe)},
		Attributes:   p.Attributes,
		Version:      version,
	}
}

func (c capabilities) set() (s stage.Capabilities) {
	if c.Publish {
		s |= stage.Publish
	}
	if c.Subscribe {
		s |= stage.Subscribe
	}
	return s
}
