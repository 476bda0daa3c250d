package app

import (
	"context"
	"encoding/json"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/lease"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// several reports whether other servers may be on the same database.
func (s *server) several() bool { return s.settings.Database != "" }

// wireLead makes this server one of those of which one at a time does what is done once for all:
// observes the AWS stages, keeps out who is barred there, rotates keys and prunes.
//
// A function has no election: each instance does what it is invoked for, and what several of them
// observe is stored once (access.Repeats).
func (s *server) wireLead() {
	if s.lead != nil {
		return
	}
	var leases lease.Store
	if s.several() {
		leases = s.store
	}
	by := lease.Holder{ID: stage.NewID(), Peer: s.settings.PeerURL}
	s.lead = lease.NewLead(leases, "housekeeping", by, time.Now, s.log)
}

// runLead takes part in the election, and does what the one that leads does.
func (s *server) runLead(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error { return s.lead.Run(ctx) })
	g.Go(func() error { return s.every(ctx, pruneEvery, s.pruneIfLeading) })
	if s.aws != nil {
		g.Go(func() error { return s.aws.Run(ctx) })
		g.Go(func() error { return s.lead.While(ctx, s.aws.keys.Run) })
		g.Go(func() error { return s.lead.While(ctx, s.recall) })
	}
}

func (s *server) pruneIfLeading(ctx context.Context) error {
	if !s.lead.Leads() {
		return nil
	}
	return s.control.Prune(ctx)
}

// recall takes up what EventBridge posted while no server led.
func (s *server) recall(ctx context.Context) error {
	s.aws.Recall()
	<-ctx.Done()
	return nil
}

// sources are what the feed asks while it runs.
func (s *server) sources() feed.Sources {
	from := feed.Sources{
		Record: s.control.RecordEvent, Participants: s.registry.Participants,
		Refresh: s.control.Refresh,
	}
	if s.aws != nil {
		aws := s.aws
		from.PassedOn = func(event json.RawMessage) { aws.Passed(event) } // of EventBridge
	}
	return from
}
