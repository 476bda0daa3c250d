package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// An authenticator authenticates requests by their bearer token or by the cookie of a login.
type authenticator struct {
	control *access.Control
	proxies httpkit.Proxies
	guard   *httpkit.Guard // limits requests with wrong bearer tokens
	now     func() time.Time
}

// principal authenticates a request.
func (a *authenticator) principal(r *http.Request) (access.Principal, error) {
	return a.guarded(r, func(ctx context.Context) (access.Principal, error) {
		p := presented(r)
		p.From = a.client(r)
		return a.control.Authenticate(ctx, p)
	})
}

// guarded authenticates a request under the limit for wrong bearer tokens. The limit does not apply
// to cookies. So a page whose login has ended always gets 401, even if other clients at its address
// have exhausted the limit.
func (a *authenticator) guarded(
	r *http.Request, authenticate func(context.Context) (access.Principal, error),
) (who access.Principal, err error) {
	if httpkit.Bearer(r).Empty() {
		return authenticate(r.Context())
	}
	err = a.guard.Verify(r.Context(), a.proxies.Client(r), func() error {
		who, err = authenticate(r.Context())
		return err
	})
	return who, err
}

// principalFor authenticates a request, and refuses a credential that does not allow the scope.
func (a *authenticator) principalFor(
	r *http.Request, scope access.Scope,
) (access.Principal, error) {
	who, err := a.allowed(r, scope)
	recheck(r, a.now, func() error { _, err := a.allowed(r, scope); return err })
	return who, err
}

func (a *authenticator) allowed(r *http.Request, scope access.Scope) (access.Principal, error) {
	if endsSession(r) {
		return a.allowedToEnd(r, scope)
	}
	who, err := a.principal(r)
	if err != nil {
		return access.Principal{}, err
	}
	return who, who.Require(scope)
}

// allowedToEnd does what `allowed` does, for a request that ends a session: such a request must
// also work while the database does not answer.
func (a *authenticator) allowedToEnd(
	r *http.Request, scope access.Scope,
) (access.Principal, error) {
	p := presented(r)
	p.From = a.client(r)
	short, cancel := a.control.Outage.BeforeEnd(r.Context(), p)
	defer cancel()
	who, err := a.principal(r.WithContext(short))
	if errors.Is(err, stage.ErrUnavailable) {
		if known, found := a.control.Outage.Recall(p); found {
			who, err = known, nil
		}
	}
	if err != nil {
		return access.Principal{}, err
	}
	return who, who.Require(scope)
}

// endsSession reports whether a request kicks a participant or revokes a token. Both also work
// while the database does not answer.
func endsSession(r *http.Request) bool {
	return strings.HasPrefix(r.Pattern, "DELETE ") &&
		(strings.HasSuffix(r.Pattern, "/tokens/{participant}") ||
			strings.HasSuffix(r.Pattern, "/participants/{participant}"))
}

// onStage authenticates a request for the stage in its path.
func (a *authenticator) onStage(r *http.Request) (access.Principal, error) {
	who, err := a.enters(r)
	recheck(r, a.now, func() error { _, err := a.enters(r); return err })
	return who, err
}

func (a *authenticator) enters(r *http.Request) (access.Principal, error) {
	who, err := a.principal(r)
	if err != nil {
		return access.Principal{}, err
	}
	return a.control.OnStage(r.Context(), who, stageARN(r))
}

// A clientOf returns the address and the agent of a request.
type clientOf func(*http.Request) access.Client

// client returns the address and the agent of a request.
func (a *authenticator) client(r *http.Request) access.Client {
	return access.Client{Address: a.proxies.Client(r).String(), Agent: clip(r.UserAgent(), 200)}
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// presented returns the credentials that a request carries.
func presented(r *http.Request) access.Presented {
	p := access.Presented{Bearer: httpkit.Bearer(r)}
	if cookie, err := r.Cookie(cookieName); err == nil {
		p.Login = stage.NewSecret(cookie.Value)
	}
	return p
}
