package web

import (
	"net/http"
	"net/url"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// viewKeys serves viewing keys, and the endpoints of browser sources.
type viewKeys struct {
	control *access.Control
	feed    *feed.Feed
	public  *url.URL
	client  clientOf
}

func (s *viewKeys) routes(a *adapter) []route {
	return []route{
		{"GET /api/views", a.api(access.ScopeAccount, s.list)},
		{"POST /api/views", a.api(access.ScopeAccount, s.create)},
		{"DELETE /api/views/{id}", a.api(access.ScopeAccount, s.revoke)},
		{"GET /api/view", a.api(access.ScopeView, s.this)},
		{"POST /api/views/token", a.api(access.ScopeView, s.issueToken)},
	}
}

// list lists the viewing keys of the caller, without their secrets.
func (s *viewKeys) list(r *http.Request, who access.Principal) (any, error) {
	keys, err := s.control.ViewKeys.List(r.Context(), who)
	if err != nil {
		return nil, err
	}
	out := Views{Views: []View{}}
	for _, k := range keys {
		out.Views = append(out.Views, view(k))
	}
	return out, nil
}

func (s *viewKeys) create(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewView](r)
	if err != nil {
		return nil, err
	}
	key, secret, err := s.control.ViewKeys.Create(r.Context(), who, in.Stage, in.View)
	if err != nil {
		return nil, err
	}
	return created(CreatedView{View: view(key), URL: s.sourceURL(secret)}), nil
}

// sourceURL returns the URL of a browser source. The key is in the fragment, which browsers never
// send, so no server, proxy or Referer header receives it.
func (s *viewKeys) sourceURL(secret stage.Secret) string {
	u := s.public.JoinPath("source")
	u.Fragment = secret.Reveal()
	return u.String()
}

func (s *viewKeys) revoke(r *http.Request, who access.Principal) (any, error) {
	err := s.control.ViewKeys.Revoke(r.Context(), who, r.PathValue("id"))
	s.feed.AccessChanged(who.User.ID) // the streams of the key authenticate again, fail and end
	return nil, err
}

// `this` returns the view of the viewing key that the request carries. The dock uses it to check
// whether a browser source in OBS works.
func (s *viewKeys) this(_ *http.Request, who access.Principal) (any, error) {
	key, err := who.ViewKey()
	return view(key), err
}

// issueToken issues the token with which a browser source subscribes.
func (s *viewKeys) issueToken(r *http.Request, who access.Principal) (any, error) {
	token, err := s.control.IssueForView(r.Context(), who, s.client(r).Address)
	if err != nil {
		return nil, err
	}
	return created(ViewToken{Token: tokenOf(token), View: string(who.View)}), nil
}
