package web

import (
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// LoginID names the login behind a request, or is "".
func (s *Server) LoginID(r *http.Request) string {
	who, err := s.principalFor(r, access.ScopeAccount)
	if err != nil {
		return ""
	}
	return who.CredentialID
}

// Viewer is the participant as whom a signed-in person watches a publisher: one who may subscribe to the publisher's stage.
func (s *Server) Viewer(r *http.Request, publisher stage.ParticipantID) (stage.Participant, error) {
	who, err := s.principalFor(r, access.ScopeAccount)
	if err != nil {
		return stage.Participant{}, err
	}
	stages, err := s.Control.Stages(r.Context(), who)
	if err != nil {
		return stage.Participant{}, err
	}
	for _, a := range stages {
		if !a.Capabilities.Has(stage.Subscribe) || !a.Stage.ARN.Local() {
			continue
		}
		there, err := s.publishesOn(r, a.Stage.ARN, publisher)
		if err != nil {
			return stage.Participant{}, err
		}
		if there {
			return viewerOn(a.Stage.ARN, who.User), nil
		}
	}
	return stage.Participant{}, stage.Errorf(stage.ErrNotFound, "Nobody with this participant ID publishes on a stage that you may watch.").WithCode("not_publishing")
}

func (s *Server) publishesOn(r *http.Request, arn stage.ARN, publisher stage.ParticipantID) (bool, error) {
	present, err := s.Stage.Participants(r.Context(), arn)
	for _, p := range present {
		if p.Participant.ID == publisher {
			return true, err
		}
	}
	return false, err
}

// viewerOn is a participant of its own for each page: two tabs of one person are two viewers.
func viewerOn(arn stage.ARN, who access.User) stage.Participant {
	return stage.Participant{
		ID: stage.ParticipantID(stage.NewID()), Stage: arn, UserID: string(who.ID),
		Attributes: map[string]string{"name": who.Name}, Capabilities: stage.Subscribe,
	}
}
