package obs

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Check reads the settings of OBS and judges them.
func Check(ctx context.Context, c *Client, limits stage.Limits) ([]Finding, error) {
	r, err := Read(ctx, c)
	if err != nil {
		return nil, err
	}
	return Judge(r, limits), nil
}
