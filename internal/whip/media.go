package whip

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Media negotiates sessions and carries their media. It is safe for concurrent use.
//
// Errors are *stage.Error: ErrInvalid with code "bad_sdp" for an offer that cannot be read,
// ErrInvalid "no_h264" or "no_opus" for an offer without a codec that the stage has (IVS: 2014),
// ErrNotFound "not_publishing" for a Subscribe to a participant that does not publish, ErrConflict
// "stage_full" when a limit of the stage is reached, ErrTooMany or ErrUnavailable when the server
// is full.
//
// Publish and Subscribe return when the answer is complete, with all candidates. The session lives
// until Close is called or Media ends it; ctx limits the negotiation only.
//
// A Publish replaces the earlier publication of the participant, which ends with the code
// "replaced" once the new one is negotiated, and continues if the new offer is refused; viewers
// stay. Publish is never called for a participant whose earlier Publish has not returned, nor is
// Subscribe for the same participant and publisher.
type Media interface {
	Publish(ctx context.Context, p stage.Participant, offer string) (Session, string, error)
	Subscribe(
		ctx context.Context, p stage.Participant, publisher stage.ParticipantID, offer string,
	) (Session, string, error)
	// Participants lists the participants with sessions on a stage, including every publisher.
	Participants(ctx context.Context, arn stage.ARN) ([]stage.Presence, error)
}

// A Session is one WHIP or WHEP session.
type Session interface {
	// Close ends the session, once. Its EventEnded has code and detail. It does not wait for the
	// network.
	Close(code, detail string)
	// Done is closed when the session has ended, for any reason.
	Done() <-chan struct{}
}

// A Layered is a subscription whose viewer may select a layer of a simulcast. Sessions implement it
// optionally.
type Layered interface {
	Layers() []Layer
	// SelectLayer fixes the layer; "" selects automatically. It returns ErrNotFound for an unknown
	// layer.
	SelectLayer(encodingID string) error
	// FitHeight sets the height of the displayed video in lines: no larger layer than needed is
	// selected. 0 means unknown.
	FitHeight(lines int)
}

// A HighestFirst is a subscription that can start at the highest layer of a simulcast and step
// down, instead of climbing from the lowest. Sessions implement it optionally.
type HighestFirst interface {
	// StartHighest is called before the viewer receives the answer, or never.
	StartHighest()
}

// A Playable is a subscription whose media can be paused one by one. Sessions implement it
// optionally.
type Playable interface {
	// Play resumes or pauses the medium with that mid. It returns ErrNotFound for an unknown mid.
	Play(mid string, on bool) error
}

// A Layer is one encoding of a simulcast, in the format of the IVS web SDK.
type Layer struct {
	EncodingID string  `json:"encodingId"` // the rid
	Bitrate    int     `json:"bitrate"`    // kbit/s
	Width      int     `json:"width"`
	Height     int     `json:"height"`
	FPS        float64 `json:"framesPerSecond"`
	Selected   bool    `json:"selected"`
}
