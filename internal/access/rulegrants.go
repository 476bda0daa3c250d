package access

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// A RuleGrant gives a user access to every stage that a rule creates, including future ones. It is
// one row for any number of stages.
type RuleGrant struct {
	User         UserID
	Rule         RuleID // the rule that creates the stages
	Capabilities stage.Capabilities
	MaxTTL       time.Duration
}

// A RuleGrantStore stores the access to the stages of rules.
type RuleGrantStore interface {
	RuleGrants(ctx context.Context, user UserID) ([]RuleGrant, error)
	PutRuleGrant(ctx context.Context, g RuleGrant) error
	DeleteRuleGrant(ctx context.Context, user UserID, rule RuleID) error
	// RuleHolders lists the users with access to the stages of a rule.
	RuleHolders(ctx context.Context, rule RuleID) ([]UserID, error)
	// GrantsByRules lists the access that a user's RuleGrants give, as one grant for each stage.
	GrantsByRules(ctx context.Context, user UserID) ([]Grant, error)
	// RuleOfStage returns the rule that created a stage, or stage.ErrNotFound.
	RuleOfStage(ctx context.Context, arn stage.ARN) (RuleID, error)
	// StagesOfTokens lists the stages of a user's tokens that are not revoked.
	StagesOfTokens(
		ctx context.Context, user UserID, issuedAfter, expireAfter time.Time,
	) ([]stage.ARN, error)
}

// With adds the access that rules give on the same stage. It does not change a grant that an
// operator gave. If the grant is barred, so is the result.
func (g Grant) With(byRules Grant) Grant {
	switch {
	case byRules.Capabilities == 0 || g.Capabilities != 0 && !g.ByRule:
		return g
	case g.Capabilities == 0:
		return byRules
	}
	g.Capabilities |= byRules.Capabilities
	g.MaxTTL = max(g.MaxTTL, byRules.MaxTTL)
	return g
}

// accesses lists all access of a user, as one grant for each stage.
func (l *stageList) accesses(ctx context.Context, id UserID) ([]Grant, error) {
	grants, err := l.store.Grants(ctx, id)
	if err != nil {
		return nil, err
	}
	byRules, err := l.store.GrantsByRules(ctx, id)
	if err != nil || len(byRules) == 0 {
		return grants, err
	}
	on := make(map[stage.ARN]int, len(grants))
	for i, g := range grants {
		on[g.Stage] = i
	}
	for _, g := range byRules {
		if i, there := on[g.Stage]; there {
			grants[i] = grants[i].With(g)
			continue
		}
		on[g.Stage] = len(grants)
		grants = append(grants, g)
	}
	return grants, nil
}

// widen stores the RuleGrants that the rules give now. It removes none; shrink does.
func (c *Control) widen(
	ctx context.Context, tx Store, why ruling, account Account, want, there map[RuleID]RuleGrant,
) error {
	for rule, g := range want {
		if there[rule] == g {
			continue
		}
		if err := tx.PutRuleGrant(ctx, g); err != nil {
			return err
		}
		if err := tx.Advance(ctx, account.ID); err != nil {
			return err
		}
		if err := c.noteRuleGrant(ctx, tx, why, account, g); err != nil {
			return err
		}
	}
	return nil
}

// shrink deletes the RuleGrants that the rules no longer give, and revokes the open tokens that
// depended on them. It reads only the stages of these tokens, and not all stages of the rules.
func (c *Control) shrink(
	ctx context.Context, tx Store, why ruling, account Account, want, there map[RuleID]RuleGrant,
) ([]Issuance, error) {
	less := false
	for rule, had := range there {
		g, stays := want[rule]
		less = less || had.Capabilities&^g.Capabilities != 0 || g.MaxTTL < had.MaxTTL
		if stays {
			continue
		}
		if err := tx.DeleteRuleGrant(ctx, account.ID, rule); err != nil {
			return nil, err
		}
		had.Capabilities = 0
		if err := c.noteRuleGrant(ctx, tx, why, account, had); err != nil {
			return nil, err
		}
	}
	if !less {
		return nil, nil
	}
	return c.narrowAll(ctx, tx, account)
}

// narrowAll calls `narrow` for every stage on which the user has open tokens.
func (c *Control) narrowAll(ctx context.Context, tx Store, account Account) ([]Issuance, error) {
	if err := tx.Advance(ctx, account.ID); err != nil {
		return nil, err
	}
	expireAfter := c.cfg.Now().Add(-stage.MaxSession)
	stages, err := tx.StagesOfTokens(ctx, account.ID,
		expireAfter.Add(-stage.MaxTTL-clockSkew), expireAfter)
	if err != nil {
		return nil, err
	}
	var revoked []Issuance
	for _, arn := range stages {
		if arn.Rehearsal() {
			continue // rehearsals depend on no grant
		}
		lost, err := c.narrow(ctx, tx, account, arn)
		if err != nil {
			return nil, err
		}
		revoked = append(revoked, lost...)
	}
	return revoked, nil
}

// noteRuleGrant records in the audit trail that access to the stages of a rule was given or
// removed.
func (c *Control) noteRuleGrant(
	ctx context.Context, tx Store, why ruling, account Account, g RuleGrant,
) error {
	all := allStagesOf(why.rules, g.Rule)
	e := userEntry(ActionAccessGiven, account)
	e.Detail = g.Capabilities.String() + " on " + all + ", by rule"
	if g.Capabilities == 0 {
		e.Action, e.Detail = ActionAccessRemoved, all+": "+cmp.Or(why.lost, "by rule")
	}
	return c.trail.note(ctx, tx, why.by, e)
}

func ruleGrantsOf(ctx context.Context, tx Store, id UserID) (map[RuleID]RuleGrant, error) {
	list, err := tx.RuleGrants(ctx, id)
	grants := map[RuleID]RuleGrant{}
	for _, g := range list {
		grants[g.Rule] = g
	}
	return grants, err
}

// madeBy reports whether one of the rules created a stage.
func madeBy(
	ctx context.Context, tx Store, arn stage.ARN, rules map[RuleID]RuleGrant,
) (bool, error) {
	if len(rules) == 0 {
		return false, nil
	}
	rule, err := tx.RuleOfStage(ctx, arn)
	if errors.Is(err, stage.ErrNotFound) {
		return false, nil
	}
	_, among := rules[rule]
	return among, err
}

// noGrantToRemove returns the error for removing a grant that does not exist. If a rule gives the
// access, the error says so.
func noGrantToRemove(ctx context.Context, tx Store, id UserID, arn stage.ARN) error {
	if permit, err := tx.Permit(ctx, id, arn, Rate{}); err == nil && permit.Grant.ByRule {
		return words.Error(stage.ErrConflict, "said.conflict.byRule", nil)
	}
	return noSuch("grant")
}

// checkMaker returns an error if OwnOf does not name another rule that creates stages.
func checkMaker(rules []Rule, r Rule) error {
	for _, maker := range rules {
		if maker.ID == r.OwnOf && maker.Own != "" && maker.ID != r.ID {
			return nil
		}
	}
	return stage.Errorf(stage.ErrInvalid,
		"ownStagesOf must be the ID of another rule that gives each user a stage of their own.")
}

// spareMaker returns an error while another rule gives access to the stages that a rule creates.
// Such a rule must not be removed, and must not stop creating stages.
func spareMaker(rules []Rule, maker RuleID) error {
	for _, r := range rules {
		if r.OwnOf == maker {
			return words.Error(stage.ErrConflict, "said.conflict.otherRule",
				words.Values{"rule": r.words(r.stages(rules))})
		}
	}
	return nil
}

func (c *Control) namedRuleGrants(ctx context.Context, id UserID) ([]NamedRuleGrant, error) {
	grants, err := c.cfg.Store.RuleGrants(ctx, id)
	if err != nil || len(grants) == 0 {
		return nil, err
	}
	rules, err := c.cfg.Store.Rules(ctx)
	var named []NamedRuleGrant
	for _, r := range rules { // in the order of the rules
		for _, g := range grants {
			if g.Rule == r.ID {
				named = append(named, NamedRuleGrant{g, r.Own})
			}
		}
	}
	return named, err
}
