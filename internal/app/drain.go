package app

import (
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// movesPerSecond is how many pages a replica that stops sends to the others: they come back
	// with several requests each.
	movesPerSecond = 200
	// leastMove is how long a replica goes on serving after it was asked to stop, so that balancers
	// that look at /readyz send nothing any more.
	leastMove = 2 * time.Second
	// drainLook is how often a replica that drains looks whether somebody is live.
	drainLook = 500 * time.Millisecond
)

// errStopping is what /readyz finds once the server was asked to stop.
var errStopping = errors.New("the server was asked to stop")

// stopping is a check of /readyz.
func (s *server) stopping(context.Context) error {
	if s.draining.Load() {
		return errStopping
	}
	return nil
}

// drain prepares the end: it takes no new broadcast, moves pages to other replicas, and waits for
// the local broadcasts that may finish. It ends at the latest when over does.
func (s *server) drain(over context.Context) {
	s.draining.Store(true)
	s.whip.Drain()
	if s.settings.Drain > 0 {
		s.log.Info("the server stops once nobody is live on its local stages", "latest",
			s.settings.Drain)
	}
	if s.door != nil {
		begin := time.Now()
		s.homes.Drain(over)
		s.feed.Move(over, movesPerSecond)
		rest(over, leastMove-time.Since(begin))
	}
	limit, cancel := context.WithTimeout(over, s.settings.Drain)
	defer cancel()
	for s.somebodyLive() && rest(limit, drainLook) {
	}
}

// rest waits, and reports whether ctx has not ended.
func rest(ctx context.Context, d time.Duration) bool {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// somebodyLive reports whether somebody publishes on a local stage of this server.
func (s *server) somebodyLive() bool {
	stages := s.limits.Load()
	if stages == nil {
		return false
	}
	for arn := range *stages {
		if arn.Local() && s.publishes(arn) {
			return true
		}
	}
	return false
}

func (s *server) publishes(arn stage.ARN) bool {
	present, err := s.media.Participants(context.Background(), arn)
	for _, p := range present {
		if p.Publishing {
			return true
		}
	}
	return err != nil
}

// nobodyOn reports whether a stage may get another home: nobody is on it, or, where this server
// stops, nobody publishes.
func (s *server) nobodyOn(arn stage.ARN) bool {
	if s.draining.Load() {
		return !s.publishes(arn)
	}
	present, err := s.signal.Participants(context.Background(), arn)
	return err == nil && len(present) == 0
}

// leaveStage sends the viewers of a stage to its next home.
func (s *server) leaveStage(arn stage.ARN) {
	present, err := s.signal.Participants(context.Background(), arn)
	if err != nil || len(present) == 0 {
		return
	}
	for _, p := range present {
		s.whip.Close(p.Participant.ID, "shutdown", "The server stops.")
	}
	s.signal.CloseSockets(arn)
}
