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

// wireLead prepares the election of a leader among the servers on the database. The leader observes
// the AWS stages, disconnects participants there whose tokens were revoked, finishes interrupted
// changes of own keys, deletes retired keys, and deletes old records.
//
// A Lambda function has no election: each of its instances does this work when it is invoked. It
// deletes no own keys, because other instances may still sign with them. An event that several
// instances observe is stored once (access.Repeats).
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

// runLead takes part in the election, and does the work of the leader while this server leads.
func (s *server) runLead(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error { return s.lead.Run(ctx) })
	g.Go(func() error {
		return s.every(ctx, pruneEvery, "old records cannot be deleted", s.pruneIfLeading)
	})
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

// recall handles the events that EventBridge posted while no server led.
func (s *server) recall(ctx context.Context) error {
	s.aws.Recall()
	<-ctx.Done()
	return nil
}

// sources returns the functions that the feed calls. If AWS stages are served, they include the
// function PassedOn, which receives the events from EventBridge.
func (s *server) sources() feed.Sources {
	from := feed.Sources{
		Record: s.record, Participants: s.registry.Participants,
		Refresh: s.control.Refresh,
	}
	if s.aws != nil {
		aws := s.aws
		// EventBridge sent the event to a replica, which passed it on.
		from.PassedOn = func(event json.RawMessage) { aws.Passed(event) }
	}
	return from
}
