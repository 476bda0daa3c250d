package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestMeSaysWhetherThereIsAPassword: GET /api/me says that an account that an application created
// has no password, so the page does not offer to change the password.
func TestMeSaysWhetherThereIsAPassword(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if !h.bea.Me().HasPassword {
		t.Error("Bea, who chose a password, has none")
	}
	var key web.V1CreatedAPIKey
	h.olga.Must(http.StatusCreated, "POST", "/api/v1/api-keys",
		web.V1NewAPIKey{Name: "studio page", Scopes: []access.Scope{access.ScopeUsers}}, &key)
	studio := h.Browser()
	studio.Key = key.Key
	var link web.V1DockLink
	studio.Must(http.StatusCreated, "POST", "/api/v1/dock-links",
		web.V1DockLinkRequest{ExternalID: "u-17", Name: "kim"}, &link)
	address, err := url.Parse(link.URL)
	if err != nil {
		t.Fatal(err)
	}
	kim := h.Browser()
	kim.Must(http.StatusCreated, "POST", "/api/enrol",
		web.EnrolCode{Code: strings.TrimPrefix(address.Fragment, "enrol=")}, nil)
	if kim.Me().HasPassword {
		t.Error("Kim, whom an application signed in, has a password")
	}
}

// TestNoPasswordIsOfferedWhereNoneSignsIn: an account keeps its password when passwords are
// switched off, and an invite stores a password that nobody knows. GET /api/me does not count these
// passwords, so that the page does not offer to change them.
func TestNoPasswordIsOfferedWhereNoneSignsIn(t *testing.T) {
	t.Parallel()
	_, flags := provider(t, "--oidc-operators", "groups=admins")
	a := apptest.Start(t, flags...)
	olga := a.Operator()
	var kim web.Invited
	olga.Must(http.StatusCreated, "POST", "/api/users", web.NewUser{Name: "kim"}, &kim)
	if !olga.Me().HasPassword {
		t.Error("where passwords sign in, olga has none")
	}
	a.Stop()
	a = a.Again(append([]string{"--no-passwords"}, flags...)...)
	invited := a.Browser()
	invited.Must(http.StatusCreated, "POST", "/api/invite",
		web.AcceptInvite{Code: apptest.Code(kim.Invite), Password: apptest.Password}, nil)
	if invited.Me().HasPassword {
		t.Error("where no password signs in, kim is offered to change one")
	}
}
