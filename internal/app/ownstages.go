package app

import (
	"context"
	"log/slog"
	"time"
)

// ownEvery is how often the database is searched for stages that other replicas requested, and for
// retries that are due.
const ownEvery = 10 * time.Second

// ownStages creates users' own stages at AWS, as rules demand.
type ownStages struct {
	bell chan struct{}
	log  *slog.Logger
}

func newOwnStages(log *slog.Logger) *ownStages {
	return &ownStages{bell: make(chan struct{}, 1), log: log}
}

// wake starts a search at once. It does not block.
func (o *ownStages) wake() {
	select {
	case o.bell <- struct{}{}:
	default:
	}
}

// run creates the stages that are due until ctx ends. create creates some of them, and reports
// whether there are more.
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
