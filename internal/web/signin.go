package web

import (
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/oidc"
)

// SignIn configures the ways to sign in.
type SignIn struct {
	Provider  *oidc.Provider // nil if there is no provider
	Name      string         // name of the provider on its button
	Passwords bool           // whether sign-in with name and password is offered
	// Observe receives the way and the result of each attempt to sign in; it may be nil.
	Observe func(way string, err error)
}

const cookieName = "stagedoor_login"

// cookies makes the cookies of logins. They have a Max-Age, since OBS deletes session cookies when
// it exits.
type cookies struct {
	secure bool // whether browsers reach the server over https
	now    func() time.Time
}

// login returns the cookie of a login, valid until the login expires.
func (c cookies) login(r *http.Request, secret string, expires time.Time) *http.Cookie {
	return c.cookie(r, cookieName, "/", secret, int(expires.Sub(c.now()).Seconds()))
}

// forget returns a cookie that deletes the cookie of a login.
func (c cookies) forget(r *http.Request) *http.Cookie {
	return c.cookie(r, cookieName, "/", "", -1)
}

func (c cookies) cookie(r *http.Request, name, path, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil || c.secure,
	}
}
