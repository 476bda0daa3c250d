package access

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// losersNamed is the most names in RuleEffect.Losing.
const losersNamed = 10

// A RuleEffect counts the users whom a rule would affect. Operators have access to every stage, so
// they only count if a rule would create a stage for them.
type RuleEffect struct {
	Gain   int      // users who would get access to a stage, or a stage of their own
	Lose   int      // users who would lose access to a stage; this revokes their open tokens
	Change int      // users whose capabilities or longest token life on a stage would change
	Losing []string // names of some users who would lose access, at most losersNamed
}

// RuleEffect computes what PutRule would change, and changes nothing. It takes into account that
// rules do not change the grants that operators gave, and that the other rules still apply.
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
	if r, err = c.placeRule(before, r); err != nil {
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

// addEffect adds the effect on a batch of accounts.
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
		own := slices.DeleteFunc(slices.Clone(identities), func(i Identity) bool {
			return i.User != account.ID
		})
		if !c.signIns.byPassword(account) && allRefused(own) {
			continue // no rule applies to such an account, see applyStored
		}
		claims := claimsOf(own)
		had, has := given(before, claims), given(after, claims)
		if account.Role == Operator {
			gains, err := c.gainsStage(ctx, account.ID, had, has)
			if err != nil {
				return err
			}
			if gains {
				effect.Gain++
			}
			continue
		}
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

// gainsStage reports whether a rule would create a stage for a user.
func (c *Control) gainsStage(
	ctx context.Context, id UserID, had, has map[string]Grant,
) (bool, error) {
	for place := range has {
		rule, own := strings.CutPrefix(place, ownPlace)
		if _, there := had[place]; there || !own {
			continue
		}
		_, err := c.cfg.Store.OwnStage(ctx, RuleID(rule), id)
		if errors.Is(err, stage.ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// count compares the grants that rules give one user with the earlier ones.
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

// claimsOf returns the claims of all identities of a user.
func claimsOf(identities []Identity) map[string][]string {
	claims := map[string][]string{}
	for _, i := range identities {
		for name, values := range i.Claims {
			claims[name] = append(claims[name], values...)
		}
	}
	return claims
}

// In the map that the function `given` returns, the key of a rule for own stages is ownPlace and
// the ID of the rule.
const ownPlace = "own "

// given returns the grants that rules give a user with these claims: by stage; by the rule for an
// own stage, which may not exist yet; or by the rule in OwnOf.
func given(rules []Rule, claims map[string][]string) map[string]Grant {
	grants := map[string]Grant{}
	for _, r := range rules {
		if !r.holdsFor(claims) {
			continue
		}
		place := string(r.Stage)
		switch {
		case r.Own != "":
			place = ownPlace + string(r.ID)
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

// checkedRule returns a rule in its stored form, or an error.
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
