package app

import (
	"context"
	"time"
)

// ownEvery finds what another replica wanted, and what is due again.
const ownEvery = 10 * time.Second

// ownStages creates the stages of one's own that rules want at AWS.
type ownStages struct {
	bell chan struct{}
	make func(context.Context) (more bool, err error)
	fail func(error)
}

// wake looks at once. It does not block.
func (o *ownStages) wake() {
	select {
	case o.bell <- struct{}{}:
	default:
	}
}

func (o *ownStages) run(ctx context.Context) error {
	ticker := time.NewTicker(ownEvery)
	defer ticker.Stop()
	for {
		more, err := o.make(ctx)
		if err != nil && ctx.Err() == nil {
			o.fail(err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-o.bell:
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
