package whip

import (
	"encoding/json"
	"net/http"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// layers lists the layers of a subscription, or chooses one: {"mediaId":"1","encodingId":"low"}, {} for automatic, and of our
// own {"height":180} for automatic up to the size at which the picture is shown.
// The URL is the secret here; the SDK's token may have been exchanged since.
func (h *Handler) layers(secret string) door {
	return h.control(secret, func(w http.ResponseWriter, r *http.Request, s *session) error {
		layered, ok := s.media.(Layered)
		if !ok {
			return errNoSession()
		}
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			return json.NewEncoder(w).Encode(map[string][]Layer{"layers": append([]Layer{}, layered.Layers()...)})
		}
		var choice struct {
			EncodingID string `json:"encodingId"`
			Height     int    `json:"height"`
		}
		if err := readJSON(w, r, &choice); err != nil {
			return err
		}
		if choice.Height < 0 {
			return stage.Errorf(stage.ErrInvalid, "The height is the number of lines at which the picture is shown.").WithCode("bad_json")
		}
		layered.FitHeight(choice.Height)
		return layered.SelectLayer(choice.EncodingID)
	})
}

// playback pauses media and goes on with them: {"pause":["1"]}, {"play":["1"]}, by mid.
func (h *Handler) playback(secret string) door {
	return h.control(secret, func(w http.ResponseWriter, r *http.Request, s *session) error {
		playable, ok := s.media.(Playable)
		if !ok {
			return errNoSession()
		}
		var order struct{ Play, Pause []string }
		if err := readJSON(w, r, &order); err != nil {
			return err
		}
		return playAll(playable, order.Play, order.Pause)
	})
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

func (h *Handler) control(secret string, act func(http.ResponseWriter, *http.Request, *session) error) door {
	return func(w http.ResponseWriter, r *http.Request) {
		s, ok := h.sessions.find(secret)
		err := errNoSession()
		if ok {
			err = act(w, r, s)
		}
		if err != nil {
			h.fail(w, r, stage.Participant{}, err)
		}
	}
}

func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	text, err := readBody(w, r, maxSmall)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return errJSON()
	}
	return nil
}
