package web

import (
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/obs/script"
)

// scriptLife is how long the enrolment code in a script is good: to add it to OBS and to start OBS
// again.
const scriptLife = 30 * time.Minute

// obsScript makes the script that pairs an OBS with the dock of the person who downloads it. The
// code in it is made for a GET alone: HEAD gives nobody a file.
func (s *Server) obsScript(r *http.Request, who access.Principal) (any, error) {
	id, err := s.ServerID(r.Context())
	if err != nil {
		return nil, err
	}
	made := script.Script{
		Server: s.PublicURL, ID: id, User: who.User.Name, Expires: s.Now().Add(scriptLife),
		Language: r.URL.Query().Get("lang"),
	}
	if _, err := made.Lua(); err != nil || r.Method != http.MethodGet {
		return attachment{script.Name, "text/x-lua", ""}, err
	}
	if made.Code, made.Expires, err = s.Control.NewEnrolment(r.Context(), who, who.User.ID, scriptLife); err != nil {
		return nil, err
	}
	text, err := made.Lua()
	return attachment{script.Name, "text/x-lua", text}, err
}
