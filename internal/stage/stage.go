// Package stage is the vocabulary of the house: stages, participants, their tokens, and what happens to them.
// It does no I/O and imports the standard library alone.
package stage

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits that IVS documents for participant tokens (CreateParticipantToken, "Distribute Tokens"). All issuers keep them.
const (
	MinTTL          = time.Minute
	MaxTTL          = 14 * 24 * time.Hour
	DefaultTTL      = 12 * time.Hour
	MaxUserID       = 128  // characters
	MaxAttributes   = 1024 // bytes of all keys and values together
	MaxSession      = 24 * time.Hour
	MaxParticipants = 12 // publishers on one stage
)

// Endpoints are the URLs of a stage. They are claims of its tokens.
type Endpoints struct {
	WHIP   string // whip_url
	Events string // events_url
}

// A Stage is a place where participants see and hear each other.
type Stage struct {
	ARN       ARN
	Name      string
	Endpoints Endpoints
}

// Capabilities say what a participant may do on the stage.
type Capabilities uint8

// The capabilities of IVS.
const (
	Publish Capabilities = 1 << iota
	Subscribe
)

// Has says whether all of want are there.
func (c Capabilities) Has(want Capabilities) bool { return c&want == want }

// Words lists the capabilities as the JSON API of Stagedoor says them.
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

func (c Capabilities) String() string { return strings.Join(c.Words(), ",") }

// ParseCapabilities reads the words of the API, in any case (IVS writes them in capitals).
func ParseCapabilities(words []string) (Capabilities, error) {
	var c Capabilities
	for _, word := range words {
		switch strings.ToLower(strings.TrimSpace(word)) {
		case "publish":
			c |= Publish
		case "subscribe":
			c |= Subscribe
		default:
			return 0, Errorf(ErrInvalid, "a capability is publish or subscribe, not %q", word)
		}
	}
	return c, nil
}

// A ParticipantID is the "jti" claim of a token: one token, one participant.
type ParticipantID string

// A Participant is who a token speaks for.
type Participant struct {
	ID           ParticipantID
	Stage        ARN
	UserID       string // the account's ID; visible to all participants
	Attributes   map[string]string
	Capabilities Capabilities
	ExpiresAt    time.Time
	View         View // of a token that came from a viewing key: whom it may receive
}

// Name is what people call the participant.
func (p Participant) Name() string {
	if name := p.Attributes["name"]; name != "" {
		return name
	}
	if p.UserID != "" {
		return p.UserID
	}
	return string(p.ID)
}

// A TokenRequest asks an Issuer for a token. The server fills it from the grant.
type TokenRequest struct {
	Stage        ARN
	UserID       string
	Attributes   map[string]string
	Capabilities Capabilities
	TTL          time.Duration
}

// Validate keeps the limits that IVS documents, for all issuers alike.
func (r TokenRequest) Validate() error {
	if _, err := ParseARN(string(r.Stage)); err != nil {
		return err
	}
	if r.TTL < MinTTL || r.TTL > MaxTTL {
		return Errorf(ErrInvalid, "a token lives from 1 minute to 14 days")
	}
	if r.Capabilities == 0 || r.Capabilities&^(Publish|Subscribe) != 0 {
		return Errorf(ErrInvalid, "a token carries publish, subscribe or both")
	}
	if !utf8.ValidString(r.UserID) || utf8.RuneCountInString(r.UserID) > MaxUserID {
		return Errorf(ErrInvalid, "a user id has at most %d characters of UTF-8", MaxUserID)
	}
	size := 0
	for k, v := range r.Attributes {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return Errorf(ErrInvalid, "attributes are UTF-8")
		}
		size += len(k) + len(v)
	}
	if size > MaxAttributes {
		return Errorf(ErrInvalid, "attributes have at most %d bytes together, these have %d", MaxAttributes, size)
	}
	return nil
}

// A ParticipantToken is what an Issuer answers.
type ParticipantToken struct {
	Participant  Participant
	Secret       Secret
	WHIPEndpoint string // what a WHIP client is given as its endpoint
	ExpiresAt    time.Time
	IssuedBy     string // "local key", "own key <kid>" or "AWS API", for the operator's list
}

// An Issuer makes participant tokens. It validates the request, and it is safe for concurrent use.
type Issuer interface {
	IssueToken(ctx context.Context, req TokenRequest) (ParticipantToken, error)
}

// A Moderator sees who is on a stage and can send them away. Disconnect answers ErrNotFound for one who is not there.
type Moderator interface {
	Participants(ctx context.Context, arn ARN) ([]Presence, error)
	Disconnect(ctx context.Context, arn ARN, id ParticipantID, reason string) error
}

// A StageSession is a time in which somebody was on a stage, as IVS counts it; End is zero while it goes on.
type StageSession struct {
	ID         string
	Start, End time.Time
}

// A Presence is a participant on the stage now.
type Presence struct {
	Participant Participant
	Since       time.Time
	Publishing  bool
	AudioMuted  bool
	VideoMuted  bool
	Viewers     int        // sessions that receive this participant
	Reception   *Reception // what the stage receives; nil where it cannot be measured
}

// Reception is what the stage receives from a publisher, measured from the media itself over the last seconds.
type Reception struct {
	Video *VideoReception `json:"video,omitempty"`
	Audio *AudioReception `json:"audio,omitempty"`
	Loss  float64         `json:"loss"` // share of packets that never came, 0 to 1
	Since time.Time       `json:"since"`
}

// VideoReception describes the highest layer that comes in.
type VideoReception struct {
	Codec            string  `json:"codec"`            // "H264"
	Profile          string  `json:"profile"`          // "Constrained Baseline", "High" … from the SPS
	Width            int     `json:"width"`            // pixels, from the SPS
	Height           int     `json:"height"`           //
	FPS              float64 `json:"fps"`              //
	Bitrate          int     `json:"bitrate"`          // bit/s
	KeyframeInterval float64 `json:"keyframeInterval"` // seconds between the last keyframes; 0 while there was only one
	BFrames          bool    `json:"bFrames"`          // B slices were seen
	Layers           int     `json:"layers"`           // simulcast layers that come in
}

// AudioReception describes the sound that comes in.
type AudioReception struct {
	Codec   string `json:"codec"`   // "opus"
	Bitrate int    `json:"bitrate"` // bit/s
	Valid   bool   `json:"valid"`   // false: the payload is not Opus (OBS sends AAC when its encoder was not changed)
}

// An EventKind says what happened to a participant.
type EventKind string

// The events of a participant.
const (
	EventRefused    EventKind = "refused"    // a knock at a door was turned away: Code and Detail say why
	EventConnected  EventKind = "connected"  // the WHIP session is up, no media yet
	EventPublishing EventKind = "publishing" // media arrives: LIVE
	EventEnded      EventKind = "ended"      // the session is over: Code and Detail say why
	EventWarning    EventKind = "warning"    // it goes on, but something is wrong with the media
)

// An Event tells what happened to a participant, for the dock and the operator.
type Event struct {
	Time        time.Time
	Kind        EventKind
	Stage       ARN
	Participant ParticipantID
	UserID      string
	Code        string // stable, snake_case: token_expired, no_h264, deleted, replaced, kicked, lost …
	Detail      string // a sentence for the person
}

// Claimed says that the event is about a token whose signature is wrong: anybody could have written that participant into it.
// It may explain to its owner what happened, and nothing follows from it.
func (e Event) Claimed() bool { return e.Kind == EventRefused && e.Code == CodeSignature }

// CodeSignature is the code of a token whose signature is wrong.
const CodeSignature = "token_signature"

// SortPresences puts who came first first, so that lists do not jump.
func SortPresences(list []Presence) {
	slices.SortFunc(list, func(a, b Presence) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(string(a.Participant.ID), string(b.Participant.ID))
	})
}
