package web

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// v1People serves users to programs.
type v1People struct {
	control *access.Control
	docks   *feed.Docks
	public  *url.URL
}

func (v v1People) list(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	f := access.UserFilter{
		Query: q.Get("q"), Role: access.Role(q.Get("role")), Stage: stage.ARN(q.Get("stage")),
	}
	page, err := v.control.ListUsers(r.Context(), who, f, p)
	return V1Users{mapped(page.Items, v1User), page.Next}, err
}

func (v v1People) read(r *http.Request, who access.Principal) (any, error) {
	person, err := v.control.User(r.Context(), who, userID(r))
	if err != nil {
		return nil, err
	}
	out := V1UserDetail{
		V1User: v1User(access.ListedUser{User: person.User, Stages: len(person.Grants)}),
		Grants: []V1Grant{}, OwnStagesOf: []V1RuleGrant{},
	}
	for _, g := range person.RuleGrants {
		out.OwnStagesOf = append(out.OwnStagesOf, V1RuleGrant{
			g.Rule, g.Pattern, g.Capabilities.Words(), int64(g.MaxTTL / time.Second),
		})
	}
	for _, g := range person.Grants {
		st, err := v.control.Stages.Get(r.Context(), g.Stage)
		if err != nil && !errors.Is(err, stage.ErrNotFound) {
			return nil, err
		}
		out.Grants = append(out.Grants, V1Grant{
			g.Stage, st.Name, g.Capabilities.Words(), int64(g.MaxTTL / time.Second), g.ByRule,
			optional(g.BarredAt), g.BarredReason, g.BarredBy,
		})
	}
	docks, err := v.docks.Of(r.Context(), person.ID)
	out.Docks = append([]Dock{}, docks...)
	return out, err
}

func (v v1People) change(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[V1UserChange](r)
	if err != nil {
		return nil, err
	}
	if err := v.control.UpdateUser(r.Context(), who, userID(r), in.Name, in.Role); err != nil {
		return nil, err
	}
	return v.read(r, who)
}

func (v v1People) suspend(r *http.Request, who access.Principal) (any, error) {
	in, err := decodeIfAny[V1Reason](r)
	if err != nil {
		return nil, err
	}
	return nil, v.control.SuspendUser(r.Context(), who, userID(r), in.Reason)
}

func (v v1People) logins(r *http.Request, who access.Principal) (any, error) {
	list, err := v.control.Logins.List(r.Context(), who, userID(r))
	return loginsOf(list), err
}

func (v v1People) endLogin(r *http.Request, who access.Principal) (any, error) {
	return nil, v.control.Logins.End(r.Context(), who, userID(r), r.PathValue("login"))
}

func (v v1People) restore(r *http.Request, who access.Principal) (any, error) {
	return nil, v.control.RestoreUser(r.Context(), who, userID(r))
}

func (v v1People) dockLink(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[V1DockLinkRequest](r)
	if err != nil {
		return nil, err
	}
	req := access.DockLinkRequest{ExternalID: in.ExternalID, Name: in.Name}
	for _, st := range in.Stages {
		g, err := linkGrant(st)
		if err != nil {
			return nil, err
		}
		req.Grants = append(req.Grants, g)
	}
	link, err := v.control.CreateDockLink(r.Context(), who, req)
	if err != nil {
		return nil, err
	}
	return created(V1DockLink{
		URL: enrolURL(v.public, link.Code), ExpiresAt: link.ExpiresAt.UTC(),
		User: Person{ID: link.User.ID, Name: link.User.Name},
	}), nil
}

func linkGrant(st V1LinkStage) (access.Grant, error) {
	g := access.Grant{Stage: st.ARN, Capabilities: stage.Publish | stage.Subscribe}
	if _, err := stage.ParseARN(string(st.ARN)); err != nil {
		return g, err
	}
	if st.Capabilities != nil {
		can, err := stage.ParseCapabilities(st.Capabilities)
		if err != nil {
			return g, err
		}
		g.Capabilities = can
	}
	life, err := seconds(st.MaxTTL)
	g.MaxTTL = life
	return g, err
}

// v1Stages serves stages to programs.
type v1Stages struct {
	control *access.Control
	aws     AWS // nil if no AWS stages are served
}

func (v v1Stages) list(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	f := access.StageFilter{Query: q.Get("q"), User: access.UserID(q.Get("user"))}
	page, err := v.control.Stages.List(r.Context(), who, f, p)
	return V1Stages{mapped(page.Items, func(s access.ListedStage) V1Stage {
		out := v1Stage(s)
		if v.aws != nil && !s.ARN.Local() {
			out.IssuedBy = v.aws.Why(r.Context(), s.ARN)
		}
		return out
	}), page.Next}, err
}
