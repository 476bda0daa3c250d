package web

import (
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
)

// docks serves the reports of docks.
type docks struct {
	open   *feed.Docks
	client clientOf
}

func (s *docks) routes(a *adapter) []route {
	return []route{
		{"PUT /api/docks/{dock}", a.api(access.ScopeAccount, s.put)},
		{"DELETE /api/docks/{dock}", a.api(access.ScopeAccount, s.remove)},
	}
}

// put stores the report of a dock. The server has no other information about OBS.
func (s *docks) put(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[DockState](r)
	if err != nil {
		return nil, err
	}
	from := s.client(r)
	return nil, s.open.Put(r.Context(), who.User.ID, feed.Dock{
		ID: r.PathValue("dock"), Address: from.Address, Agent: from.Agent,
		OBS: in.OBS, Live: in.Live, ParticipantID: in.ParticipantID,
	})
}

func (s *docks) remove(r *http.Request, who access.Principal) (any, error) {
	return nil, s.open.Delete(r.Context(), who.User.ID, r.PathValue("dock"))
}
