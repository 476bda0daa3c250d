package web

import (
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// logins serves the list of a person's signed-in browsers.
type logins struct {
	logins *access.Logins
	forget func(*http.Request) *http.Cookie // deletes the cookie of a login from its browser
}

// Logins lists the signed-in browsers of the caller.
type Logins struct {
	Logins []Login `json:"logins"`
}

// A Login is a signed-in browser.
type Login struct {
	ID         string    `json:"id"`
	Agent      string    `json:"agent"`
	Address    string    `json:"address"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	Current    bool      `json:"current"`
}

func (l logins) list(r *http.Request, who access.Principal) (any, error) {
	found, err := l.logins.List(r.Context(), who, who.User.ID)
	return loginsOf(found), err
}

func loginsOf(found []access.Login) Logins {
	return Logins{mapped(found, func(l access.Login) Login { return Login(l) })}
}

func (l logins) end(r *http.Request, who access.Principal) (any, error) {
	id := r.PathValue("id")
	if err := l.logins.End(r.Context(), who, who.User.ID, id); err != nil {
		return nil, err
	}
	if id == who.CredentialID {
		return reply{cookies: []*http.Cookie{l.forget(r)}}, nil
	}
	return nil, nil
}
