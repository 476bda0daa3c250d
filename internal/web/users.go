package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// people serves users and their grants.
type people struct {
	control *access.Control
	docks   *feed.Docks
	public  *url.URL
}

func (s *people) routes(a *adapter) []route {
	return []route{
		{"GET /api/users", a.api(access.ScopeUsers, s.list)},
		{"POST /api/users", a.api(access.ScopeUsers, s.add)},
		{"DELETE /api/users/{id}", a.api(access.ScopeUsers, s.remove)},
		{"POST /api/users/{id}/invite", a.api(access.ScopeUsers, s.reinvite)},
		{"DELETE /api/users/{id}/logins", a.api(access.ScopeUsers, s.endLogins)},
		{"PUT /api/users/{id}/grants/{arn}", a.api(access.ScopeUsers, s.setGrant)},
		{"DELETE /api/users/{id}/grants/{arn}", a.api(access.ScopeUsers, s.removeGrant)},
	}
}

func (s *people) list(r *http.Request, who access.Principal) (any, error) {
	users, err := s.control.Users(r.Context(), who)
	if err != nil {
		return nil, err
	}
	docks, err := s.docks.All(r.Context())
	if err != nil {
		return nil, err
	}
	out := Users{Users: []User{}}
	for _, u := range users {
		user := User{
			ID: u.ID, Name: u.Name, Role: u.Role, CreatedAt: u.CreatedAt.UTC(), Invited: u.Invited,
			LastSeenAt: optional(u.LastSeenAt), Grants: []Grant{},
			Docks: append([]Dock{}, docks[u.ID]...),
		}
		for _, g := range u.Grants {
			user.Grants = append(user.Grants, Grant{
				g.Stage, g.Capabilities.Words(), int64(g.MaxTTL / time.Second),
			})
		}
		out.Users = append(out.Users, user)
	}
	return out, nil
}

func (s *people) add(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewUser](r)
	if err != nil {
		return nil, err
	}
	if in.Role == "" {
		in.Role = access.Broadcaster
	}
	user, code, until, err := s.control.AddUser(r.Context(), who, in.Name, in.Role)
	if err != nil {
		return nil, err
	}
	return created(s.invited(user, code, until)), nil
}

func (s *people) reinvite(r *http.Request, who access.Principal) (any, error) {
	user, code, until, err := s.control.Invites.Renew(r.Context(), who, userID(r))
	if err != nil {
		return nil, err
	}
	return created(s.invited(user, code, until)), nil
}

func (s *people) invited(user access.User, code stage.Secret, until time.Time) Invited {
	return Invited{
		ID: user.ID, Name: user.Name, Role: user.Role, InviteExpiresAt: until.UTC(),
		Invite: InviteURL(s.public, code),
	}
}

// InviteURL returns the link that an invited person opens. The code is in the fragment, which
// browsers do not send, so no proxy logs it.
func InviteURL(public *url.URL, code stage.Secret) string {
	return public.JoinPath("invite").String() + "#code=" + url.QueryEscape(code.Reveal())
}

// SetupURL returns the link that creates the first operator.
func SetupURL(public *url.URL, code stage.Secret) string {
	return public.JoinPath("setup").String() + "#code=" + url.QueryEscape(code.Reveal())
}

func (s *people) remove(r *http.Request, who access.Principal) (any, error) {
	return nil, s.control.RemoveUser(r.Context(), who, userID(r))
}

func (s *people) endLogins(r *http.Request, who access.Principal) (any, error) {
	return nil, s.control.Logins.EndAll(r.Context(), who, userID(r))
}

func (s *people) setGrant(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[GrantRequest](r)
	if err != nil {
		return nil, err
	}
	can, err := stage.ParseCapabilities(in.Capabilities)
	if err != nil {
		return nil, err
	}
	life, err := seconds(in.MaxTTL)
	if err != nil {
		return nil, err
	}
	grant := access.Grant{User: userID(r), Stage: stageARN(r), Capabilities: can, MaxTTL: life}
	return nil, s.control.SetGrant(r.Context(), who, grant)
}

func (s *people) removeGrant(r *http.Request, who access.Principal) (any, error) {
	return nil, s.control.RemoveGrant(r.Context(), who, userID(r), stageARN(r))
}
