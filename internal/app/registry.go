package app

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/metrics"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A registry finds the component of this process that serves a stage, by the region of the stage's
// ARN. access.Control issues tokens and disconnects participants through the registry. The
// components that serve stages need access.Control. So the registry is built first, and each
// component registers when it is complete. Until then, its stages are not served and have no
// participants.
type registry struct {
	local atomic.Pointer[localStages]
	aws   atomic.Pointer[aws]
}

var (
	_ stage.Issuer      = (*registry)(nil)
	_ stage.Moderator   = (*registry)(nil)
	_ access.StageMaker = (*registry)(nil)
)

// IssueToken implements stage.Issuer.
func (r *registry) IssueToken(
	ctx context.Context, req stage.TokenRequest,
) (stage.ParticipantToken, error) {
	local, aws := r.local.Load(), r.aws.Load()
	switch {
	case req.Stage.Local() && local != nil:
		return local.signer.IssueToken(ctx, req)
	case !req.Stage.Local() && aws != nil:
		return aws.router.IssueToken(ctx, req)
	}
	return stage.ParticipantToken{}, errNotServed(req.Stage)
}

// Participants implements stage.Moderator.
func (r *registry) Participants(ctx context.Context, arn stage.ARN) ([]stage.Presence, error) {
	local, aws := r.local.Load(), r.aws.Load()
	switch {
	case arn.Local() && local != nil:
		return local.signal.Participants(ctx, arn)
	case arn.Local():
		return nil, nil
	case aws != nil:
		return aws.Participants(ctx, arn)
	}
	return nil, errNotServed(arn)
}

// Disconnect implements stage.Moderator.
func (r *registry) Disconnect(
	ctx context.Context, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	local, aws := r.local.Load(), r.aws.Load()
	switch {
	case arn.Local() && local != nil:
		return local.disconnect(ctx, arn, id, reason)
	case arn.Local():
		return stage.Errorf(stage.ErrNotFound, "No participant is connected here.")
	case aws != nil:
		return aws.Disconnect(ctx, arn, id, reason)
	}
	return errNotServed(arn)
}

func errNotServed(arn stage.ARN) error {
	if arn.Local() {
		return stage.Errorf(stage.ErrUnavailable, "The stage %s is not served here.", arn)
	}
	return stage.Errorf(stage.ErrUnavailable,
		"This stage is one of AWS in %s, which this server does not serve at the moment; its "+
			"operator starts it with --ivs-region %s.", arn.Region(), arn.Region())
}

// ServesRegion implements access.StageMaker.
func (r *registry) ServesRegion(region string) bool {
	aws := r.aws.Load()
	return aws != nil && aws.ServesRegion(region)
}

// EnsureStage implements access.StageMaker.
func (r *registry) EnsureStage(
	ctx context.Context, region, name string, tags map[string]string, again bool,
) (stage.Stage, error) {
	aws := r.aws.Load()
	if aws == nil {
		return stage.Stage{}, stage.Errorf(stage.ErrUnavailable,
			"This server does not serve the region %s at the moment.", region)
	}
	return aws.EnsureStage(ctx, region, name, tags, again)
}

// removed disconnects all participants from a removed local stage. A removed AWS stage goes on at
// AWS with its participants.
func (r *registry) removed(arn stage.ARN) {
	if local := r.local.Load(); local != nil && arn.Local() {
		local.close(arn)
	}
}

// Package homes calls the following three methods.

// lost ends all sessions on the local stages of this server, because from now on other replicas may
// become their homes.
func (r *registry) lost() {
	if local := r.local.Load(); local != nil {
		local.closeAll()
	}
}

// idle reports whether a stage may move to another home.
func (r *registry) idle(arn stage.ARN) bool {
	local := r.local.Load()
	return local == nil || local.idle(arn)
}

// left ends the sessions of a stage on this server, so that its viewers reconnect to its next home.
func (r *registry) left(arn stage.ARN) {
	if local := r.local.Load(); local != nil {
		local.leave(arn)
	}
}

// stageEvents counts stage events for the metrics and passes them to the feed.
type stageEvents struct {
	metrics *metrics.Metrics
	feed    *feed.Feed
}

func (s stageEvents) add(e stage.Event) {
	if !kicked(e) {
		s.metrics.StageEvent(e)
	}
	s.feed.StageEvent(e)
}

func kicked(e stage.Event) bool {
	return e.Kind == stage.EventEnded && e.Code == stage.CodeKicked
}

// record stores an event. It also counts the sessions that ended by a kick or a bar. stageEvents
// cannot count them: only the audit trail, which Events.Record has read, distinguishes a bar from a
// kick.
func (s *server) record(ctx context.Context, e stage.Event) (access.StoredEvent, error) {
	stored, err := s.control.Events.Record(ctx, e)
	if kicked(e) && !errors.Is(err, stage.ErrUnavailable) { // the feed tries again
		if stored.Barred {
			e.Code = metrics.ReasonBarred
		}
		s.metrics.StageEvent(e)
	}
	return stored, err
}
