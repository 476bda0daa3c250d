package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const cookieName = "stagedoor_login"

// principal authenticates a request.
func (s *Server) principal(r *http.Request) (access.Principal, error) {
	return s.guarded(r, func(ctx context.Context) (access.Principal, error) {
		p := presented(r)
		p.From = s.client(r)
		return s.Control.Authenticate(ctx, p)
	})
}

// guarded authenticates a request under the limit for wrong bearers. Cookies are not limited: a
// page must learn that its login has ended, whatever others behind the same address send.
func (s *Server) guarded(
	r *http.Request, authenticate func(context.Context) (access.Principal, error),
) (who access.Principal, err error) {
	if bearer(r).Empty() {
		return authenticate(r.Context())
	}
	err = s.Guard.Verify(r.Context(), s.Proxies.Client(r), func() error {
		who, err = authenticate(r.Context())
		return err
	})
	return who, err
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
