package web

import (
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// listViews lists the viewing keys of the caller, without their secrets.
func (s *Server) listViews(r *http.Request, who access.Principal) (any, error) {
	keys, err := s.Control.ViewKeys(r.Context(), who)
	if err != nil {
		return nil, err
	}
	out := Views{Views: []View{}}
	for _, k := range keys {
		out.Views = append(out.Views, view(k))
	}
	return out, nil
}

func (s *Server) createView(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewView](r)
	if err != nil {
		return nil, err
	}
	key, secret, err := s.Control.CreateViewKey(r.Context(), who, in.Stage, in.View)
	if err != nil {
		return nil, err
	}
	return created(CreatedView{View: view(key), URL: s.sourceURL(secret)}), nil
}

// sourceURL is the URL of a browser source. The key is in the fragment, which browsers never send:
// no server, proxy or Referer sees it.
func (s *Server) sourceURL(secret stage.Secret) string {
	u := s.PublicURL.JoinPath("source")
	u.Fragment = secret.Reveal()
	return u.String()
}

func (s *Server) revokeView(r *http.Request, who access.Principal) (any, error) {
	err := s.Control.RevokeViewKey(r.Context(), who, r.PathValue("id"))
	s.Feed.AccessChanged(who.User.ID) // the streams of the key authenticate again, and end
	return nil, err
}

// thisView returns what a viewing key shows. The dock checks with it whether a source in OBS works.
func (s *Server) thisView(_ *http.Request, who access.Principal) (any, error) {
	key, err := who.ViewKey()
	return view(key), err
}

// issueViewToken issues the token with which a browser source subscribes.
func (s *Server) issueViewToken(r *http.Request, who access.Principal) (any, error) {
	token, err := s.Control.IssueForView(r.Context(), who, s.client(r).Address)
	if err != nil {
		return nil, err
	}
	return created(ViewToken{Token: tokenOf(token), View: string(who.View)}), nil
}
