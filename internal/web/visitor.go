package web

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// visitor finds who asks, and whether they may be at the stage that the path names.
func (s *Server) visitor(r *http.Request) (access.Visitor, error) {
	secret := bearer(r)
	switch {
	case secret.Empty():
		return s.visitorByLogin(r)
	case strings.Count(secret.Reveal(), ".") == 2: // a JWT (RFC 7515, 3.1); our keys have no dots
		return s.visitorByToken(r, secret)
	default:
		return s.visitorByKey(r, secret)
	}
}

func (s *Server) visitorByLogin(r *http.Request) (access.Visitor, error) {
	who, err := s.login(r)
	if err != nil {
		return access.Visitor{}, err
	}
	return s.Control.Visit(r.Context(), who.User, stageARN(r))
}

func (s *Server) visitorByToken(r *http.Request, token stage.Secret) (access.Visitor, error) {
	verify := s.Control.AuthenticateToken // AWS keeps the keys of its tokens to itself
	if stageARN(r).Local() {
		verify = s.Tokens.Verify
	}
	p, err := verify(r.Context(), token)
	if err != nil {
		return access.Visitor{}, err
	}
	if p.Stage != stageARN(r) {
		return access.Visitor{}, notYourStage()
	}
	// IVS lets a token have no user id; then the participant is the person.
	id := cmp.Or(p.UserID, string(p.ID))
	return access.Visitor{User: access.User{ID: access.UserID(id), Name: p.Name()}, View: p.View}, nil
}

// visitorByKey lets a browser source see, and nothing else.
func (s *Server) visitorByKey(r *http.Request, secret stage.Secret) (access.Visitor, error) {
	key, err := s.Control.AuthenticateViewKey(r.Context(), secret)
	if err != nil {
		return access.Visitor{}, err
	}
	if key.Stage != stageARN(r) {
		return access.Visitor{}, notYourStage()
	}
	return access.Visitor{User: access.User{ID: key.Owner.ID, Name: key.Owner.Name}, View: key.View}, nil
}

func notYourStage() error {
	return stage.Errorf(stage.ErrDenied, "You have no access to this stage; ask the operator for it.").WithCode("no_grant")
}

// bearer is what a request carries in its Authorization header, or empty.
func bearer(r *http.Request) stage.Secret {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return stage.Secret{}
	}
	return stage.NewSecret(strings.TrimSpace(secret))
}
