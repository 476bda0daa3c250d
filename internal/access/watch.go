package access

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// MayWatch says whether somebody who watches a stage by their login, without a token, still may: Admit for those.
func (c *Control) MayWatch(ctx context.Context, who UserID, arn stage.ARN) error {
	return c.maySubscribe(ctx, who, arn)
}
