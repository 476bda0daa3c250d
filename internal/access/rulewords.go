package access

import (
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// noteRule records in the audit trail that a rule was added, changed or removed. A rule has no
// name, so the entry contains its description, and the description of the rule that it replaces.
func (c *Control) noteRule(
	ctx context.Context, tx Store, by Principal, action Action, before []Rule, r Rule,
) error {
	e := Entry{Action: action, Target: string(r.ID), Stage: r.Stage}
	var err error
	if e.TargetName, err = describe(ctx, tx, before, r); err != nil {
		return err
	}
	for _, old := range before {
		if action != ActionRuleChanged || old.ID != r.ID {
			continue
		}
		was, err := describe(ctx, tx, before, old)
		if err != nil {
			return err
		}
		if was != e.TargetName {
			e.Detail = "before: " + was
		}
	}
	return c.trail.note(ctx, tx, by, e)
}

// describe returns a sentence about a rule: to which users it gives which access.
func describe(ctx context.Context, tx Store, rules []Rule, r Rule) (string, error) {
	what := r.stages(rules)
	if r.Stage != "" {
		record, err := tx.Stage(ctx, r.Stage)
		if err == nil {
			what = `"` + record.Stage.Name + `"`
		} else if !errors.Is(err, stage.ErrNotFound) {
			return "", err
		}
	}
	return r.words(what), nil
}

// words returns the sentence about a rule. The parameter `what` describes the stages to which the
// rule gives access.
func (r Rule) words(what string) string {
	who := "everybody"
	if r.Claim.Name != "" {
		who = r.Claim.Name + "=" + r.Claim.Value
	}
	return cleanText(who+" → "+what+" ("+r.Capabilities.String()+", tokens up to "+
		inWords(r.MaxTTL)+")", 400)
}

// stages names the stages that a rule gives: a single stage by its ARN.
func (r Rule) stages(rules []Rule) string {
	switch {
	case r.OwnOf != "":
		return allStagesOf(rules, r.OwnOf)
	case r.Region != "":
		return `a stage of their own, "` + r.Own + `", in ` + r.Region
	case r.Own != "":
		return `a stage of their own, "` + r.Own + `"`
	}
	return string(r.Stage)
}

// allStagesOf names all stages that a rule creates.
func allStagesOf(rules []Rule, maker RuleID) string {
	for _, r := range rules {
		if r.ID == maker {
			return `all stages "` + r.Own + `"`
		}
	}
	return "all stages of the rule " + string(maker)
}
