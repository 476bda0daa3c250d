package feed

import (
	"context"
	"log/slog"
	"time"
)

// sendLimit limits the time for sending a notice.
const sendLimit = 5 * time.Second

// A sender sends notices to all replicas, including this one.
type sender struct {
	relay Relay
	log   *slog.Logger
}

// send sends a notice. It only logs a failure, because pages authenticate again and resume after a
// while anyway.
func (s sender) send(n Notice) {
	if err := s.trySend(context.Background(), n); err != nil {
		s.log.Warn("a notice was not sent to the other replicas", "kind", n.Kind, "err", err)
	}
}

func (s sender) trySend(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendLimit)
	defer cancel()
	return s.relay.Send(ctx, n)
}

// sleep reports whether the time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}
