package app

import (
	"context"
	"log/slog"
	"time"
)

// ownEvery is how often the server looks in the database for stages to create: stages that other
// replicas requested, and stages whose creation failed.
const ownEvery = 10 * time.Second

// ownStages creates at AWS the stages that rules give to each user.
type ownStages struct {
	bell chan struct{}
	log  *slog.Logger
}

func newOwnStages(log *slog.Logger) *ownStages {
	return &ownStages{bell: make(chan struct{}, 1), log: log}
}

// wake makes the method `run` create stages at once. It does not block.
func (o *ownStages) wake() {
	select {
	case o.bell <- struct{}{}:
	default:
	}
}

// Until ctx ends, run calls the given function after each wake, and every ownEvery. The function
// creates some of the requested stages, and reports whether there are more.
func (o *ownStages) run(
	ctx context.Context, create func(context.Context) (more bool, err error),
) error {
	ticker := time.NewTicker(ownEvery)
	defer ticker.Stop()
	for {
		more, err := create(ctx)
		if err != nil && ctx.Err() == nil {
			o.log.WarnContext(ctx, "the users' own stages cannot be read", "err", err)
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
