package whip

import (
	"encoding/json"
	"net/http"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// delete ends a session with the bearer in the header.
func (h *Handler) delete(w http.ResponseWriter, r *http.Request) {
	bearer, err := bearerOf(r)
	h.end(w, r, bearer, err)
}

// beacon ends a session with the bearer in the body.
func (h *Handler) beacon(w http.ResponseWriter, r *http.Request) {
	bearer, err := bearerOfBeacon(w, r)
	h.end(w, r, bearer, err)
}

// end ends a session. If the bearer could not be read, `end` ends nothing and responds with that
// error (err). It responds with success even if the session has just ended by itself: OBS closes
// its peer connection before it sends DELETE, and would otherwise report a failure.
//
// The request needs the bearer that opened the session, or the one that has replaced it in an
// exchange of tokens. The bearer may have expired.
func (h *Handler) end(w http.ResponseWriter, r *http.Request, bearer stage.Secret, err error) {
	if err == nil {
		err = h.endSession(r.PathValue("secret"), bearer)
	}
	if err != nil {
		h.fail(w, r, stage.Participant{}, err)
		return
	}
	w.WriteHeader(http.StatusOK) // RFC 9725, 4.2; OBS accepts no other status
}

func (h *Handler) endSession(secret string, bearer stage.Secret) error {
	owner, known := h.sessions.owner(secret)
	switch {
	case !known:
		return errNoSession()
	case bearer.Empty():
		return stage.Errorf(stage.ErrUnauthorized,
			"A session is ended with the token that opened it.").WithCode("token_missing")
	case !owner.is(bearer):
		return stage.Errorf(stage.ErrDenied,
			"The session was opened with another token.").WithCode("wrong_participant")
	}
	if s, ok := h.sessions.find(secret); ok {
		s.end("deleted", "The broadcaster or viewer ended the session.")
	}
	return nil
}

// A controller changes or reads an open session.
type controller = func(http.ResponseWriter, *http.Request, *session) error

// control returns a handler that calls `act` for the session in the URL. The secret in the URL
// authorizes the request. The bearer is not checked, because the SDK may have exchanged its token
// meanwhile.
func (h *Handler) control(act controller) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := errNoSession()
		if s, ok := h.sessions.find(r.PathValue("secret")); ok {
			err = act(w, r, s)
		}
		if err != nil {
			h.fail(w, r, stage.Participant{}, err)
		}
	}
}

// listLayers lists the layers of a subscription.
func listLayers(w http.ResponseWriter, _ *http.Request, s *session) error {
	layered, ok := s.media.(Layered)
	if !ok {
		return errNoSession()
	}
	w.Header().Set("Content-Type", "application/json")
	list := append([]Layer{}, layered.Layers()...) // never null in JSON
	return json.NewEncoder(w).Encode(map[string][]Layer{"layers": list})
}

// selectLayer selects a layer of a subscription: {"mediaId":"1","encodingId":"low"}, or {} for
// automatic. An extension of Stagedoor, {"height":180}, limits the automatic selection to the size
// of the displayed video.
func selectLayer(w http.ResponseWriter, r *http.Request, s *session) error {
	layered, ok := s.media.(Layered)
	if !ok {
		return errNoSession()
	}
	var choice struct {
		EncodingID string `json:"encodingId"`
		Height     int    `json:"height"`
	}
	if err := readJSON(w, r, &choice); err != nil {
		return err
	}
	if choice.Height < 0 {
		return stage.Errorf(stage.ErrInvalid,
			"height must be the height of the displayed video, in lines.").WithCode("bad_json")
	}
	layered.FitHeight(choice.Height)
	return layered.SelectLayer(choice.EncodingID)
}

// playback pauses and resumes media by mid: {"pause":["1"]}, {"play":["1"]}.
func playback(w http.ResponseWriter, r *http.Request, s *session) error {
	playable, ok := s.media.(Playable)
	if !ok {
		return errNoSession()
	}
	var order struct{ Play, Pause []string }
	if err := readJSON(w, r, &order); err != nil {
		return err
	}
	return playAll(playable, order.Play, order.Pause)
}

func playAll(p Playable, play, pause []string) error {
	for _, mid := range pause {
		if err := p.Play(mid, false); err != nil {
			return err
		}
	}
	for _, mid := range play {
		if err := p.Play(mid, true); err != nil {
			return err
		}
	}
	return nil
}
