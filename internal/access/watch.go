package access

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// MayWatch says whether somebody who watches a stage by a login, without a token, still may: Admit for those. Without the
// login's ID the access to the stage alone is asked for.
func (c *Control) MayWatch(ctx context.Context, who UserID, login string, arn stage.ARN) error {
	if login != "" {
		found, err := c.Store.Credentials(ctx, Match{Kind: KindLogin, ID: login, User: who})
		if err != nil {
			return err
		}
		if len(found) == 0 || !c.Now().Before(found[0].ExpiresAt) {
			return signInAgain()
		}
	}
	return c.maySubscribe(ctx, who, arn)
}
