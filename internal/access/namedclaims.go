package access

import (
	"context"
	"sync"
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
			c.cfg.Log.Warn("the provider sent no claim that decides about access; "+
				"ask for it with --oidc-scopes, or let the provider add it",
				"claim", claim.Name, "named by", claim.By)
		}
	}
}

// identitiesRead limits how many accounts MissingClaims reads.
const identitiesRead = 2000

// MissingClaims lists the claims that the policy or a rule names, and that the provider sent for
// none of its users. The list is empty if no user of the provider has signed in yet.
func MissingClaims(ctx context.Context, s Store, p ExternalPolicy) ([]NamedClaim, error) {
	rules, err := s.Rules(ctx)
	if err != nil {
		return nil, err
	}
	sent, signedIn := map[string]bool{}, false
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
			signedIn = true
			for name := range i.Claims {
				sent[name] = true
			}
		}
	}
	var missing []NamedClaim
	for _, claim := range p.named(rules) {
		if signedIn && !sent[claim.Name] {
			missing = append(missing, claim)
		}
	}
	return missing, nil
}
