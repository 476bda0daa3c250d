package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rsc.io/qr"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/oidc"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// pendingCookie is the name of the cookie that stores a sign-in until the provider has answered.
const pendingCookie = "stagedoor_oidc"

type (
	// SignInWays are the ways to sign in that a page offers.
	SignInWays struct {
		Passwords bool `json:"passwords"`
		SetUp     bool `json:"setUp,omitempty"` // there is no operator yet
		// there is no operator yet, and a sign-in with the provider can create the first operator
		ProviderSetsUp bool `json:"providerSetsUp,omitempty"`
		// name of the provider; absent if there is none
		Provider string `json:"provider,omitempty"`
		Codes    bool   `json:"codes"`
		// the host name for which passkeys work; absent if they do not
		Passkeys string `json:"passkeys,omitempty"`
	}
	// A DeviceCode is what a dock shows while it waits (RFC 8628 3.2).
	DeviceCode struct {
		DeviceCode              string `json:"deviceCode"`
		UserCode                string `json:"userCode"`
		VerificationURI         string `json:"verificationUri"`
		VerificationURIComplete string `json:"verificationUriComplete"`
		QR                      string `json:"qr"` // a data URL: the address as a QR code
		ExpiresIn               int    `json:"expiresIn"`
		Interval                int    `json:"interval"`
	}
	// A DeviceToken asks whether a device code was approved.
	DeviceToken struct {
		DeviceCode string `json:"deviceCode"`
	}
	// A UserCode names a dock that waits for approval.
	UserCode struct {
		UserCode string `json:"userCode"`
	}
	// A DeviceRequest describes a dock to the person who may approve it.
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
	// An Enrolment is a new enrolment code for a dock of the caller.
	Enrolment struct {
		Code      string    `json:"code"`
		ExpiresAt time.Time `json:"expiresAt"`
	}
)

// oidcLogins serves sign-in with the OpenID Connect provider.
type oidcLogins struct {
	*signIns
	signIn SignIn
	public *url.URL
}

func (s *oidcLogins) routes() []route {
	return []route{
		{"GET /api/sign-in", s.open(s.ways)},
		{"GET /api/oidc/login", http.HandlerFunc(s.begin)},
		{"GET /api/oidc/callback", http.HandlerFunc(s.finish)},
		{"GET /api/oidc/logout", http.HandlerFunc(s.leave)},
	}
}

func (s *oidcLogins) ways(r *http.Request, _ access.Principal) (any, error) {
	ways := SignInWays{Passwords: s.signIn.Passwords, Codes: true,
		Passkeys: s.control.Passkeys.Host()}
	var err error
	if ways.SetUp, err = s.control.Setup.Needed(r.Context()); err != nil {
		return nil, err
	}
	if s.signIn.Provider != nil {
		ways.Provider = s.signIn.Name
	}
	ways.ProviderSetsUp = ways.SetUp && s.control.Setup.ProviderMakesOperators()
	return ways, nil
}

// pending returns the cookie that stores a sign-in until the provider has answered.
func (s *oidcLogins) pending(r *http.Request, value string, maxAge int) *http.Cookie {
	return s.cookies.cookie(r, pendingCookie, "/api/oidc", value, maxAge)
}

// begin redirects the browser to the provider.
func (s *oidcLogins) begin(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	if s.signIn.Provider == nil {
		s.backWith(w, r, next, stage.Errorf(stage.ErrNotFound,
			"No OpenID Connect provider is set up.").WithCode("oidc_off"))
		return
	}
	address, pending, err := s.signIn.Provider.Begin(r.Context(), next)
	if err != nil {
		s.backWith(w, r, next, err)
		return
	}
	http.SetCookie(w, s.pending(r, pending.Encode(), int(oidc.PendingLife.Seconds())))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// finish handles the browser's return from the provider. The pending cookie is valid only once.
func (s *oidcLogins) finish(w http.ResponseWriter, r *http.Request) {
	pending := oidc.Pending{}
	if cookie, err := r.Cookie(pendingCookie); err == nil {
		pending = oidc.DecodePending(cookie.Value)
	}
	http.SetCookie(w, s.pending(r, "", -1))
	next := localPath(pending.Next)
	if s.signIn.Provider == nil {
		s.backWith(w, r, next, stage.Errorf(stage.ErrNotFound,
			"No OpenID Connect provider is set up.").WithCode("oidc_off"))
		return
	}
	login, secret, err := s.logIn(r, pending)
	s.attempted("oidc", err)
	if err != nil {
		s.backWith(w, r, next, err)
		return
	}
	http.SetCookie(w, s.cookies.login(r, secret.Reveal(), login.ExpiresAt))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.public.String()+next, http.StatusSeeOther)
}

func (s *oidcLogins) logIn(
	r *http.Request, pending oidc.Pending,
) (access.Principal, stage.Secret, error) {
	who, err := s.signIn.Provider.Finish(r.Context(), pending, r.URL.Query())
	if err != nil {
		return access.Principal{}, stage.Secret{}, err
	}
	claims := map[string][]string{}
	for name := range who.Claims {
		if values := who.Values(name); values != nil {
			claims[name] = values
		}
	}
	return s.control.LogInExternal(r.Context(), access.External{
		Issuer: who.Issuer, Subject: who.Subject, Name: who.Name, Email: who.Email,
		EmailVerified: who.EmailVerified, Claims: claims, Partial: who.Partial,
	}, s.client(r))
}

// leave signs the browser out of this server, and also out of the provider, if the provider
// supports that.
func (s *oidcLogins) leave(w http.ResponseWriter, r *http.Request) {
	if who, err := s.principal(r); err == nil && who.Kind == access.KindLogin && sameSite(r) {
		if err := s.control.Logins.LogOut(context.WithoutCancel(r.Context()), who); err != nil {
			s.fail(w, r, err)
			return
		}
		http.SetCookie(w, s.cookies.forget(r))
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.afterLogout(r), http.StatusSeeOther)
}

// afterLogout returns the URL that signs the browser out of the provider, or the server's first
// page if there is no such URL. If the provider does not answer, the URL has a fragment. By this
// fragment, the first page warns that the browser is still signed in at the provider.
func (s *oidcLogins) afterLogout(r *http.Request) string {
	here := s.public.String() + "/"
	if s.signIn.Provider == nil {
		return here
	}
	away, err := s.signIn.Provider.LogoutURL(r.Context(), here)
	if err != nil {
		return here + "#sign-in=provider_stays"
	}
	return cmp.Or(away, here)
}

// sameSite reports whether the request comes from a page of this server or from the address bar. A
// link on another site must not sign its visitors out.
func sameSite(r *http.Request) bool {
	from := r.Header.Get("Sec-Fetch-Site")
	return from == "same-origin" || from == "none" || from == ""
}

// backWith redirects to a page that shows why the sign-in failed. The page selects the sentence by
// the code in the fragment.
func (s *oidcLogins) backWith(w http.ResponseWriter, r *http.Request, next string, err error) {
	p := problemOf(err)
	s.log.InfoContext(r.Context(), "a sign-in with the provider failed", "code", p.Code,
		"address", s.client(r).Address,
		"err", err)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.public.String()+next+"#sign-in="+url.QueryEscape(p.Code),
		http.StatusSeeOther)
}

// maxNext limits the page to open after a sign-in, because the browser keeps it in a cookie, which
// has at most 4096 bytes (RFC 6265, 6.1).
const maxNext = 1024

// localPath returns the path and the query of `next`, if `next` is on this server. Otherwise it
// returns the path of the dock, so that no sign-in ends on another site.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > maxNext || u.Scheme != "" || u.Host != "" ||
		!strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") ||
		strings.ContainsAny(next, "\\\r\n") {
		return "/dock"
	}
	page := url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	return page.String()
}

// deviceLogins serves the sign-in of docks: by a device code, or by an enrolment code.
type deviceLogins struct {
	*signIns
	public *url.URL
}

func (s *deviceLogins) routes() []route {
	return []route{
		{"POST /api/device", s.open(s.begin)},
		{"POST /api/device/token", s.open(s.finish)},
		{"POST /api/device/lookup", s.api(access.ScopeAccount, s.lookUp)},
		{"POST /api/device/approve", s.api(access.ScopeAccount, s.approve)},
		{"POST /api/device/deny", s.api(access.ScopeAccount, s.deny)},
		{"POST /api/enrol", s.open(s.enrol)},
	}
}

func (s *deviceLogins) begin(r *http.Request, _ access.Principal) (any, error) {
	request, secret, err := s.control.Devices.Begin(r.Context(), s.client(r))
	if err != nil {
		return nil, err
	}
	address := s.public.JoinPath("device").String()
	complete := address + "#" + request.UserCode
	picture, err := qrPicture(complete)
	if err != nil {
		return nil, err
	}
	return created(DeviceCode{
		DeviceCode: secret.Reveal(), UserCode: request.UserCode, VerificationURI: address,
		VerificationURIComplete: complete, QR: picture,
		ExpiresIn: int(request.ExpiresAt.Sub(request.CreatedAt).Seconds()),
		Interval:  int(access.DeviceInterval.Seconds()),
	}), nil
}

// qrPicture returns a data URL for an img element, with a text as a QR code.
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

func (s *deviceLogins) finish(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[DeviceToken](r)
	if err != nil {
		return nil, err
	}
	from := s.signingIn(r)
	code := stage.NewSecret(in.DeviceCode)
	login, secret, err := s.control.Devices.Finish(r.Context(), code, from)
	if e := (*stage.Error)(nil); !errors.As(err, &e) || e.Code != "authorization_pending" {
		s.attempted("code", err)
	}
	if err != nil {
		return nil, err
	}
	return s.signedIn(r, http.StatusOK, from, login, secret)
}

func (s *deviceLogins) lookUp(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[UserCode](r)
	if err != nil {
		return nil, err
	}
	d, err := s.control.Devices.Find(r.Context(), who, in.UserCode)
	if err != nil {
		return nil, err
	}
	return DeviceRequest{
		UserCode: d.UserCode, Agent: d.Client.Agent, Address: d.Client.Address,
		CreatedAt: d.CreatedAt.UTC().Format("2006-01-02T15:04:05Z07:00"),
	}, nil
}

func (s *deviceLogins) approve(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[UserCode](r)
	if err != nil {
		return nil, err
	}
	return nil, s.control.Devices.Approve(r.Context(), who, in.UserCode)
}

func (s *deviceLogins) deny(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[UserCode](r)
	if err != nil {
		return nil, err
	}
	return nil, s.control.Devices.Deny(r.Context(), who, in.UserCode)
}

// enrol signs in a dock with an enrolment code.
func (s *deviceLogins) enrol(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[EnrolCode](r)
	if err != nil {
		return nil, err
	}
	from := s.signingIn(r)
	login, secret, err := s.control.Enrolments.Use(r.Context(), stage.NewSecret(in.Code), from)
	s.attempted("enrolment", err)
	if err != nil {
		return nil, err
	}
	return s.signedIn(r, http.StatusCreated, from, login, secret)
}

// enrolURL returns the URL that signs in the dock that opens it, once. The code is in the fragment,
// which browsers never send.
func enrolURL(public *url.URL, code stage.Secret) string {
	return public.JoinPath("dock").String() + "#enrol=" + url.QueryEscape(code.Reveal())
}
