// Package token creates and verifies the participant tokens of stages, in the format of Amazon IVS:
// JSON Web Tokens (RFC 7519) signed with ES384 by an own key ("Distribute Tokens", Amazon IVS
// Real-Time User Guide). The same code signs for AWS stages and local stages. The only other form
// is that of CreateParticipantToken, which the emulator uses.
package token

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// version is the only version that IVS accepts in a self-signed token. It has the form "X.F", where
// F is a set of flags. The flag 2 would make a web SDK send silence while it only subscribes.
const version = "1.0"

// claims are the payload of a participant token. User ID and attributes are optional.
type claims struct {
	// seconds since 1970, possibly with a fraction
	ExpiresAt    *float64          `json:"exp,omitempty"`
	IssuedAt     *float64          `json:"iat,omitempty"`
	ID           string            `json:"jti,omitempty"`
	UserID       string            `json:"user_id,omitempty"`
	Resource     string            `json:"resource"`
	Topic        string            `json:"topic"`
	EventsURL    string            `json:"events_url"`
	WHIPURL      string            `json:"whip_url"`
	Capabilities capabilities      `json:"capabilities"`
	Attributes   map[string]string `json:"attributes,omitempty"`
	Version      string            `json:"version"`
}

// capabilities has no member for a capability that is not permitted: "For subscribe-only tokens,
// set only allow_subscribe to true".
type capabilities struct {
	Publish   bool `json:"allow_publish,omitempty"`
	Subscribe bool `json:"allow_subscribe,omitempty"`
}

func newClaims(p stage.Participant, e stage.Endpoints, issued time.Time) claims {
	return claims{
		ExpiresAt: seconds(p.ExpiresAt),
		IssuedAt:  seconds(issued),
		ID:        string(p.ID),
		UserID:    p.UserID,
		Resource:  string(p.Stage),
		Topic:     p.Stage.ID(),
		EventsURL: e.Events,
		WHIPURL:   e.WHIP,
		Capabilities: capabilities{
			Publish:   p.Capabilities.Has(stage.Publish),
			Subscribe: p.Capabilities.Has(stage.Subscribe),
		},
		Attributes: p.Attributes,
		Version:    version,
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

func seconds(t time.Time) *float64 {
	s := float64(t.Unix())
	return &s
}

// maxSeconds is the end of the year 9999, the last year that RFC 3339, and so JSON, can express.
const maxSeconds = 253402300799

// timeOf converts a NumericDate (RFC 7519, 2). It returns false if the date is absent or out of
// range.
func timeOf(s *float64) (time.Time, bool) {
	if s == nil || *s < 0 || *s > maxSeconds {
		return time.Time{}, false
	}
	whole := int64(*s)
	return time.Unix(whole, int64((*s-float64(whole))*1e9)), true
}

// decodeClaims decodes the payload. If a claim has a wrong type, it returns the other claims and an
// error that names the claim.
func decodeClaims(payload []byte) (c claims, wrong *stage.Error, err error) {
	err = json.Unmarshal(payload, &c)
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) && mismatch.Field != "" {
		return c, wrongType(mismatch), nil
	}
	if err != nil {
		return claims{}, nil, err
	}
	return c, nil, nil
}

func wrongType(err *json.UnmarshalTypeError) *stage.Error {
	kind, _, _ := strings.Cut(err.Value, " ") // "number 1e999" would repeat a value of the token
	return refuse("token_malformed", "The token's claim %q must be %s, not %s.",
		err.Field, wantedType(err.Field), jsonTypes[kind])
}

// jsonTypes translates type names of json.UnmarshalTypeError for people.
var jsonTypes = map[string]string{
	"string": "a text", "number": "a number", "bool": "true or false", "array": "a list",
	"object": "an object",
}

func wantedType(claim string) string {
	switch claim {
	case "exp", "iat":
		return "a number of seconds since 1970"
	case "version":
		return `the text "1.0", in quotation marks`
	case "attributes":
		return "an object whose values are all text"
	case "capabilities":
		return `an object such as {"allow_publish":true}`
	case "capabilities.allow_publish", "capabilities.allow_subscribe":
		return "true or false"
	}
	return "a text"
}
