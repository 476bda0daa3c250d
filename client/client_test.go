package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/client"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

func TestAnApplicationUsesTheClient(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	operator := a.Operator()
	var key web.V1CreatedAPIKey
	operator.Must(http.StatusCreated, "POST", "/api/v1/api-keys", web.V1NewAPIKey{Name: "studio"}, &key)
	c := &client.Client{URL: a.URL + "/", Key: key.Key}

	link, err := c.CreateDockLink(t.Context(), "u-17", "Kim", client.LinkStage{ARN: operator.MainStage()})
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(link.URL, "#enrol=")
	code, _ = url.QueryUnescape(code)
	dock := a.Browser()
	dock.Must(http.StatusCreated, "POST", "/api/enrol", web.EnrolCode{Code: code}, nil)

	token := dock.Token("")
	if err := c.Kick(t.Context(), string(token.Stage), string(token.ParticipantID), "time is up", true); err != nil {
		t.Fatal(err)
	}
	dock.Refused(http.StatusForbidden, "barred", "POST", "/api/tokens", web.TokenRequest{Stage: token.Stage})
	if err := c.Unbar(t.Context(), link.User.ID, string(token.Stage)); err != nil {
		t.Fatal(err)
	}
	dock.Token("")
	if refusals, err := c.Refusals(t.Context(), string(token.Stage)); err != nil || len(refusals) != 0 {
		t.Errorf("refusals: %v %v", refusals, err)
	}

	for i := range 205 { // more than a page
		if err := c.Do(t.Context(), "POST", "/users", map[string]string{"name": fmt.Sprint("guest ", i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	found := 0
	for u, err := range c.Users(t.Context(), "guest") {
		if err != nil {
			t.Fatal(err)
		}
		if !u.Invited {
			t.Errorf("%s was not invited", u.Name)
		}
		found++
	}
	if found != 205 {
		t.Errorf("%d users were found, want 205", found)
	}

	if err := c.Suspend(t.Context(), link.User.ID, "unpaid"); err != nil {
		t.Fatal(err)
	}
	dock.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/me", nil)
	if err := c.Restore(t.Context(), link.User.ID); err != nil {
		t.Fatal(err)
	}
	var problem *client.Error
	if err := c.Suspend(t.Context(), "nobody", ""); !errors.As(err, &problem) || problem.Status != 404 || problem.Code != "not_found" {
		t.Errorf("an unknown user: %v", err)
	}
}
