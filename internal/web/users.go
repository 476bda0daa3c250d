package web

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func (s *Server) meOf(ctx context.Context, who access.Principal) (Me, error) {
	stages, err := s.Control.Stages(ctx, who)
	if err != nil {
		return Me{}, err
	}
	me := Me{ID: who.User.ID, Name: who.User.Name, Role: who.User.Role, Version: s.Version, Stages: []MyStage{}}
	for _, a := range stages {
		me.Stages = append(me.Stages, MyStage{
			ARN: a.Stage.ARN, Name: a.Stage.Name, Capabilities: a.Capabilities.Words(),
			MaxTTL: int64(a.MaxTTL / time.Second), Served: served(a.Stage.ARN), Limits: a.Limits,
		})
	}
	return me, nil
}

func (s *Server) listUsers(r *http.Request, who access.Principal) (any, error) {
	users, err := s.Control.Users(r.Context(), who)
	if err != nil {
		return nil, err
	}
	docks, err := s.Docks.All(r.Context())
	if err != nil {
		return nil, err
	}
	out := Users{Users: []User{}}
	for _, u := range users {
		user := User{
			ID: u.ID, Name: u.Name, Role: u.Role, CreatedAt: u.CreatedAt.UTC(), Invited: u.Invited,
			LastSeenAt: optional(u.LastSeenAt), Grants: []Grant{}, Docks: append([]Dock{}, docks[u.ID]...),
		}
		for _, g := range u.Grants {
			user.Grants = append(user.Grants, Grant{g.Stage, g.Capabilities.Words(), int64(g.MaxTTL / time.Second)})
		}
		out.Users = append(out.Users, user)
	}
	return out, nil
}

func (s *Server) addUser(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewUser](r)
	if err != nil {
		return nil, err
	}
	if in.Role == "" {
		in.Role = access.Broadcaster
	}
	user, code, until, err := s.Control.AddUser(r.Context(), who, in.Name, in.Role)
	if err != nil {
		return nil, err
	}
	return created(s.invited(user, code, until)), nil
}

func (s *Server) reinvite(r *http.Request, who access.Principal) (any, error) {
	user, code, until, err := s.Control.Reinvite(r.Context(), who, userID(r))
	if err != nil {
		return nil, err
	}
	return created(s.invited(user, code, until)), nil
}

func (s *Server) invited(user access.User, code stage.Secret, until time.Time) Invited {
	return Invited{
		ID: user.ID, Name: user.Name, Role: user.Role, InviteExpiresAt: until.UTC(),
		Invite: InviteURL(s.PublicURL, code),
	}
}

// InviteURL is the link that an invited person opens. The code is in the fragment, which browsers
// do not send: no proxy logs it.
func InviteURL(public *url.URL, code stage.Secret) string {
	return public.JoinPath("invite").String() + "#code=" + url.QueryEscape(code.Reveal())
}

// SetupURL is the link that creates the first operator.
func SetupURL(public *url.URL, code stage.Secret) string {
	return public.JoinPath("setup").String() + "#code=" + url.QueryEscape(code.Reveal())
}

func (s *Server) removeUser(r *http.Request, who access.Principal) (any, error) {
	return nil, s.Control.RemoveUser(r.Context(), who, userID(r))
}

func (s *Server) endLogins(r *http.Request, who access.Principal) (any, error) {
	return nil, s.Control.EndLogins(r.Context(), who, userID(r))
}

func (s *Server) setGrant(r *http.Request, who access.Principal) (any, error) {
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
	return nil, s.Control.SetGrant(r.Context(), who, grant)
}

func (s *Server) removeGrant(r *http.Request, who access.Principal) (any, error) {
	return nil, s.Control.RemoveGrant(r.Context(), who, userID(r), stageARN(r))
}

func userID(r *http.Request) access.UserID { return access.UserID(r.PathValue("id")) }

func stageARN(r *http.Request) stage.ARN { return stage.ARN(r.PathValue("arn")) }
