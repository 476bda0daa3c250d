package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"rsc.io/qr"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/oidc"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// SignIn is how people may sign in.
type SignIn struct {
	Provider  *oidc.Provider // nil: with no provider
	Name      string         // of the provider, as the button shows it
	Passwords bool           // whether name and password are accepted
	// Observe receives the result of each attempt, by its way; it may be nil.
	Observe func(way string, err error)
}

// pendingCookie keeps a sign-in that is under way at the provider.
const pendingCookie = "stagedoor_oidc"

type (
	// SignInWays tells a page how people may sign in.
	SignInWays struct {
		Passwords bool   `json:"passwords"`
		Provider  string `json:"provider,omitempty"` // its name; absent: there is none
		Codes     bool   `json:"codes"`
	}
	// A DeviceCode is what a dock shows while it waits (RFC 8628 3.2).
	DeviceCode struct {
		DeviceCode              string `json:"deviceCode"`
		UserCode                string `json:"userCode"`
		VerificationURI         string `json:"verificationUri"`
		VerificationURIComplete string `json:"verificationUriComplete"`
		QR                      string `json:"qr"` // a data URL of the address as a picture
		ExpiresIn               int    `json:"expiresIn"`
		Interval                int    `json:"interval"`
	}
	// A DeviceToken asks whether a code was approved.
	DeviceToken struct {
		DeviceCode string `json:"deviceCode"`
	}
	// A UserCode names a dock that waits.
	UserCode struct {
		UserCode string `json:"userCode"`
	}
	// A DeviceRequest describes the dock to the person who approves it.
	DeviceRequest struct {
		UserCode  string `json:"userCode"`
		Agent     string `json:"agent"`
		Address   string `json:"address"`
		CreatedAt string `json:"createdAt"`
	}
	// An EnrolCode signs in one dock.
	EnrolCode struct {
		Code string `json:"code"`
	}
)

// observe counts an attempt to sign in.
func (s *Server) observe(way string, err error) {
	if s.SignIn.Observe != nil {
		s.SignIn.Observe(way, err)
	}
}

func (s *Server) identityRoutes() []route {
	return []route{
		{"GET /api/sign-in", s.open(s.signInWays)},
		{"GET /api/oidc/login", http.HandlerFunc(s.beginOIDC)},
		{"GET /api/oidc/callback", http.HandlerFunc(s.finishOIDC)},
		{"GET /api/oidc/logout", http.HandlerFunc(s.leaveOIDC)},
		{"POST /api/device", s.open(s.beginDevice)},
		{"POST /api/device/token", s.open(s.finishDevice)},
		{"POST /api/device/lookup", s.api(access.ScopeAccount, s.lookUpDevice)},
		{"POST /api/device/approve", s.api(access.ScopeAccount, s.approveDevice)},
		{"POST /api/device/deny", s.api(access.ScopeAccount, s.denyDevice)},
		{"POST /api/enrol", s.open(s.enrol)},
	}
}

func (s *Server) signInWays(*http.Request, access.Principal) (any, error) {
	ways := SignInWays{Passwords: s.SignIn.Passwords, Codes: true}
	if s.SignIn.Provider != nil {
		ways.Provider = s.SignIn.Name
	}
	return ways, nil
}

// beginOIDC sends the browser to the provider.
func (s *Server) beginOIDC(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	if s.SignIn.Provider == nil {
		s.backWith(w, r, next, stage.Errorf(stage.ErrNotFound, "No provider is set up.").WithCode("oidc_off"))
		return
	}
	address, pending, err := s.SignIn.Provider.Begin(r.Context(), next)
	if err != nil {
		s.backWith(w, r, next, err)
		return
	}
	cookie := s.cookie(r, pending.Encode(), int(oidc.PendingLife.Seconds()))
	cookie.Name, cookie.Path = pendingCookie, "/api/oidc"
	http.SetCookie(w, cookie)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// finishOIDC takes the browser back from the provider. The cookie serves once.
func (s *Server) finishOIDC(w http.ResponseWriter, r *http.Request) {
	pending := oidc.Pending{}
	if cookie, err := r.Cookie(pendingCookie); err == nil {
		pending = oidc.DecodePending(cookie.Value)
	}
	gone := s.cookie(r, "", -1)
	gone.Name, gone.Path = pendingCookie, "/api/oidc"
	http.SetCookie(w, gone)
	next := localPath(pending.Next)
	if s.SignIn.Provider == nil {
		s.backWith(w, r, next, stage.Errorf(stage.ErrNotFound, "No provider is set up.").WithCode("oidc_off"))
		return
	}
	login, secret, err := s.logInOIDC(r, pending)
	s.observe("oidc", err)
	if err != nil {
		s.backWith(w, r, next, err)
		return
	}
	http.SetCookie(w, s.cookie(r, secret.Reveal(), s.lifeLeft(login)))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.PublicURL.String()+next, http.StatusSeeOther)
}

func (s *Server) logInOIDC(r *http.Request, pending oidc.Pending) (access.Principal, stage.Secret, error) {
	who, err := s.SignIn.Provider.Finish(r.Context(), pending, r.URL.Query())
	if err != nil {
		return access.Principal{}, stage.Secret{}, err
	}
	claims := map[string][]string{}
	for name := range who.Claims {
		if values := who.Values(name); len(values) > 0 {
			claims[name] = values
		}
	}
	return s.Control.LogInExternal(r.Context(), access.External{
		Issuer: who.Issuer, Subject: who.Subject, Name: who.Name, Email: who.Email,
		EmailVerified: who.EmailVerified, Claims: claims,
	}, s.client(r))
}

// leaveOIDC signs out here, and at the provider where it offers that.
func (s *Server) leaveOIDC(w http.ResponseWriter, r *http.Request) {
	if who, err := s.principal(r); err == nil && who.Kind == access.KindLogin && sameSite(r) {
		if err := s.Control.LogOut(context.WithoutCancel(r.Context()), who); err != nil {
			s.fail(w, r, err)
			return
		}
		http.SetCookie(w, s.cookie(r, "", -1))
	}
	address := s.PublicURL.String() + "/"
	if s.SignIn.Provider != nil {
		if away := s.SignIn.Provider.LogoutURL(address); away != "" {
			address = away
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// sameSite reports whether a link of our own pages led here: another site's link signs nobody out.
func sameSite(r *http.Request) bool {
	from := r.Header.Get("Sec-Fetch-Site")
	return from == "same-origin" || from == "none" || from == ""
}

// backWith leads back to a page, which shows why the sign-in failed: it knows the sentence by its code.
func (s *Server) backWith(w http.ResponseWriter, r *http.Request, next string, err error) {
	p, _ := problemOf(err)
	s.Log.Info("a sign-in with the provider failed", "code", p.Code, "address", s.client(r).Address, "err", err)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.PublicURL.String()+next+"#sign-in="+url.QueryEscape(p.Code), http.StatusSeeOther)
}

// localPath is a path of our own pages: a link must not lead elsewhere after a sign-in.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(u.Path, "//") || strings.ContainsAny(next, "\\\r\n") {
		return "/dock"
	}
	return u.EscapedPath()
}

func (s *Server) beginDevice(r *http.Request, _ access.Principal) (any, error) {
	request, secret, err := s.Control.BeginDevice(r.Context(), s.client(r))
	if err != nil {
		return nil, err
	}
	address := s.PublicURL.JoinPath("device").String()
	complete := address + "#" + request.UserCode
	picture, err := qrPicture(complete)
	if err != nil {
		return nil, err
	}
	return created(DeviceCode{
		DeviceCode: secret.Reveal(), UserCode: request.UserCode, VerificationURI: address,
		VerificationURIComplete: complete, QR: picture,
		ExpiresIn: int(request.ExpiresAt.Sub(request.CreatedAt).Seconds()), Interval: int(access.DeviceInterval.Seconds()),
	}), nil
}

// qrPicture is a text as a QR code, for an img element.
func qrPicture(text string) (string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	b.WriteString("data:image/png;base64,")
	w := base64.NewEncoder(base64.StdEncoding, &b)
	_, err = w.Write(code.PNG())
	return b.String(), errors.Join(err, w.Close())
}

func (s *Server) finishDevice(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[DeviceToken](r)
	if err != nil {
		return nil, err
	}
	from := s.signingIn(r)
	login, secret, err := s.Control.FinishDevice(r.Context(), stage.NewSecret(in.DeviceCode), from)
	if e := (*stage.Error)(nil); !errors.As(err, &e) || e.Code != "authorization_pending" {
		s.observe("code", err)
	}
	if err != nil {
		return nil, err
	}
	return s.signedIn(r, http.StatusOK, from, login, secret)
}

func (s *Server) lookUpDevice(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[UserCode](r)
	if err != nil {
		return nil, err
	}
	d, err := s.Control.Device(r.Context(), who, in.UserCode)
	if err != nil {
		return nil, err
	}
	return DeviceRequest{
		UserCode: d.UserCode, Agent: d.Client.Agent, Address: d.Client.Address,
		CreatedAt: d.CreatedAt.UTC().Format("2006-01-02T15:04:05Z07:00"),
	}, nil
}

func (s *Server) approveDevice(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[UserCode](r)
	if err != nil {
		return nil, err
	}
	return nil, s.Control.ApproveDevice(r.Context(), who, in.UserCode)
}

func (s *Server) denyDevice(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[UserCode](r)
	if err != nil {
		return nil, err
	}
	return nil, s.Control.DenyDevice(r.Context(), who, in.UserCode)
}

// enrol signs in a dock with an enrolment code.
func (s *Server) enrol(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[EnrolCode](r)
	if err != nil {
		return nil, err
	}
	from := s.signingIn(r)
	login, secret, err := s.Control.Enrol(r.Context(), stage.NewSecret(in.Code), from)
	s.observe("enrolment", err)
	if err != nil {
		return nil, err
	}
	return s.signedIn(r, http.StatusCreated, from, login, secret)
}

// EnrolURL signs in the dock that opens it, once. The code is in the fragment, which browsers send
// nowhere.
func EnrolURL(public *url.URL, code stage.Secret) string {
	return public.JoinPath("dock").String() + "#enrol=" + url.QueryEscape(code.Reveal())
}
