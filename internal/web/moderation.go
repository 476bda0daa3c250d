package web

import (
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

type (
	// A V1Refusal is a refusal, with the name of the user, or of the guest.
	V1Refusal struct {
		V1Event
		Name  string `json:"name,omitempty"`
		Guest bool   `json:"guest,omitempty"` // userId is the owner of the guest link
	}
	// A V1Bar is a bar in force: it keeps a user off a stage.
	V1Bar struct {
		User   Person    `json:"user"`
		Stage  stage.ARN `json:"stage"`
		Since  time.Time `json:"since"`
		Reason string    `json:"reason"`
		By     string    `json:"by,omitempty"` // the person who barred the user, if known
	}
	// A V1Bars is a page of bars, newest first.
	V1Bars struct {
		Bars []V1Bar `json:"bars"`
		Next string  `json:"next,omitempty"`
	}
	// A V1Refusals is a page of refusals, newest first.
	V1Refusals struct {
		Refusals []V1Refusal `json:"refusals"`
		Next     string      `json:"next,omitempty"`
	}
)

// moderation serves refusals, kicks, the roles of guests, and bars.
type moderation struct{ rules *access.Moderation }

func (m moderation) refusals(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	list, err := m.rules.Refusals(r.Context(), who, stage.ARN(r.URL.Query().Get("stage")), p)
	if err != nil {
		return nil, err
	}
	var ids []access.UserID
	var participants []stage.ParticipantID
	for _, e := range list.Items {
		ids, participants = append(ids, e.User), append(participants, e.Participant)
	}
	names, err := m.rules.NamesOf(r.Context(), who, ids...)
	if err != nil {
		return nil, err
	}
	guests, err := m.rules.GuestsOf(r.Context(), who, participants...)
	return V1Refusals{mapped(list.Items, func(e access.StoredEvent) V1Refusal {
		guest, isGuest := guests[e.Participant]
		if isGuest {
			return V1Refusal{v1Event(e), guest, true}
		}
		return V1Refusal{v1Event(e), names[e.User], false}
	}), list.Next}, err
}

// kick disconnects a participant. With "bar" the server also refuses the user from then on.
func (m moderation) kick(r *http.Request, who access.Principal) (any, error) {
	in, err := decodeIfAny[Removal](r)
	if err != nil {
		return nil, err
	}
	kick := m.rules.Kick
	if in.Bar {
		kick = m.rules.KickAndBar
	}
	return nil, kick(r.Context(), who, stageARN(r),
		stage.ParticipantID(r.PathValue("participant")), in.Reason)
}

// role promotes or demotes a guest.
func (m moderation) role(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[GuestRole](r)
	if err != nil {
		return nil, err
	}
	id := stage.ParticipantID(r.PathValue("participant"))
	return nil, m.rules.SetGuestRole(r.Context(), who, stageARN(r), id, in.Role)
}

func (m moderation) bars(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	list, err := m.rules.Bars(r.Context(), who, stage.ARN(r.URL.Query().Get("stage")), p)
	return V1Bars{mapped(list.Items, func(b access.Bar) V1Bar {
		return V1Bar{Person{ID: b.User, Name: b.Name}, b.Stage, b.At.UTC(), b.Reason, b.By}
	}), list.Next}, err
}

func (m moderation) unbar(r *http.Request, who access.Principal) (any, error) {
	return nil, m.rules.Unbar(r.Context(), who, userID(r), stageARN(r))
}
