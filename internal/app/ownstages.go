package app

import (
	"context"
	"log/slog"
	"time"
)

// ownEvery finds what another replica wanted, and what is due again.
const ownEvery = 10 * time.Second

// ownStages creates the stages of one's own that rules want at AWS.
type ownStages struct {
	bell chan struct{}
	log  *slog.Logger
}

func newOwnStages(log *slog.Logger) *ownStages {
	return &ownStages{bell: make(chan struct{}, 1), log: log}
}

// wake looks at once. It does not block.
func (o *ownStages) wake() {
	select {
	case o.bell <- struct{}{}:
	default:
	}
}

// run creates what is due until ctx ends. create creates some, and reports whether there are more.
func (o *ownStages) run(
	ctx context.Context, create func(context.Context) (more bool, err error),
) error {
	ticker := time.NewTicker(ownEvery)
	defer ticker.Stop()
	for {
		more, err := create(ctx)
		if err != nil && ctx.Err() == nil {
			o.log.Warn("stages of one's own cannot be looked up", "err", err)
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
