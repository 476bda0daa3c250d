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
func (m *Moderation) Refusals(
	ctx context.Context, by Principal, arn stage.ARN, p Page,
) (PageOf[StoredEvent], error) {
	stages, err := m.moderated(ctx, by, arn)
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
	list, err := m.store.ListEvents(ctx, f, p)
	since := m.now().Add(-refusalsFor)
	for i, e := range list.Items {
		if e.Time.Before(since) {
			list.Items, list.Next = list.Items[:i], ""
			break
		}
	}
	return list, err
}
