package web

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/obs/script"
)

// scriptLife is how long the enrolment code in a script is valid: long enough to add the script to
// OBS and to restart OBS.
const scriptLife = 30 * time.Minute

// moveLife is the life of an enrolment code for a dock that moves to another address of the server.
// It may be short, since the dock's page loads the new address at once.
const moveLife = 5 * time.Minute

// scripts serves the script for OBS, and enrolment codes for docks that the script has paired.
type scripts struct {
	enrolments *access.Enrolments
	serverID   func(context.Context) (string, error)
	public     *url.URL
	now        func() time.Time
}

func (s *scripts) routes(a *adapter) []route {
	return []route{
		{"GET /api/obs/script", a.api(access.ScopeTokens, s.obs)},
		{"POST /api/enrolments", a.api(access.ScopeAccount, s.enrolment)},
	}
}

// enrolment creates a code that signs in a dock of the caller at another address of this server.
// Browsers do not send the login's cookie to that address.
func (s *scripts) enrolment(r *http.Request, who access.Principal) (any, error) {
	code, until, err := s.enrolments.Create(r.Context(), who, who.User.ID, moveLife)
	return created(Enrolment{code.Reveal(), until.UTC()}), err
}

// obs returns the script that pairs an OBS with the dock of the caller. HEAD does not create an
// enrolment code, because its response has no script to contain the code.
func (s *scripts) obs(r *http.Request, who access.Principal) (any, error) {
	id, err := s.serverID(r.Context())
	if err != nil {
		return nil, err
	}
	made := script.Script{
		Server: s.public, ID: id, User: who.User.Name, Expires: s.now().Add(scriptLife),
		Language: r.URL.Query().Get("lang"),
	}
	if _, err := made.Lua(); err != nil || r.Method != http.MethodGet {
		return attachment{script.Name, "text/x-lua", ""}, err
	}
	if made.Code, made.Expires, err = s.enrolments.Create(
		r.Context(), who, who.User.ID, scriptLife); err != nil {
		return nil, err
	}
	text, err := made.Lua()
	return attachment{script.Name, "text/x-lua", text}, err
}
