package access

import (
	"context"
	"slices"
)

// losersNamed is how many of those who lose access an effect names.
const losersNamed = 10

// A RuleEffect is what a rule would do to the people who are there. Operators are left out: they
// have access to every stage.
type RuleEffect struct {
	Gain   int      // who get access to a stage
	Lose   int      // whose access to a stage ends, with their open tokens there
	Change int      // whose capabilities or longest token life change on a stage
	Losing []string // the names of the first of those who lose access
}

// RuleEffect works out what PutRule would do, and changes nothing. Access by hand is not touched by
// rules, and of several rules for one stage the others stay.
func (c *Control) RuleEffect(ctx context.Context, by Principal, r Rule) (RuleEffect, error) {
	var effect RuleEffect
	if err := by.Require(ScopeUsers); err != nil {
		return effect, err
	}
	r, err := c.checkedRule(ctx, c.cfg.Store, r)
	if err != nil {
		return effect, err
	}
	before, err := c.cfg.Store.Rules(ctx)
	if err != nil {
		return effect, err
	}
	if r, err = c.placeRule(ctx, c.cfg.Store, r); err != nil {
		return effect, err
	}
	after := append(slices.DeleteFunc(slices.Clone(before), func(old Rule) bool {
		return old.ID == r.ID
	}), r)
	for last := UserID(""); ; {
		batch, err := c.cfg.Store.AccountsAfter(ctx, last, ruleBatch)
		if err != nil || len(batch) == 0 {
			return effect, err
		}
		if err := c.addEffect(ctx, &effect, before, after, batch); err != nil {
			return effect, err
		}
		last = batch[len(batch)-1].ID
	}
}

// addEffect adds what happens to some accounts.
func (c *Control) addEffect(
	ctx context.Context, effect *RuleEffect, before, after []Rule, batch []Account,
) error {
	ids := make([]UserID, len(batch))
	for i, account := range batch {
		ids[i] = account.ID
	}
	grants, err := c.cfg.Store.Grants(ctx, ids...)
	if err != nil {
		return err
	}
	identities, err := c.cfg.Store.IdentitiesOf(ctx, ids...)
	if err != nil {
		return err
	}
	for _, account := range batch {
		if account.Role == Operator {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(identities), func(i Identity) bool {
			return i.User != account.ID
		})
		if account.Password == "" && allRefused(own) {
			continue // no rule holds for them, see applyStored
		}
		claims := claimsOf(own)
		had, has := given(before, claims), given(after, claims)
		for _, g := range grants {
			if g.User == account.ID && !g.ByRule {
				delete(had, string(g.Stage))
				delete(has, string(g.Stage))
			}
		}
		effect.count(account.Name, had, has)
	}
	return nil
}

// count compares what rules give one person with what they gave before.
func (e *RuleEffect) count(name string, had, has map[string]Grant) {
	gains, loses, changes := false, false, false
	for place, g := range has {
		was, there := had[place]
		gains = gains || !there
		changes = changes || there && was != g
	}
	for place := range had {
		if _, there := has[place]; !there {
			loses = true
		}
	}
	for counter, yes := range map[*int]bool{&e.Gain: gains, &e.Lose: loses, &e.Change: changes} {
		if yes {
			*counter++
		}
	}
	if loses && len(e.Losing) < losersNamed {
		e.Losing = append(e.Losing, name)
	}
}

// claimsOf are the claims of all identities of a person.
func claimsOf(identities []Identity) map[string][]string {
	claims := map[string][]string{}
	for _, i := range identities {
		for name, values := range i.Claims {
			claims[name] = append(claims[name], values...)
		}
	}
	return claims
}

// given is what rules give a person with these claims: by stage, or by the rule for a stage of
// one's own, which the person may not have yet.
func given(rules []Rule, claims map[string][]string) map[string]Grant {
	grants := map[string]Grant{}
	for _, r := range rules {
		if !r.holdsFor(claims) {
			continue
		}
		place := string(r.Stage)
		switch {
		case r.Own != "":
			place = "own " + string(r.ID)
		case r.OwnOf != "":
			place = "all of " + string(r.OwnOf)
		}
		g := grants[place]
		grants[place] = Grant{
			Capabilities: g.Capabilities | r.Capabilities, MaxTTL: max(g.MaxTTL, r.MaxTTL),
		}
	}
	return grants
}

// checkedRule returns a rule as it is stored, or why it cannot be.
func (c *Control) checkedRule(ctx context.Context, tx Store, r Rule) (Rule, error) {
	r, err := checkRule(r)
	if err != nil {
		return r, err
	}
	if err := c.checkPlace(r); err != nil || r.Stage == "" {
		return r, err
	}
	_, err = stageOf(ctx, tx, r.Stage)
	return r, err
}
