package app

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// sweep applies the changes of other processes, such as another replica or `stagedoor users
// remove`: the limits of stages, and revocations, which end live sessions.
func (s *server) sweep(ctx context.Context) error {
	stages, err := s.control.AllStages(ctx)
	if err != nil {
		return err
	}
	s.noticeStages(stages)
	limits := map[stage.ARN]stage.Limits{}
	for _, record := range stages {
		limits[record.ARN] = record.Limits
	}
	s.known.set(limits)
	for arn := range limits {
		if arn.Local() {
			err = errors.Join(err, s.sweepStage(ctx, arn))
		}
	}
	return err
}

// noticeStages makes event streams read the stages again that another process changed.
func (s *server) noticeStages(stages []access.StageRecord) {
	h := fnv.New64a()
	for _, record := range stages {
		fmt.Fprintf(h, "%q %q %v\n", record.ARN, record.Name, record.Limits)
	}
	if s.swept != h.Sum64() {
		s.swept = h.Sum64()
		s.control.Refresh()
		s.feed.Recheck("")
	}
}

// settle closes the records that an earlier run left open. On PostgreSQL another server may be
// running: what it left open is closed when it counts as dead.
func (s *server) settle(ctx context.Context) error {
	if s.settings.Database == "" {
		if err := s.control.EndUnfinished(ctx); err != nil {
			return err
		}
	}
	if s.homes != nil {
		if err := s.homes.Join(ctx); err != nil {
			return err
		}
	}
	return s.sweep(ctx)
}

// limitsFor returns a function that the media plane calls often, and that must not wait for the
// database.
func limitsFor(known *knownStages, enforce bool) func(stage.ARN) sfu.Limits {
	return func(arn stage.ARN) sfu.Limits {
		limits, ok := known.find(arn)
		if !ok {
			limits = stage.DefaultLimits()
		}
		return sfu.Limits{Limits: limits, NoBFrames: true, Enforce: enforce}
	}
}

// sweepStage disconnects the participants who may no longer stay.
func (s *server) sweepStage(ctx context.Context, arn stage.ARN) error {
	present, err := s.local.signal.Participants(ctx, arn)
	for _, p := range present {
		err := s.control.MayStay(ctx, p.Participant)
		if errors.Is(err, stage.ErrDenied) || errors.Is(err, stage.ErrUnauthorized) {
			s.local.end(ctx, p.Participant, "token_revoked",
				"The token was revoked, the login has ended, or the access to this stage "+
					"was removed.")
		}
	}
	return err
}

// every runs housekeeping until ctx ends. After a failure it retries in the next round.
func (s *server) every(
	ctx context.Context, pause time.Duration, do func(context.Context) error,
) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := do(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("housekeeping failed", "err", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}
