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

// sweep applies changes by other processes, such as another replica or `stagedoor users remove`. It
// reads the limits of stages, and ends the sessions of participants who may no longer stay.
func (s *server) sweep(ctx context.Context) error {
	stages, err := s.control.Stages.All(ctx)
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

// noticeStages makes event streams read their stages again if another process has changed any.
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

// settle closes the sessions in the database that an earlier run has left open, on SQLite only. If
// there are many, settleOthers closes the rest. On PostgreSQL, open sessions may belong to other
// servers, and package homes closes the sessions of a server that has died. Then settle joins the
// other replicas, if there may be any, and sweeps for the first time.
func (s *server) settle(ctx context.Context) (err error) {
	if s.settings.Database == "" {
		if s.endOthers, err = s.control.Events.EndUnfinished(ctx); err != nil {
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

// settleOthers closes the sessions that `settle` has left open.
func (s *server) settleOthers(ctx context.Context) error {
	if s.endOthers == nil {
		return nil
	}
	for {
		err := s.endOthers(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		s.log.WarnContext(ctx, "sessions that an earlier run left open cannot be ended yet",
			"err", err)
		select {
		case <-time.After(sweepEvery):
		case <-ctx.Done():
		}
	}
}

// limitsFor returns a function that returns the limits of a stage. The media plane calls it often,
// so it does not read the database.
func limitsFor(known *knownStages, enforce bool) func(stage.ARN) sfu.Limits {
	return func(arn stage.ARN) sfu.Limits {
		limits, ok := known.find(arn)
		if !ok {
			limits = stage.DefaultLimits()
		}
		return sfu.Limits{Limits: limits, NoBFrames: true, Enforce: enforce}
	}
}

// sweepStage disconnects the participants of a stage who may no longer stay.
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

// every calls the given function periodically until ctx ends. It logs each error of the function,
// with `trouble` as the message, and continues.
func (s *server) every(
	ctx context.Context, pause time.Duration, trouble string, do func(context.Context) error,
) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := do(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, trouble, "err", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}
