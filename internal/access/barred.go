package access

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Barred lists those whose token for a stage of AWS was revoked, and would still open it or may have a session there. At our
// own doors Admit turns them away; AWS has to be told, by whichever server runs when it can be: the revocation may have come
// from the command line, from another replica, or before a restart.
func (c *Control) Barred(ctx context.Context) ([]stage.Participant, error) {
	revoked, err := c.Store.RevokedAtAWS(ctx, c.Now().Add(-stage.MaxSession))
	if err != nil {
		return nil, err
	}
	barred := make([]stage.Participant, 0, len(revoked))
	for _, i := range revoked {
		barred = append(barred, stage.Participant{ID: i.ID, Stage: i.Stage, UserID: string(i.User), ExpiresAt: i.ExpiresAt})
	}
	return barred, nil
}
