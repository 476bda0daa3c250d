package web

import (
	"crypto/rand"
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// browserName is the name of the cookie by which the throttle recognizes a browser that has
	// signed in before.
	browserName = "stagedoor_browser"
	browserLife = 400 * 24 * 60 * 60 // seconds; Chromium keeps no cookie longer
	browserSize = 26                 // characters of rand.Text
)

// signIns serves sign-in with a password or an invite, and the login of the caller.
type signIns struct {
	*adapter
	profiles profiles
	observe  func(way string, err error) // receives the result of each attempt; may be nil
}

func (s *signIns) routes() []route {
	others := logins{logins: s.control.Logins, forget: s.cookies.forget}
	return []route{
		{"POST /api/setup", s.open(s.setUp)},
		{"POST /api/setup/check", s.open(s.checkSetUp)},
		{"POST /api/login", s.open(s.logIn)},
		{"DELETE /api/login", s.api(access.ScopeAccount, s.logOut)},
		{"DELETE /api/logins", s.api(access.ScopeAccount, s.logOutEverywhere)},
		{"GET /api/logins", s.api(access.ScopeAccount, others.list)},
		{"DELETE /api/logins/{id}", s.api(access.ScopeAccount, others.end)},
		{"GET /api/me", s.api(access.ScopeSelf, s.me)},
		{"POST /api/password", s.api(access.ScopeAccount, s.changePassword)},
		{"POST /api/invite/name", s.open(s.inviteName)},
		{"POST /api/invite", s.open(s.acceptInvite)},
	}
}

// signingIn returns the client of a request to sign in. A browser without an identifier gets a new
// identifier.
func (s *signIns) signingIn(r *http.Request) access.Client {
	from := s.client(r)
	from.Browser = stage.NewSecret(rand.Text())
	if cookie, err := r.Cookie(browserName); err == nil && len(cookie.Value) == browserSize {
		from.Browser = stage.NewSecret(cookie.Value)
	}
	return from
}

// signedIn responds with the cookies of a login and of its browser.
func (s *signIns) signedIn(
	r *http.Request, status int, from access.Client, login access.Principal, secret stage.Secret,
) (any, error) {
	me, err := s.profiles.of(r.Context(), login)
	if err != nil {
		return nil, err
	}
	return reply{status: status, body: me, cookies: []*http.Cookie{
		s.cookies.login(r, secret.Reveal(), login.ExpiresAt),
		s.cookies.cookie(r, browserName, "/api", from.Browser.Reveal(), browserLife),
	}}, nil
}

// attempted reports the result of an attempt to sign in.
func (s *signIns) attempted(way string, err error) {
	if s.observe != nil {
		s.observe(way, err)
	}
}

func (s *signIns) setUp(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[SetUp](r)
	if err != nil {
		return nil, err
	}
	from := s.signingIn(r)
	login, secret, err := s.control.Setup.CreateOperator(
		r.Context(), stage.NewSecret(in.Code), in.Name, stage.NewSecret(in.Password), from)
	s.attempted("setup", err)
	if err != nil {
		return nil, err
	}
	return s.signedIn(r, http.StatusCreated, from, login, secret)
}

func (s *signIns) checkSetUp(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[InviteCode](r)
	if err != nil {
		return nil, err
	}
	return nil, s.control.Setup.Check(r.Context(), stage.NewSecret(in.Code))
}

func (s *signIns) logIn(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[Credentials](r)
	if err != nil {
		return nil, err
	}
	from := s.signingIn(r)
	login, secret, err := s.control.PasswordLogins.LogIn(r.Context(), in.Name,
		stage.NewSecret(in.Password), from)
	s.attempted("password", err)
	if err != nil {
		return nil, err
	}
	return s.signedIn(r, http.StatusOK, from, login, secret)
}

func (s *signIns) logOut(r *http.Request, who access.Principal) (any, error) {
	if err := s.control.Logins.LogOut(r.Context(), who); err != nil {
		return nil, err
	}
	return reply{cookies: []*http.Cookie{s.cookies.forget(r)}}, nil
}

func (s *signIns) logOutEverywhere(r *http.Request, who access.Principal) (any, error) {
	if err := s.control.Logins.EndAll(r.Context(), who, who.User.ID); err != nil {
		return nil, err
	}
	return reply{cookies: []*http.Cookie{s.cookies.forget(r)}}, nil
}

func (s *signIns) me(r *http.Request, who access.Principal) (any, error) {
	return s.profiles.of(r.Context(), who)
}

func (s *signIns) changePassword(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[PasswordChange](r)
	if err != nil {
		return nil, err
	}
	return nil, s.control.PasswordLogins.Change(
		r.Context(), who, stage.NewSecret(in.Current), stage.NewSecret(in.New), in.EndKeys)
}

func (s *signIns) inviteName(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[InviteCode](r)
	if err != nil {
		return nil, err
	}
	name, err := s.control.Invites.Name(r.Context(), stage.NewSecret(in.Code))
	return InviteName{name}, err
}

func (s *signIns) acceptInvite(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[AcceptInvite](r)
	if err != nil {
		return nil, err
	}
	from := s.signingIn(r)
	login, secret, err := s.control.Invites.Accept(
		r.Context(), stage.NewSecret(in.Code), stage.NewSecret(in.Password), from)
	s.attempted("invite", err)
	if err != nil {
		return nil, err
	}
	return s.signedIn(r, http.StatusCreated, from, login, secret)
}
