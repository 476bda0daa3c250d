package web

import (
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func (s *Server) listStages(r *http.Request, who access.Login) (any, error) {
	if who.User.Role != access.Operator {
		return nil, stage.Errorf(stage.ErrDenied, "Only operators may do this.")
	}
	stages, err := s.Control.Stages(r.Context(), who.User)
	if err != nil {
		return nil, err
	}
	out := Stages{Stages: []Stage{}}
	for _, a := range stages {
		present, err := s.Stage.Participants(r.Context(), a.Stage.ARN)
		if err != nil {
			// One stage out of reach does not hide the others.
			s.Log.Warn("who is on the stage is not known", "stage", a.Stage.ARN, "err", err)
		}
		out.Stages = append(out.Stages, Stage{
			ARN: a.Stage.ARN, Name: a.Stage.Name, Served: served(a.Stage.ARN), Limits: Limits(a.Limits), Participants: presences(present, who.User),
		})
	}
	return out, nil
}

func (s *Server) addStage(r *http.Request, who access.Login) (any, error) {
	in, err := decode[NewStage](r)
	if err != nil {
		return nil, err
	}
	st, err := s.Control.AddLocalStage(r.Context(), who.User, in.Name)
	if err != nil {
		return nil, err
	}
	return created(Stage{ARN: st.ARN, Name: st.Name, Served: served(st.ARN), Limits: Limits(access.DefaultLimits()), Participants: []Presence{}}), nil
}

func (s *Server) changeStage(r *http.Request, who access.Login) (any, error) {
	in, err := decode[StageChange](r)
	if err != nil {
		return nil, err
	}
	return nil, s.Control.UpdateStage(r.Context(), who.User, stageARN(r), in.Name, (*access.Limits)(in.Limits))
}

func (s *Server) removeStage(r *http.Request, who access.Login) (any, error) {
	return nil, s.Control.RemoveStage(r.Context(), who.User, stageARN(r))
}

func (s *Server) kick(r *http.Request, who access.Login) (any, error) {
	reason := ""
	if r.ContentLength != 0 {
		in, err := decode[Removal](r)
		if err != nil {
			return nil, err
		}
		reason = in.Reason
	}
	return nil, s.Control.Kick(r.Context(), who.User, stageARN(r), stage.ParticipantID(r.PathValue("participant")), reason)
}
