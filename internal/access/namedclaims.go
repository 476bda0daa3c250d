package access

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// A NamedClaim is a claim that decides about access, with the setting or the rule that names it.
type NamedClaim struct {
	Name string
	By   string // a setting, or "a rule"
}

// named returns the claims that the policy and the rules name, each once.
func (p ExternalPolicy) named(rules []Rule) []NamedClaim {
	var list []NamedClaim
	known := map[string]bool{"": true} // a rule for every user names no claim
	add := func(by string, claims ...Claim) {
		for _, claim := range claims {
			if !known[claim.Name] {
				known[claim.Name] = true
				list = append(list, NamedClaim{claim.Name, by})
			}
		}
	}
	add("--oidc-require", p.Required...)
	add("--oidc-operators", p.Operators...)
	add("--oidc-moderators", p.Moderators...)
	for _, r := range rules {
		add("a rule", r.Claim)
	}
	return list
}

// claimsSeen holds the names of claims that the provider sent or that a warning has named, so that
// each causes at most one warning. The zero value is ready to use.
type claimsSeen struct {
	mu   sync.Mutex
	done map[string]bool // guarded by mu
}

// isNews adds a claim, and reports whether it is new.
func (s *claimsSeen) isNews(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = map[string]bool{}
	}
	news := !s.done[name]
	s.done[name] = true
	return news
}

// warnOfMissingClaims logs the claims that a setting or a rule names and that the provider has
// never sent, once each. The provider may send such a claim only if the server requests its scope.
func (c *Control) warnOfMissingClaims(ctx context.Context, e External) {
	if c.cfg.Log == nil || e.Partial || e.Issuer != c.cfg.External.Issuer {
		return
	}
	rules, err := c.cfg.Store.Rules(ctx)
	if err != nil {
		return
	}
	for _, claim := range c.cfg.External.named(rules) {
		_, sent := e.Claims[claim.Name]
		if c.claims.isNews(claim.Name) && !sent {
			c.cfg.Log.WarnContext(ctx, "the provider sent no claim that decides about access; "+
				"ask for it with --oidc-scopes, or let the provider add it",
				"claim", claim.Name, "named by", claim.By)
		}
	}
}

// identitiesRead limits how many accounts claimsSent reads.
const identitiesRead = 2000

// scopes returns the scopes in the form in which identities store them.
func (p ExternalPolicy) scopes() string {
	return strings.Join(append([]string{"openid"}, p.Scopes...), " ")
}

// whyRefused returns the reason of a refusal for the audit trail. If a required claim is missing
// and the provider sent none of the required claims, the reason names the first one, since the
// refused person cannot see what was sent. If it sent one of them with another value, that value
// is the reason.
func (p ExternalPolicy) whyRefused(e External, err error) error {
	if len(p.Required) == 0 || e.Partial || !p.admitsDomain(e) {
		return err
	}
	for _, claim := range p.Required {
		if _, sent := e.Claims[claim.Name]; sent {
			return err
		}
	}
	return noClaimSent(p.Required[0].Name)
}

func noClaimSent(name string) *stage.Error {
	return words.Error(stage.ErrDenied, "said.record.noClaim", words.Values{"claim": name})
}

// A ClaimsReport lists claims that decide about access, and that the provider possibly does not
// send.
type ClaimsReport struct {
	// Missing has the claims that the policy or a rule names, and that no sign-in with the current
	// scopes had.
	Missing []NamedClaim
	// Unseen has the claims that the policy or a rule names, if nobody has signed in since the
	// scopes changed: then it is not known whether the provider sends them.
	Unseen []NamedClaim
}

// ReportClaims reports which claims the provider sends. The report is empty while nobody has tried
// to sign in with it.
func ReportClaims(ctx context.Context, s Store, p ExternalPolicy) (ClaimsReport, error) {
	rules, err := s.Rules(ctx)
	if err != nil {
		return ClaimsReport{}, err
	}
	named := p.named(rules)
	sent, err := claimsSent(ctx, s, p)
	if err != nil {
		return ClaimsReport{}, err
	}
	now, known := sent[p.scopes()]
	if before, old := sent[""]; !known && old {
		now, known = before, true
	}
	switch {
	case known:
		return ClaimsReport{Missing: slices.DeleteFunc(named, func(n NamedClaim) bool {
			return now[n.Name]
		})}, nil
	case len(sent) > 0:
		return ClaimsReport{Unseen: named}, nil
	}
	missing, err := missingOfRefused(ctx, s, p)
	return ClaimsReport{Missing: missing}, err
}

// missingOfRefused returns the required claim that was missing in the newest failed sign-in. The
// audit trail is the only source: the server stores no claims of people who were never admitted.
func missingOfRefused(ctx context.Context, s Store, p ExternalPolicy) ([]NamedClaim, error) {
	failed, err := s.Entries(ctx, AuditFilter{Action: ActionLoginFailed}, Page{Limit: 1})
	if err != nil || len(failed.Items) == 0 {
		return nil, err
	}
	for _, claim := range p.Required {
		if failed.Items[0].Detail == noClaimSent(claim.Name).Detail {
			return []NamedClaim{{claim.Name, "--oidc-require"}}, nil
		}
	}
	return nil, nil
}

// claimsSent returns the names of the claims that the provider has sent for its users. The map
// groups them by the scopes that the sign-in requested.
func claimsSent(
	ctx context.Context, s Store, p ExternalPolicy,
) (map[string]map[string]bool, error) {
	sent := map[string]map[string]bool{}
	for last, n := UserID(""), 0; n < identitiesRead; n += ruleBatch {
		batch, err := s.AccountsAfter(ctx, last, ruleBatch)
		if err != nil {
			return nil, err
		}
		if len(batch) == 0 {
			break
		}
		ids := make([]UserID, len(batch))
		for i, account := range batch {
			ids[i] = account.ID
		}
		last = ids[len(ids)-1]
		identities, err := s.IdentitiesOf(ctx, ids...)
		if err != nil {
			return nil, err
		}
		for _, i := range identities {
			if i.Issuer != p.Issuer || i.refused() {
				continue
			}
			if sent[i.Scopes] == nil {
				sent[i.Scopes] = map[string]bool{}
			}
			for name := range i.Claims {
				sent[i.Scopes][name] = true
			}
		}
	}
	return sent, nil
}
