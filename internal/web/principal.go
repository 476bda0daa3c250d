package web

import (
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const cookieName = "stagedoor_login"

// principal authenticates a request.
func (s *Server) principal(r *http.Request) (access.Principal, error) {
	return s.Control.Authenticate(r.Context(), presented(r))
}

// principalFor authenticates a request for which the credential must allow a scope.
func (s *Server) principalFor(r *http.Request, scope access.Scope) (access.Principal, error) {
	who, err := s.principal(r)
	if err != nil {
		return access.Principal{}, err
	}
	return who, who.Require(scope)
}

// onStage authenticates a request to the stage in its path.
func (s *Server) onStage(r *http.Request) (access.Principal, error) {
	who, err := s.principal(r)
	if err != nil {
		return access.Principal{}, err
	}
	return s.Control.OnStage(r.Context(), who, stageARN(r))
}

// presented returns the credentials that a request carries.
func presented(r *http.Request) access.Presented {
	p := access.Presented{Bearer: bearer(r)}
	if cookie, err := r.Cookie(cookieName); err == nil {
		p.Login = stage.NewSecret(cookie.Value)
	}
	return p
}

// keep copies credentials out of the request that carried them, whose memory they would hold.
func keep(p access.Presented) access.Presented {
	return access.Presented{
		Login:  stage.NewSecret(strings.Clone(p.Login.Reveal())),
		Bearer: stage.NewSecret(strings.Clone(p.Bearer.Reveal())),
	}
}

// bearer returns the secret in the Authorization header of a request, or an empty one.
func bearer(r *http.Request) stage.Secret {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return stage.Secret{}
	}
	return stage.NewSecret(strings.TrimSpace(secret))
}
