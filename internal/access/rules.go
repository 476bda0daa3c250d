package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const (
	maxRules       = 500
	maxClaimLength = 256
)

// A RuleID identifies a rule.
type RuleID string

// A Rule gives access to one or more stages. It applies to the users who have a claim with a
// certain value, or to every user.
type Rule struct {
	ID    RuleID
	Claim Claim     // empty for every user
	Stage stage.ARN // empty: see Own and OwnOf
	// Own is the name of the stage that each user gets; {name} stands for the name of the user.
	Own string
	// OwnOf names another rule, which has the field Own. This rule gives access to every stage that
	// the other rule creates.
	OwnOf        RuleID
	Region       string // AWS region of the stages that the rule creates; empty for local stages
	Capabilities stage.Capabilities
	MaxTTL       time.Duration
	CreatedAt    time.Time
}

// A RuleStore stores rules, the stages that they created, and the stages that they still have to
// create at AWS.
type RuleStore interface {
	// Rules lists all rules, oldest first.
	Rules(ctx context.Context) ([]Rule, error)
	PutRule(ctx context.Context, r Rule) error
	// DeleteRule returns stage.ErrNotFound for an unknown ID.
	DeleteRule(ctx context.Context, id RuleID) error
	// OwnStage returns the stage that a rule created for a user, or stage.ErrNotFound.
	OwnStage(ctx context.Context, rule RuleID, user UserID) (stage.ARN, error)
	PutOwnStage(ctx context.Context, rule RuleID, user UserID, arn stage.ARN) error
	// WantOwnStage records, once, that a stage must be created at AWS.
	WantOwnStage(ctx context.Context, rule RuleID, user UserID, now time.Time) error
	// ClaimOwnStages returns the requests for stages that are due, and counts the attempt. It does
	// not return them to another replica before the time `until`.
	ClaimOwnStages(ctx context.Context, now, until time.Time, limit int) ([]OwnWanted, error)
	// PostponeOwnStage sets the time at which a stage is due again.
	PostponeOwnStage(ctx context.Context, w OwnWanted, until time.Time) error
	// DropOwnStage deletes the request for a stage, because the stage exists now or is no longer
	// wanted.
	DropOwnStage(ctx context.Context, w OwnWanted) error
	// AccountsAfter lists accounts by ID, at most `limit`.
	AccountsAfter(ctx context.Context, after UserID, limit int) ([]Account, error)
}

// Rules lists the rules.
func (c *Control) Rules(ctx context.Context, by Principal) ([]Rule, error) {
	if err := by.Require(ScopeUsers); err != nil {
		return nil, err
	}
	return c.cfg.Store.Rules(ctx)
}

// PutRule adds a rule, or changes the one with its ID, and applies it to all users.
func (c *Control) PutRule(ctx context.Context, by Principal, r Rule) (Rule, error) {
	if err := by.Require(ScopeUsers); err != nil {
		return Rule{}, err
	}
	action := ActionRuleChanged
	if r.ID == "" {
		action = ActionRuleCreated
	}
	given := r
	err := c.cfg.Store.Atomically(ctx, func(tx Store) (err error) {
		if r, err = c.checkedRule(ctx, tx, given); err != nil {
			return err
		}
		rules, err := tx.Rules(ctx)
		if err != nil {
			return err
		}
		if r, err = c.placeRule(rules, r); err != nil {
			return err
		}
		if err := tx.PutRule(ctx, r); err != nil {
			return err
		}
		return c.noteRule(ctx, tx, by, action, rules, r)
	})
	if err != nil {
		return Rule{}, err
	}
	err = c.applyToAll(ctx, by)
	c.wakeMaker()
	return r, err
}

// checkPlace refuses a rule for own stages that this server cannot create.
func (c *Control) checkPlace(r Rule) error {
	switch {
	case r.Own == "" && r.Region != "":
		return stage.Errorf(stage.ErrInvalid, "region is only for a rule that creates stages: it "+
			"needs own.")
	case r.Own != "" && r.Region == "" && c.cfg.NoLocalStages:
		return noLocalStages()
	case r.Region != "" && (c.cfg.StageMaker == nil || !c.cfg.StageMaker.ServesRegion(r.Region)):
		return words.Error(stage.ErrInvalid, "said.invalid.ruleRegion",
			words.Values{"region": r.Region})
	}
	return nil
}

func (c *Control) wakeMaker() {
	if c.cfg.Wanted != nil {
		c.cfg.Wanted()
	}
}

// placeRule sets the ID and the creation time of a new rule. A rule that replaces a stored one gets
// the creation time of the stored one. placeRule refuses a rule that does not fit the other rules.
func (c *Control) placeRule(rules []Rule, r Rule) (Rule, error) {
	if r.OwnOf != "" {
		if err := checkMaker(rules, r); err != nil {
			return r, err
		}
	}
	if r.ID == "" {
		if len(rules) >= maxRules {
			return r, words.Error(stage.ErrConflict, "said.conflict.rules",
				words.Values{"n": maxRules})
		}
		r.ID, r.CreatedAt = RuleID(stage.NewID()), c.cfg.Now()
		return r, nil
	}
	i := slices.IndexFunc(rules, func(old Rule) bool { return old.ID == r.ID })
	if i < 0 {
		return r, noSuch("rule")
	}
	if r.Own == "" {
		if err := spareMaker(rules, r.ID); err != nil {
			return r, err
		}
	}
	r.CreatedAt = rules[i].CreatedAt
	return r, nil
}

func checkRule(r Rule) (Rule, error) {
	if (r.Claim.Name == "") != (r.Claim.Value == "") || len(r.Claim.Name) > maxClaimLength ||
		len(r.Claim.Value) > maxClaimLength {
		return r, words.Error(stage.ErrInvalid, "said.invalid.ruleClaim", nil)
	}
	kinds := 0
	for _, given := range []bool{r.Stage != "", r.Own != "", r.OwnOf != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return r, words.Error(stage.ErrInvalid, "said.invalid.ruleStages", nil)
	}
	if r.Own != "" {
		if _, err := cleanName(ownName(r.Own, "x")); err != nil {
			return r, err
		}
		if !strings.Contains(r.Own, "{name}") {
			return r, words.Error(stage.ErrInvalid, "said.invalid.ruleOwn", nil)
		}
	}
	g, err := checkGrant(Grant{Stage: r.Stage, Capabilities: r.Capabilities, MaxTTL: r.MaxTTL})
	r.MaxTTL = g.MaxTTL
	return r, err
}

func ownName(pattern, name string) string { return strings.ReplaceAll(pattern, "{name}", name) }

// RemoveRule deletes a rule and removes the access that only this rule gave.
func (c *Control) RemoveRule(ctx context.Context, by Principal, id RuleID) error {
	if err := by.Require(ScopeUsers); err != nil {
		return err
	}
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		rules, err := tx.Rules(ctx)
		if err != nil {
			return err
		}
		if err := spareMaker(rules, id); err != nil {
			return err
		}
		if err := tx.DeleteRule(ctx, id); err != nil {
			return notFoundIs(err, noSuch("rule"))
		}
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
		return c.noteRule(ctx, tx, by, ActionRuleRemoved, rules, rules[i])
	})
	if err != nil {
		return err
	}
	return c.applyToAll(ctx, by)
}
