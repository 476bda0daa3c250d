package whip

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Media is the plane behind the doors: it negotiates and carries the media of sessions. It is safe for concurrent use.
//
// Errors are *stage.Error: ErrInvalid with code "bad_sdp" for an offer that cannot be read, ErrInvalid "no_h264" or
// "no_opus" for an offer that wants media in no codec of the stage (IVS: 2014), ErrNotFound "not_publishing" for a Subscribe to nobody,
// ErrConflict "stage_full" when a limit of the stage is reached, ErrTooMany or ErrUnavailable when the server is full.
//
// Publish and Subscribe return when the answer is complete (candidates included). The session lives until Close is
// called or the media plane ends it itself; ctx bounds the negotiation only.
//
// A Publish of somebody who publishes already takes over: the earlier session ends with the code "replaced" once the new one
// is agreed on, and not if its offer is refused; viewers stay. Publish is never called for a participant whose earlier
// Publish has not returned, nor is Subscribe for the same participant and publisher.
type Media interface {
	Publish(ctx context.Context, p stage.Participant, offer string) (Session, string, error)
	Subscribe(ctx context.Context, p stage.Participant, publisher stage.ParticipantID, offer string) (Session, string, error)
	// Participants are those who have sessions on a stage, publishers above all.
	Participants(ctx context.Context, arn stage.ARN) ([]stage.Presence, error)
}

// A Session is one WHIP or WHEP session.
type Session interface {
	// Close ends the session, once; the code and detail become those of its EventEnded. It does not block on the network.
	Close(code, detail string)
	// Done is closed when the session has ended, whoever ended it.
	Done() <-chan struct{}
}

// Layered is a subscription whose viewer may choose among the layers of a simulcast. Sessions implement it optionally.
type Layered interface {
	Layers() []Layer
	// SelectLayer fixes the layer; "" leaves the choice to the media plane again. ErrNotFound for one that is not there.
	SelectLayer(encodingID string) error
	// FitHeight says how many lines the picture has where it is shown: no layer larger than that needs is chosen. 0: not known.
	FitHeight(lines int)
}

// HighestFirst is a subscription that can start at the highest layer of a simulcast and come down as far as it must, instead
// of climbing from the lowest. Sessions implement it optionally.
type HighestFirst interface {
	// StartHighest is called before the viewer has the answer, or never.
	StartHighest()
}

// Playable is a subscription of which single media can be paused. Sessions implement it optionally.
type Playable interface {
	// Play goes on with the medium of that mid, or pauses it. ErrNotFound for one that is not there.
	Play(mid string, on bool) error
}

// A Layer is one encoding of a simulcast, as the IVS web SDK reads it.
type Layer struct {
	EncodingID string  `json:"encodingId"` // the rid
	Bitrate    int     `json:"bitrate"`    // kbit/s
	Width      int     `json:"width"`
	Height     int     `json:"height"`
	FPS        float64 `json:"framesPerSecond"`
	Selected   bool    `json:"selected"`
}
