package feed

import (
	"encoding/json"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// The JSON of event streams. Package web describes it in docs/http.md and gives it to TypeScript.
type (
	// A StageEvent is something that happened to a participant.
	StageEvent struct {
		ID            int64               `json:"id"`
		Time          time.Time           `json:"time"`
		Kind          stage.EventKind     `json:"kind"`
		Stage         stage.ARN           `json:"stage"`
		ParticipantID stage.ParticipantID `json:"participantId"`
		Code          string              `json:"code"`
		Detail        string              `json:"detail"`
		// Claimed marks an event of a token with a wrong signature. The event may explain a
		// failure, but its content may be forged.
		Claimed bool `json:"claimed,omitempty"`
		// ByRole is the role of the person who kicked the participant. It is set if the session
		// ended by a kick.
		ByRole access.Role `json:"byRole,omitempty"`
	}
	// A PresenceEvent lists who is on a stage.
	PresenceEvent struct {
		Stage        stage.ARN  `json:"stage"`
		Participants []Presence `json:"participants"`
	}
	// A PresencesEvent lists who is on several stages.
	PresencesEvent struct {
		Complete bool            `json:"complete"` // the user's other stages are empty
		Stages   []PresenceEvent `json:"stages"`
	}
	// A Presence is a participant on a stage, as a certain viewer sees it.
	Presence struct {
		ParticipantID stage.ParticipantID `json:"participantId"`
		UserID        string              `json:"userId"`
		Name          string              `json:"name"`
		You           bool                `json:"you"`
		Guest         bool                `json:"guest,omitempty"` // has no account
		Since         time.Time           `json:"since"`
		Publishing    bool                `json:"publishing"`
		AudioMuted    bool                `json:"audioMuted"`
		VideoMuted    bool                `json:"videoMuted"`
		Viewers       int                 `json:"viewers"`
		Reception     *stage.Reception    `json:"reception,omitempty"`
	}
	// A Dock is an open dock of an account.
	Dock struct {
		ID            string              `json:"id"`
		Since         time.Time           `json:"since"`
		Address       string              `json:"address"`
		Agent         string              `json:"agent"`
		OBS           *OBSState           `json:"obs"`
		Live          bool                `json:"live"`
		ParticipantID stage.ParticipantID `json:"participantId,omitempty"`
	}
	// An OBSState is the state of OBS that a dock reports.
	OBSState struct {
		Version   string    `json:"version,omitempty"`
		WebSocket string    `json:"websocket,omitempty"`
		Platform  string    `json:"platform,omitempty"`
		State     string    `json:"state,omitempty"`
		Findings  []Finding `json:"findings,omitempty"`
	}
	// A Finding is one setting of OBS that the dock checked.
	Finding struct {
		ID    string `json:"id"`
		Level string `json:"level"` // "fix", "person" or "ok"
		Text  string `json:"text"`
	}
	// A DocksEvent lists the open docks of the account. When a dock changes later, the page
	// receives only that dock.
	DocksEvent struct {
		Docks []Dock `json:"docks"`
	}
	// A DockClosed names a dock that was closed or has gone silent.
	DockClosed struct {
		ID string `json:"id"`
	}
	// A ChatMessage is a message in the chat of a stage.
	ChatMessage struct {
		ID     string    `json:"id"`
		Time   time.Time `json:"time"`
		UserID string    `json:"userId"`
		Name   string    `json:"name"`
		Text   string    `json:"text"`
	}
	// A ChatRemoved removes a message.
	ChatRemoved struct {
		ID string `json:"id"`
	}
	// A Bye ends a stream.
	Bye struct {
		Reason string `json:"reason"` // "signed_out" or "stopping"
	}
	// A Person is a user's ID and name. A guest's ID is the user ID of the token.
	Person struct {
		ID   access.UserID `json:"id"`
		Name string        `json:"name"`
	}
)

// NewStageEvent returns the JSON form of a stored event.
func NewStageEvent(e access.StoredEvent) StageEvent {
	return StageEvent{
		ID: e.ID, Time: e.Time.UTC(), Kind: e.Kind, Stage: e.Stage,
		ParticipantID: e.Participant, Code: e.Code, Detail: e.Detail, Claimed: e.Claimed(),
		ByRole: e.By.Role,
	}
}

// A Viewer is the person for whom presence is rendered.
type Viewer struct {
	User access.UserID
	// SeesReception says whether the viewer sees the Reception of every participant, as operators
	// and moderators do.
	SeesReception bool
	// View is the view of a viewing key. Only the participants of the view are visible, and none of
	// them is marked as the viewer.
	View stage.View
}

// NewPresence returns a participant as the viewer sees it. Only the participant's own user
// and viewers with SeesReception see its Reception.
func NewPresence(p stage.Presence, viewer Viewer) Presence {
	out := Presence{
		ParticipantID: p.Participant.ID, UserID: p.Participant.UserID, Name: p.Participant.Name(),
		Guest: access.IsGuest(p.Participant), Since: p.Since.UTC(), Publishing: p.Publishing,
		AudioMuted: p.AudioMuted, VideoMuted: p.VideoMuted, Viewers: p.Viewers,
	}
	if viewer.View != "" {
		return out
	}
	out.You = viewer.User != "" && p.Participant.UserID == string(viewer.User)
	if out.You || viewer.SeesReception {
		out.Reception = p.Reception
	}
	return out
}

// NewPresences returns the participants that the viewer may see.
func NewPresences(list []stage.Presence, viewer Viewer) []Presence {
	out := make([]Presence, 0, len(list))
	for _, p := range list {
		if viewer.View == "" || p.Publishing && viewer.View.Shows(p.Participant) {
			out = append(out, NewPresence(p, viewer))
		}
	}
	return out
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("an event of our own cannot be written as JSON: " + err.Error())
	}
	return text
}
