// Package stage defines the types that all packages share: stages, participants, tokens, errors and
// events. It does no I/O and imports only the standard library.
package stage

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits that IVS documents for participant tokens (CreateParticipantToken, "Distribute
// Tokens") and for publishers. TokenRequest.Validate enforces those of tokens.
const (
	MinTTL          = time.Minute
	MaxTTL          = 14 * 24 * time.Hour
	DefaultTTL      = 12 * time.Hour
	MaxUserID       = 128  // characters
	MaxAttributes   = 1024 // bytes of all names and values together
	MaxSession      = 24 * time.Hour
	MaxParticipants = 12 // publishers on one stage
)

// Endpoints are the URLs of a stage, which are claims of its tokens.
type Endpoints struct {
	WHIP   string // the claim whip_url
	Events string // the claim events_url
}

// A Stage is a virtual space in which participants exchange audio and video.
type Stage struct {
	ARN       ARN
	Name      string
	Endpoints Endpoints
}

// Capabilities are what a token permits.
type Capabilities uint8

// The capabilities of IVS.
const (
	Publish Capabilities = 1 << iota
	Subscribe
)

// Has reports whether c includes all of want.
func (c Capabilities) Has(want Capabilities) bool { return c&want == want }

// Words returns the capabilities in the words of the JSON API.
func (c Capabilities) Words() []string {
	words := []string{}
	if c.Has(Publish) {
		words = append(words, "publish")
	}
	if c.Has(Subscribe) {
		words = append(words, "subscribe")
	}
	return words
}

// String returns the words, separated by commas.
func (c Capabilities) String() string { return strings.Join(c.Words(), ",") }

// ParseCapabilities parses the words of the JSON API in upper or lower case; IVS writes them in
// upper case.
func ParseCapabilities(words []string) (Capabilities, error) {
	var c Capabilities
	for _, word := range words {
		switch strings.ToLower(strings.TrimSpace(word)) {
		case "publish":
			c |= Publish
		case "subscribe":
			c |= Subscribe
		default:
			return 0, Errorf(ErrInvalid, "A capability must be publish or subscribe, not %q.", word)
		}
	}
	return c, nil
}

// A ParticipantID identifies a participant. It is the claim "jti" of the participant's token.
type ParticipantID string

// Valid reports whether the ID is one that IVS allows.
func (id ParticipantID) Valid() bool { return ValidID(id) }

// ValidID reports whether a text can be the ID of a participant or of another resource: 1 to 64
// letters, digits, "_" and "-", which IVS allows in the claim "jti" (Distribute Tokens).
func ValidID[ID ~string](id ID) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// A Participant is the presence of one token on a stage.
type Participant struct {
	ID           ParticipantID
	Stage        ARN
	UserID       string // the ID of the account or the guest; visible to all participants
	Attributes   map[string]string
	Capabilities Capabilities
	ExpiresAt    time.Time
	View         View // limits what the token of a viewing key may receive
}

// Name returns the name to show: the attribute "name", or if that is missing, the user ID, or else
// the participant ID.
func (p Participant) Name() string {
	if name := p.Attributes["name"]; name != "" {
		return name
	}
	if p.UserID != "" {
		return p.UserID
	}
	return string(p.ID)
}

// A TokenRequest is the input of an Issuer. Its values come from the grant, and never directly from
// a client.
type TokenRequest struct {
	Stage        ARN
	UserID       string
	Attributes   map[string]string
	Capabilities Capabilities
	TTL          time.Duration
}

// CheckTTL returns an error for a token life outside the limits of IVS.
func CheckTTL(ttl time.Duration) error {
	if ttl < MinTTL || ttl > MaxTTL {
		return Errorf(ErrInvalid,
			"The life of a token must be 1 minute to 14 days (60 to 1209600 seconds).")
	}
	return nil
}

// Validate checks the limits that IVS documents. All issuers use it.
func (r TokenRequest) Validate() error {
	if _, err := ParseARN(string(r.Stage)); err != nil {
		return err
	}
	if err := CheckTTL(r.TTL); err != nil {
		return err
	}
	if r.Capabilities == 0 || r.Capabilities&^(Publish|Subscribe) != 0 {
		return Errorf(ErrInvalid, "A token must have the capability publish, subscribe or both.")
	}
	if !utf8.ValidString(r.UserID) || utf8.RuneCountInString(r.UserID) > MaxUserID {
		return Errorf(ErrInvalid, "A user ID must have at most %d characters of UTF-8.", MaxUserID)
	}
	size := 0
	for k, v := range r.Attributes {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return Errorf(ErrInvalid, "Attributes must be UTF-8.")
		}
		size += len(k) + len(v)
	}
	if size > MaxAttributes {
		return Errorf(ErrInvalid, "Attributes must have at most %d bytes together; these have %d.",
			MaxAttributes, size)
	}
	return nil
}

// A ParticipantToken is a new token with its participant.
type ParticipantToken struct {
	Participant  Participant
	Secret       Secret
	WHIPEndpoint string // the URL for WHIP clients
	ExpiresAt    time.Time
	IssuedBy     string // "local key", "own key <kid>" or "AWS API"
}

// An Issuer creates participant tokens. It validates the request and is safe for concurrent use.
type Issuer interface {
	IssueToken(ctx context.Context, req TokenRequest) (ParticipantToken, error)
}

// A Moderator lists the participants of a stage and disconnects them. Disconnect returns
// ErrNotFound for a participant that is not connected.
type Moderator interface {
	Participants(ctx context.Context, arn ARN) ([]Presence, error)
	Disconnect(ctx context.Context, arn ARN, id ParticipantID, reason string) error
}

// A StageSession is the time from the first participant's arrival until the last one leaves, as IVS
// defines it. Until the session has ended, End is zero.
type StageSession struct {
	ID         string
	Start, End time.Time
}

// A Presence is a participant that is connected to a stage now.
type Presence struct {
	Participant Participant
	Since       time.Time
	Publishing  bool
	AudioMuted  bool
	VideoMuted  bool
	// no media arrives, although neither picture nor sound was turned off
	Stalled   bool
	Viewers   int        // sessions that receive this participant
	Reception *Reception // nil if it cannot be measured
}

// Reception is what the stage receives from a publisher, measured on the media over the last
// seconds.
type Reception struct {
	Video *VideoReception `json:"video,omitempty"`
	Audio *AudioReception `json:"audio,omitempty"`
	Loss  float64         `json:"loss"` // lost packets as a share of all, 0 to 1
	Since time.Time       `json:"since"`
}

// VideoReception describes the highest layer that the stage receives.
type VideoReception struct {
	Codec            string  `json:"codec"`            // "H264"
	Profile          string  `json:"profile"`          // from the SPS: "Constrained Baseline"
	Width            int     `json:"width"`            // pixels, from the SPS
	Height           int     `json:"height"`           // pixels, from the SPS
	FPS              float64 `json:"fps"`              // frames a second
	Bitrate          int     `json:"bitrate"`          // bit/s
	KeyframeInterval float64 `json:"keyframeInterval"` // seconds; 0 before the second keyframe
	BFrames          bool    `json:"bFrames"`          // the stage has received B slices
	Layers           int     `json:"layers"`           // received simulcast layers
}

// AudioReception describes the audio that the stage receives.
type AudioReception struct {
	Codec   string `json:"codec"`   // "opus"
	Bitrate int    `json:"bitrate"` // bit/s
	Valid   bool   `json:"valid"`   // false if the audio is not Opus; OBS may send AAC
}

// An EventKind is the kind of a stage event.
type EventKind string

// The events of a participant.
const (
	EventRefused    EventKind = "refused"    // an attempt to join was rejected
	EventConnected  EventKind = "connected"  // the WHIP session is connected, without media so far
	EventPublishing EventKind = "publishing" // media arrives, so the broadcast is live
	EventEnded      EventKind = "ended"      // the session has ended
	EventWarning    EventKind = "warning"    // the session continues with a problem in its media
)

// An Event is something that happened to a participant, for its dock and the operator.
type Event struct {
	Time        time.Time
	Kind        EventKind
	Stage       ARN
	Participant ParticipantID
	UserID      string
	Code        string // stable, snake_case, such as token_expired or no_h264
	Detail      string // a sentence for people
}

// Claimed reports whether the event is about a token with a wrong signature. The participant of
// such an event comes from the token and may be forged. So the event may be shown, but must have no
// other effect.
func (e Event) Claimed() bool { return e.Kind == EventRefused && e.Code == CodeSignature }

// CodeKicked is the code of the event when the server disconnected a participant because of a kick,
// a bar, or access that ended.
const CodeKicked = "kicked"

// The details of an event with CodeKicked if no reason was given.
const (
	NoReason            = "An operator or a moderator ended the session."
	NoReasonOfOperator  = "Removed by the operator."
	NoReasonOfModerator = "Removed by a moderator."
)

// CodeSignature is the code for a token with a wrong signature.
const CodeSignature = "token_signature"

// SortPresences sorts by the time of joining, so that lists keep their order between requests.
func SortPresences(list []Presence) {
	slices.SortFunc(list, func(a, b Presence) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(string(a.Participant.ID), string(b.Participant.ID))
	})
}
