package access

import (
	"context"
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
	f := EventFilter{Kind: stage.EventRefused, Stages: stages.list, Of: stages.of}
	if stages.none() {
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

// narrowed limits a list for moderators to certain stages. The zero value means every stage.
type narrowed struct {
	list []stage.ARN // these stages; nil: see the next field
	// the stages of this user, if they are too many for `list`; "" means every stage
	of UserID
}

func (n narrowed) none() bool { return n.list != nil && len(n.list) == 0 }

// moderated returns the stages to which a list for moderators is limited: the requested one, or all
// that were granted. Operators moderate every stage.
func (c *Control) moderated(ctx context.Context, by Principal, arn stage.ARN) (narrowed, error) {
	if err := by.Require(ScopeModerate); err != nil {
		return narrowed{}, err
	}
	if arn != "" {
		return narrowed{list: []stage.ARN{arn}}, c.mayKick(ctx, by, arn)
	}
	if by.User.Role == Operator {
		return narrowed{}, nil
	}
	grants, err := c.accesses(ctx, by.User.ID)
	stages := []stage.ARN{}
	for _, g := range grants {
		if effective(by.User.Role, g).Capabilities != 0 {
			stages = append(stages, g.Stage)
		}
	}
	if len(stages) > maxModerated {
		return narrowed{of: by.User.ID}, err
	}
	return narrowed{list: stages}, err
}

// Moderated lists the stages that the caller moderates, or the requested one.
func (c *Control) Moderated(
	ctx context.Context, by Principal, arn stage.ARN,
) ([]stage.Stage, error) {
	if err := by.Require(ScopeModerate); err != nil {
		return nil, err
	}
	if arn != "" {
		if err := c.mayKick(ctx, by, arn); err != nil {
			return nil, err
		}
	}
	all, err := c.Stages(ctx, by)
	list := make([]stage.Stage, 0, len(all))
	for _, s := range all {
		if arn == "" || s.Stage.ARN == arn {
			list = append(list, s.Stage)
		}
	}
	return list, err
}

// maxModerated is the most stages whose lists are merged into one page. For more stages, one list
// of all stages is read, with the condition that the user has access.
const maxModerated = 100

// NamesOf returns the names of users. The caller must have received their IDs in another answer;
// NamesOf does not check that.
func (c *Control) NamesOf(
	ctx context.Context, by Principal, ids ...UserID,
) (map[UserID]string, error) {
	if err := by.Require(ScopeModerate); err != nil || len(ids) == 0 {
		return nil, err
	}
	return c.cfg.Store.Names(ctx, ids...)
}

// GuestsOf returns the names of the guests among participants. The caller must have received the
// IDs in another answer; GuestsOf does not check that. An event of a guest cannot name the guest,
// since its user is the owner of the guest link.
func (c *Control) GuestsOf(
	ctx context.Context, by Principal, ids ...stage.ParticipantID,
) (map[stage.ParticipantID]string, error) {
	if err := by.Require(ScopeModerate); err != nil || len(ids) == 0 {
		return nil, err
	}
	tokens, err := c.cfg.Store.Issuances(ctx, ids...)
	names := map[stage.ParticipantID]string{}
	for _, i := range tokens {
		if i.guest() {
			names[i.ID] = i.UserName
		}
	}
	return names, err
}
