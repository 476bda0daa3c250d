package web

import (
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
)

// accessKeys serves the access keys of the caller.
type accessKeys struct{ keys *access.AccessKeys }

func (s *accessKeys) routes(a *adapter) []route {
	return []route{
		{"GET /api/keys", a.api(access.ScopeAccount, s.list)},
		{"POST /api/keys", a.api(access.ScopeAccount, s.create)},
		{"DELETE /api/keys/{id}", a.api(access.ScopeAccount, s.revoke)},
	}
}

func (s *accessKeys) list(r *http.Request, who access.Principal) (any, error) {
	keys, err := s.keys.List(r.Context(), who)
	if err != nil {
		return nil, err
	}
	out := AccessKeys{Keys: []AccessKey{}}
	for _, k := range keys {
		out.Keys = append(out.Keys, accessKey(k))
	}
	return out, nil
}

func (s *accessKeys) create(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewKey](r)
	if err != nil {
		return nil, err
	}
	key, secret, err := s.keys.Create(r.Context(), who, in.Name)
	if err != nil {
		return nil, err
	}
	return created(NewAccessKey{AccessKey: accessKey(key), Key: secret.Reveal()}), nil
}

func (s *accessKeys) revoke(r *http.Request, who access.Principal) (any, error) {
	return nil, s.keys.Revoke(r.Context(), who, r.PathValue("id"))
}
