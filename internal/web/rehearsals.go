package web

import (
	"errors"
	"io"
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// maxUplink limits the upload that measures the speed of a network connection. It is the size of
// several seconds at the highest bitrate that the dock recommends.
const maxUplink = 4 << 20

// rehearsals serves the tokens of rehearsals. The measurements of the stage are at GET
// /api/tokens/{participant}.
type rehearsals struct {
	control *access.Control
	client  clientOf
}

func (s *rehearsals) routes(a *adapter) []route {
	return []route{
		{"POST /api/rehearsals", a.api(access.ScopeAccount, s.begin)},
		{"POST /api/rehearsals/{participant}/uplink", a.api(access.ScopeAccount, s.uplink)},
	}
}

func (s *rehearsals) begin(r *http.Request, who access.Principal) (any, error) {
	made, err := s.control.Rehearse(r.Context(), who, s.client(r).Address)
	if err != nil {
		return nil, err
	}
	return created(Rehearsal{Publish: tokenOf(made.Publish), View: tokenOf(made.View)}), nil
}

// uplink reads the body and discards it. The page measures the time of the request.
func (s *rehearsals) uplink(r *http.Request, who access.Principal) (any, error) {
	id := stage.ParticipantID(r.PathValue("participant"))
	if err := s.control.Rehearses(r.Context(), who, id); err != nil {
		return nil, err
	}
	_, err := io.Copy(io.Discard, http.MaxBytesReader(nil, r.Body, maxUplink))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, stage.Errorf(stage.ErrInvalid,
			"An upload must have at most %d bytes.", maxUplink)
	case err != nil:
		return nil, stage.Errorf(stage.ErrInvalid, "The upload did not arrive in full.").
			WithCause(err)
	}
	return reply{status: http.StatusNoContent}, nil
}
