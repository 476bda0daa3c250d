package web

import (
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// tokens serves participant tokens.
type tokens struct {
	control *access.Control
	present presenceOf
	client  clientOf
}

func (s *tokens) routes(a *adapter) []route {
	return []route{
		{"POST /api/tokens", a.api(access.ScopeTokens, s.issue)},
		{"GET /api/tokens", a.api(access.ScopeAccount, s.list)},
		{"GET /api/tokens/{participant}", a.api(access.ScopeTokens, s.state)},
		{"DELETE /api/tokens/{participant}", a.api(access.ScopeTokens, s.revoke)},
	}
}

func (s *tokens) issue(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[TokenRequest](r)
	if err != nil {
		return nil, err
	}
	ttl, err := seconds(in.TTL)
	if err != nil {
		return nil, err
	}
	token, err := s.control.Issue(r.Context(), who, access.IssueRequest{
		Stage: in.Stage, TTL: ttl, For: in.For, Address: s.client(r).Address,
	})
	if err != nil {
		return nil, err
	}
	return created(tokenOf(token)), nil
}

func (s *tokens) list(r *http.Request, who access.Principal) (any, error) {
	issued, err := s.control.Tokens(r.Context(), who, r.URL.Query().Get("all") == "1")
	if err != nil {
		return nil, err
	}
	out := Tokens{Tokens: []IssuedToken{}}
	for _, i := range issued {
		out.Tokens = append(out.Tokens, issuedToken(i))
	}
	return out, nil
}

// state returns a token with its presence and its last event, for programs without an event stream.
func (s *tokens) state(r *http.Request, who access.Principal) (any, error) {
	issued, err := s.control.Token(r.Context(), who,
		stage.ParticipantID(r.PathValue("participant")))
	if err != nil {
		return nil, err
	}
	out := TokenState{IssuedToken: issuedToken(issued)}
	for _, p := range s.present(r.Context(), issued.Stage) {
		if p.Participant.ID == issued.ID {
			seen := feed.NewPresence(p, viewerOf(who.User))
			out.Presence = &seen
		}
	}
	events, err := s.control.Events.After(r.Context(), issued.User, 0, issued.IssuedAt)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if e.Participant != issued.ID || e.Claimed() && out.LastEvent != nil &&
			!out.LastEvent.Claimed {
			continue // its token was not verified: a forged event must not hide others
		}
		last := feed.NewStageEvent(e)
		out.LastEvent = &last
	}
	return out, nil
}

func (s *tokens) revoke(r *http.Request, who access.Principal) (any, error) {
	if err := s.control.Revoke(r.Context(), who, stage.ParticipantID(
		r.PathValue("participant"))); err != nil {
		return nil, err
	}
	return reply{status: http.StatusNoContent}, nil
}
