package web

import (
	"crypto/rand"
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// signedIn responds with the cookies of a login and of its browser. They have a Max-Age since OBS
// forgets session cookies when it exits.
func (s *Server) signedIn(
	r *http.Request, status int, from access.Client, login access.Principal, secret stage.Secret,
) (any, error) {
	me, err := s.meOf(r.Context(), login)
	if err != nil {
		return nil, err
	}
	return reply{status: status, body: me, cookies: []*http.Cookie{
		s.cookie(r, secret.Reveal(), s.lifeLeft(login)), s.browserCookie(r, from.Browser),
	}}, nil
}

// lifeLeft returns the seconds until a login expires.
func (s *Server) lifeLeft(login access.Principal) int {
	return int(login.ExpiresAt.Sub(s.Now()).Seconds())
}

func (s *Server) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || s.PublicURL.Scheme == "https",
	}
}

// forget takes the cookie of a login out of its browser.
func (s *Server) forget(r *http.Request) *http.Cookie { return s.cookie(r, "", -1) }

const (
	// browserName is the cookie by which the throttle recognizes a browser that has signed in
	// before.
	browserName = "stagedoor_browser"
	browserLife = 400 * 24 * 60 * 60 // seconds; Chromium keeps cookies no longer
	browserSize = 26                 // characters of rand.Text
)

// signingIn is the client of a request that signs in, with a new identifier for a browser without
// one.
func (s *Server) signingIn(r *http.Request) access.Client {
	from := s.client(r)
	from.Browser = stage.NewSecret(rand.Text())
	if cookie, err := r.Cookie(browserName); err == nil && len(cookie.Value) == browserSize {
		from.Browser = stage.NewSecret(cookie.Value)
	}
	return from
}

func (s *Server) browserCookie(r *http.Request, browser stage.Secret) *http.Cookie {
	c := s.cookie(r, browser.Reveal(), browserLife)
	c.Name, c.Path = browserName, "/api"
	return c
}

func (s *Server) setUp(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[SetUp](r)
	if err != nil {
		return nil, err
	}
	from := s.signingIn(r)
	login, secret, err := s.Control.SetUp(
		r.Context(), stage.NewSecret(in.Code), in.Name, stage.NewSecret(in.Password), from)
	if err != nil {
		return nil, err
	}
	return s.signedIn(r, http.StatusCreated, from, login, secret)
}

func (s *Server) logIn(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[Credentials](r)
	if err != nil {
		return nil, err
	}
	from := s.signingIn(r)
	login, secret, err := s.Control.LogIn(r.Context(), in.Name, stage.NewSecret(in.Password), from)
	s.observe("password", err)
	if err != nil {
		return nil, err
	}
	return s.signedIn(r, http.StatusOK, from, login, secret)
}

func (s *Server) logOut(r *http.Request, who access.Principal) (any, error) {
	if err := s.Control.LogOut(r.Context(), who); err != nil {
		return nil, err
	}
	return reply{cookies: []*http.Cookie{s.forget(r)}}, nil
}

func (s *Server) logOutEverywhere(r *http.Request, who access.Principal) (any, error) {
	if err := s.Control.EndLogins(r.Context(), who, who.User.ID); err != nil {
		return nil, err
	}
	return reply{cookies: []*http.Cookie{s.forget(r)}}, nil
}

func (s *Server) me(r *http.Request, who access.Principal) (any, error) {
	return s.meOf(r.Context(), who)
}

func (s *Server) changePassword(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[PasswordChange](r)
	if err != nil {
		return nil, err
	}
	return nil, s.Control.ChangePassword(r.Context(), who, stage.NewSecret(in.Current), stage.NewSecret(in.New), in.EndKeys)
}

func (s *Server) inviteName(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[InviteCode](r)
	if err != nil {
		return nil, err
	}
	name, err := s.Control.InviteName(r.Context(), stage.NewSecret(in.Code))
	return InviteName{name}, err
}

func (s *Server) acceptInvite(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[AcceptInvite](r)
	if err != nil {
		return nil, err
	}
	from := s.signingIn(r)
	login, secret, err := s.Control.AcceptInvite(
		r.Context(), stage.NewSecret(in.Code), stage.NewSecret(in.Password), from)
	if err != nil {
		return nil, err
	}
	return s.signedIn(r, http.StatusCreated, from, login, secret)
}

func (s *Server) accessKeys(r *http.Request, who access.Principal) (any, error) {
	keys, err := s.Control.AccessKeys(r.Context(), who)
	if err != nil {
		return nil, err
	}
	out := AccessKeys{Keys: []AccessKey{}}
	for _, k := range keys {
		out.Keys = append(out.Keys, accessKey(k))
	}
	return out, nil
}

func (s *Server) createAccessKey(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewKey](r)
	if err != nil {
		return nil, err
	}
	key, secret, err := s.Control.CreateAccessKey(r.Context(), who, in.Name)
	if err != nil {
		return nil, err
	}
	return created(NewAccessKey{AccessKey: accessKey(key), Key: secret.Reveal()}), nil
}

func (s *Server) revokeAccessKey(r *http.Request, who access.Principal) (any, error) {
	return nil, s.Control.RevokeAccessKey(r.Context(), who, r.PathValue("id"))
}
