package web

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A visitor is somebody at a page of one stage: signed in, with a viewing key, or with a participant token. Who has only a
// token is the person that the token says, unless a viewing key asked for it: then it is that key's view, and nobody.
type visitor struct {
	user      access.User // of a view: whose key it is
	view      stage.View  // of a viewing key; empty for people
	moderates bool
}

// posts says whether the visitor is somebody who can say something.
func (v visitor) posts() bool { return v.view == "" }

// visitor finds who asks, and whether they may be at the stage that the path names.
func (s *Server) visitor(r *http.Request) (visitor, error) {
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

// visitorByLogin lets in who has a grant. A broadcaster who may publish is a host there, and moderates.
func (s *Server) visitorByLogin(r *http.Request) (visitor, error) {
	who, err := s.login(r)
	if err != nil {
		return visitor{}, err
	}
	stages, err := s.Control.Stages(r.Context(), who.User)
	if err != nil {
		return visitor{}, err
	}
	for _, a := range stages {
		if a.Stage.ARN == stageARN(r) {
			host := who.User.Role == access.Operator || a.Capabilities.Has(stage.Publish)
			return visitor{user: who.User, moderates: host}, nil
		}
	}
	return visitor{}, notYourStage()
}

func (s *Server) visitorByToken(r *http.Request, token stage.Secret) (visitor, error) {
	verify := s.Control.AuthenticateToken // AWS keeps the keys of its tokens to itself
	if stageARN(r).Local() {
		verify = s.Tokens.Verify
	}
	p, err := verify(r.Context(), token)
	if err != nil {
		return visitor{}, err
	}
	if p.Stage != stageARN(r) {
		return visitor{}, notYourStage()
	}
	// IVS lets a token have no user id; then the participant is the person.
	id := cmp.Or(p.UserID, string(p.ID))
	return visitor{user: access.User{ID: access.UserID(id), Name: p.Name()}, view: p.View}, nil
}

// visitorByKey lets a browser source see, and nothing else.
func (s *Server) visitorByKey(r *http.Request, secret stage.Secret) (visitor, error) {
	key, err := s.Control.AuthenticateViewKey(r.Context(), secret)
	if err != nil {
		return visitor{}, err
	}
	if key.Stage != stageARN(r) {
		return visitor{}, notYourStage()
	}
	return visitor{user: access.User{ID: key.Owner.ID, Name: key.Owner.Name}, view: key.View}, nil
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
