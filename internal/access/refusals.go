package access

import (
	"context"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// refusalsFor is how long moderators see refusals.
const refusalsFor = time.Hour

// Refusals lists the refusals of the last hour, newest first: of one stage, or of all stages that
// the caller moderates.
func (c *Control) Refusals(
	ctx context.Context, by Principal, arn stage.ARN, p Page,
) (PageOf[StoredEvent], error) {
	stages, err := c.moderated(ctx, by, arn)
	if err != nil {
		return PageOf[StoredEvent]{}, err
	}
	p, err = checkList(p, "", arn)
	if err != nil {
		return PageOf[StoredEvent]{}, err
	}
	f := EventFilter{Kind: stage.EventRefused, Stages: stages}
	if stages != nil && len(stages) == 0 {
		return PageOf[StoredEvent]{}, nil
	}
	list, err := c.cfg.Store.ListEvents(ctx, f, p)
	since := c.cfg.Now().Add(-refusalsFor)
	for i, e := range list.Items {
		if e.Time.Before(since) {
			list.Items, list.Next = list.Items[:i], ""
			break
		}
	}
	return list, err
}

// moderated returns the stages to which a list for moderators is limited: the requested one, or all
// that were granted. nil means every stage, for operators.
func (c *Control) moderated(ctx context.Context, by Principal, arn stage.ARN) ([]stage.ARN, error) {
	if err := by.Require(ScopeModerate); err != nil {
		return nil, err
	}
	if arn != "" {
		return []stage.ARN{arn}, c.mayKick(ctx, by, arn)
	}
	if by.User.Role == Operator {
		return nil, nil
	}
	grants, err := c.cfg.Store.Grants(ctx, by.User.ID)
	stages := []stage.ARN{}
	for _, g := range grants {
		if effective(by.User.Role, g).Capabilities != 0 && len(stages) < maxModerated {
			stages = append(stages, g.Stage)
		}
	}
	return stages, err
}

// Moderated lists the stages that the caller moderates, or the requested one.
func (c *Control) Moderated(
	ctx context.Context, by Principal, arn stage.ARN,
) ([]stage.Stage, error) {
	wanted, err := c.moderated(ctx, by, arn)
	if err != nil {
		return nil, err
	}
	all, err := c.Stages(ctx, by)
	list := make([]stage.Stage, 0, len(all))
	for _, s := range all {
		if wanted == nil || slices.Contains(wanted, s.Stage.ARN) {
			list = append(list, s.Stage)
		}
	}
	return list, err
}

// maxModerated limits how many lists are merged into one page.
const maxModerated = 100

// NamesOf returns the names of users in a list that the caller received.
func (c *Control) NamesOf(
	ctx context.Context, by Principal, ids ...UserID,
) (map[UserID]string, error) {
	if err := by.Require(ScopeModerate); err != nil || len(ids) == 0 {
		return nil, err
	}
	return c.cfg.Store.Names(ctx, ids...)
}
