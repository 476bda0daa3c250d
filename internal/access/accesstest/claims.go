package accesstest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// withoutClaims returns an identity as a provider sends it if no scope requests claims.
func withoutClaims(subject, name string) access.External {
	e := external(subject, name)
	e.Claims = map[string][]string{}
	return e
}

// After a scope was added or removed, earlier sign-ins do not show what the provider sends now.
func (on rules) TestClaimsAreReportedForTheScopesOfNow(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Operator()
		policy := access.ExternalPolicy{
			Issuer:    external("", "").Issuer,
			Operators: []access.Claim{{Name: "groups", Value: "admins"}},
		}
		asks := func(scopes ...string) {
			policy.Scopes = scopes
			h.Configure(func(c *access.Config) { c.External = policy })
		}
		check := func(when string, missing, unseen int) {
			t.Helper()
			r := must(access.ReportClaims(t.Context(), h.Config.Store, policy))(t)
			if len(r.Missing) != missing || len(r.Unseen) != unseen {
				t.Errorf("%s: got %+v, want %d missing and %d unseen", when, r, missing, unseen)
			}
		}
		asks()
		check("before the first sign-in", 0, 0)
		signIn := func(e access.External) {
			t.Helper()
			_, _, err := h.LogInExternal(t.Context(), e, home)
			ok(t, err)
		}
		signIn(withoutClaims("1", "Ben"))
		check("without the scope", 1, 0)
		asks("groups")
		check("the scope was added", 0, 1)
		h.member("1", "Ben", "crew")
		check("with the scope", 0, 0)
		asks()
		check("the scope was removed", 0, 1)
		signIn(withoutClaims("1", "Ben"))
		check("after a sign-in without it", 1, 0)
	})
}

// If the policy refuses a person, the server stores only an entry in the audit trail. This entry
// therefore names the missing claim.
func (on rules) TestARequiredClaimThatDoesNotComeIsNamed(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		policy := access.ExternalPolicy{
			Issuer:   external("", "").Issuer,
			Required: []access.Claim{{Name: "groups", Value: "streamers"}},
		}
		h.Configure(func(c *access.Config) { c.External = policy })
		refuse := func(e access.External) access.ClaimsReport {
			t.Helper()
			_, _, err := h.LogInExternal(t.Context(), e, home)
			if err == nil {
				t.Fatal("a person without the claim signs in")
			}
			return must(access.ReportClaims(t.Context(), h.Config.Store, policy))(t)
		}
		want := []access.NamedClaim{{Name: "groups", By: "--oidc-require"}}
		if r := refuse(withoutClaims("1", "Ben")); !slices.Equal(r.Missing, want) {
			t.Errorf("no claim came: got %+v, want %+v", r.Missing, want)
		}
		const sentence = "The provider sent no claim groups, which --oidc-require names."
		if e := h.trail(op, access.ActionLoginFailed)[0]; e.Detail != sentence {
			t.Errorf("the trail has %q, want %q", e.Detail, sentence)
		}
		h.Clock.Pass(time.Second) // the list begins with the newest refusal
		policy.Required = append(policy.Required, access.Claim{Name: "tenant", Value: "42"})
		h.Configure(func(c *access.Config) { c.External = policy })
		if r := refuse(external("1", "Ben", "guests")); len(r.Missing) != 0 {
			t.Errorf("the claim has another value: got %+v, want nothing missing", r.Missing)
		}
		if e := h.trail(op, access.ActionLoginFailed)[0]; e.Detail == sentence ||
			strings.Contains(e.Detail, "tenant") {
			t.Errorf("the claim has another value: the trail has %q, want no claim in it", e.Detail)
		}
		h.Clock.Pass(time.Second)
		policy.Domains = []string{"staff.example"}
		h.Configure(func(c *access.Config) { c.External = policy })
		refuse(withoutClaims("2", "Cem"))
		e := h.trail(op, access.ActionLoginFailed)[0]
		if !strings.Contains(e.Detail, "staff.example") {
			t.Errorf("the e-mail address is refused: the trail has %q, want its domain", e.Detail)
		}
	})
}
