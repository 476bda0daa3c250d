package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// The JSON of guest links.
type (
	// A NewGuestLink requests a guest link.
	NewGuestLink struct {
		Stage stage.ARN        `json:"stage"`
		Role  access.GuestRole `json:"role"`
		Name  string           `json:"name,omitempty"`
		Life  int64            `json:"life,omitempty"` // seconds; a day by default
		Uses  int              `json:"uses,omitempty"` // one by default
		// the user whose access limits the link; by default the caller
		User access.UserID `json:"user,omitempty"`
	}
	// A GuestLink is a guest link without its secret.
	GuestLink struct {
		ID         string           `json:"id"`
		Stage      stage.ARN        `json:"stage"`
		Role       access.GuestRole `json:"role"`
		Name       string           `json:"name"`
		User       access.UserID    `json:"user"`
		Uses       int              `json:"uses"`
		MaxUses    int              `json:"maxUses"`
		CreatedAt  time.Time        `json:"createdAt"`
		ExpiresAt  time.Time        `json:"expiresAt"`
		LastUsedAt *time.Time       `json:"lastUsedAt,omitempty"`
	}
	// GuestLinks is a list of guest links.
	GuestLinks struct {
		Links []GuestLink `json:"links"`
	}
	// A CreatedGuestLink contains the URL for the guest, which is returned once.
	CreatedGuestLink struct {
		GuestLink
		URL string `json:"url"`
	}
	// A GuestInvitation describes a guest link for the page of a guest who has not joined yet.
	GuestInvitation struct {
		Stage     stage.ARN        `json:"stage"`
		StageName string           `json:"stageName"`
		Host      string           `json:"host"`
		Role      access.GuestRole `json:"role"`
		UsesLeft  int              `json:"usesLeft"`
		ExpiresAt time.Time        `json:"expiresAt"`
	}
	// A GuestRole sets the role of a guest.
	GuestRole struct {
		Role access.GuestRole `json:"role"`
	}
	// A GuestSelf is what a guest may do now.
	GuestSelf struct {
		Stage        stage.ARN `json:"stage"`
		Name         string    `json:"name"`
		Capabilities []string  `json:"capabilities"`
	}
	// A GuestName is the name of a guest on the stage.
	GuestName struct {
		Name string `json:"name"`
	}
)

// guestLinks serves guest links, both to their creators and to guests.
type guestLinks struct {
	control *access.Control
	client  clientOf
	public  *url.URL
}

func (g guestLinks) list(r *http.Request, who access.Principal) (any, error) {
	links, err := g.control.GuestLinks.List(r.Context(), who, stage.ARN(r.URL.Query().Get("stage")))
	return GuestLinks{mapped(links, guestLink)}, err
}

func (g guestLinks) create(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewGuestLink](r)
	if err != nil {
		return nil, err
	}
	if in.Life < 0 || in.Life > int64(366*24*time.Hour/time.Second) {
		in.Life = -1 // invalid; the multiplication below would overflow
	}
	link, secret, err := g.control.GuestLinks.Create(r.Context(), who, access.GuestLinkRequest{
		Stage: in.Stage, Name: in.Name, Role: in.Role, Uses: in.Uses, Owner: in.User,
		Life: time.Duration(in.Life) * time.Second,
	})
	if err != nil {
		return nil, err
	}
	// The secret is in the fragment, which browsers never send, so no server, proxy or Referer
	// header receives it.
	u := g.public.JoinPath("guest")
	u.Fragment = secret.Reveal()
	return created(CreatedGuestLink{GuestLink: guestLink(link), URL: u.String()}), nil
}

func (g guestLinks) revoke(r *http.Request, who access.Principal) (any, error) {
	return nil, g.control.GuestLinks.Revoke(r.Context(), who, r.PathValue("id"))
}

// invitation describes the caller's guest link.
func (g guestLinks) invitation(r *http.Request, who access.Principal) (any, error) {
	link, err := who.GuestLink()
	if err != nil {
		return nil, err
	}
	st, err := g.control.Stages.Get(r.Context(), link.Stage)
	return GuestInvitation{
		Stage: link.Stage, StageName: st.Name, Host: who.User.Name, Role: link.Role,
		UsesLeft: max(0, link.MaxUses-link.Uses), ExpiresAt: link.ExpiresAt.UTC(),
	}, err
}

// admit issues the token of a guest.
func (g guestLinks) admit(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[GuestName](r)
	if err != nil {
		return nil, err
	}
	token, err := g.control.AdmitGuest(r.Context(), who, in.Name, g.client(r).Address)
	if err != nil {
		return nil, err
	}
	return created(tokenOf(token)), nil
}

// self returns what a guest's token permits now, since a moderator may have changed the guest's
// role.
func (g guestLinks) self(_ *http.Request, who access.Principal) (any, error) {
	if who.Kind != access.KindToken {
		return nil, stage.Errorf(stage.ErrUnauthorized, "This needs a participant token.")
	}
	return GuestSelf{who.Stage, who.User.Name, who.Capabilities.Words()}, nil
}

func guestLink(l access.GuestLink) GuestLink {
	return GuestLink{
		ID: l.ID, Stage: l.Stage, Role: l.Role, Name: l.Name, User: l.Owner, Uses: l.Uses,
		MaxUses: l.MaxUses, CreatedAt: l.CreatedAt.UTC(), ExpiresAt: l.ExpiresAt.UTC(),
		LastUsedAt: optional(l.LastUsedAt),
	}
}

// routes are the routes of the pages.
func (g guestLinks) routes(a *adapter) []route {
	return []route{
		{"GET /api/guest-links", a.api(access.ScopeAccount, g.list)},
		{"POST /api/guest-links", a.api(access.ScopeAccount, g.create)},
		{"DELETE /api/guest-links/{id}", a.api(access.ScopeAccount, g.revoke)},
		{"GET /api/guest", a.api(access.ScopeGuest, g.invitation)},
		{"POST /api/guest", a.api(access.ScopeGuest, g.admit)},
		{"GET /api/guest/self", a.api(access.ScopeStage, g.self)},
	}
}

// operations are the operations of the API for programs.
func (g guestLinks) operations() []operation {
	return []operation{
		{"GET", "/guest-links", access.ScopeUsers,
			"List the guest links of a stage, newest first, at most 200.",
			[]parameter{{"stage", "The ARN of a stage."}}, nil, GuestLinks{}, 0, g.list},
		{"POST", "/guest-links", access.ScopeUsers,
			"Create a guest link that depends on the access of a user.",
			nil, NewGuestLink{}, CreatedGuestLink{}, http.StatusCreated, g.create},
		{"DELETE", "/guest-links/{id}", access.ScopeUsers,
			"Revoke a guest link and disconnect its guests.",
			nil, nil, nil, 0, g.revoke},
	}
}
