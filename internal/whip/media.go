package whip

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Media negotiates sessions and carries their media. It is safe for concurrent use.
//
// Errors are *stage.Error. ErrInvalid has the code "bad_sdp" for an offer that cannot be read, and
// "no_h264" or "no_opus" for one without the stage's codec (IVS: 2014). ErrNotFound
// "not_publishing" means that the participant to receive does not publish. ErrConflict "stage_full"
// means that a limit of the stage is reached. ErrTooMany means that the user has too many views,
// and ErrUnavailable that the server is full or stops.
//
// Publish and Subscribe return when the answer is complete, with all candidates. ctx limits the
// negotiation only: the session lives until Close is called or Media ends it.
//
// A Publish replaces the earlier publication of the participant. After the new one was negotiated,
// the earlier session ends with the code "replaced", and its viewers stay. If the new offer is
// refused, the earlier session continues. Calls of Publish for one participant do not overlap, nor
// do calls of Subscribe for one participant and publisher.
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
	// Close ends the session. A publication reports an EventEnded with this code and detail.
	// Further calls have no effect. It does not wait for the network.
	Close(code, detail string)
	// Done is closed when the session has ended, for any reason.
	Done() <-chan struct{}
}

// A Layered is a Session whose viewer may select a layer of a simulcast. A Session need not
// implement it.
type Layered interface {
	Layers() []Layer
	// SelectLayer fixes the layer; "" selects automatically. It returns ErrNotFound for an unknown
	// layer.
	SelectLayer(encodingID string) error
	// FitHeight sets the height of the displayed video in lines, which limits the automatic
	// selection. 0 means unknown.
	FitHeight(lines int)
}

// A HighestFirst is a Session that can start at the highest layer of a simulcast and step down.
// Other sessions start at the lowest. A Session need not implement it.
type HighestFirst interface {
	// StartHighest starts at the highest layer. It is only called before the viewer receives the
	// answer.
	StartHighest()
}

// A Playable is a Session whose sound and picture can be paused separately. A Session need not
// implement it.
type Playable interface {
	// Play resumes or pauses the sound or the picture with a certain mid. It returns ErrNotFound
	// for an unknown mid.
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
