// Package feed sends stage events, presence, docks and chat to the open pages, as streams with
// bounded queues. The state that the replicas share is behind the interface Shared.
//
// Package web renders streams as server-sent events, and decides who may open which.
package feed

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// Config is what New needs. The Sources are passed to Run instead, so that packages that use the
// feed can provide them.
type Config struct {
	Shared Shared
	Log    *slog.Logger
	Now    func() time.Time
	// Asks reports whether this replica queries Amazon IVS for presence on AWS stages, on behalf of
	// all replicas; nil means always. The other replicas read the presence that it posts, and post
	// which AWS stages they watch.
	Asks func() bool
}

// Sources provide the data of a running Feed.
type Sources struct {
	// Record stores an event and returns it with its user, as access.Events.Record does. An
	// event without a user was not stored, and no stream receives it. After stage.ErrUnavailable
	// the feed retries.
	Record func(context.Context, stage.Event) (access.StoredEvent, error)
	// Participants returns the presence of a stage on this replica, as a stage.Moderator does. It
	// may be slow.
	Participants func(context.Context, stage.ARN) ([]stage.Presence, error)
	// Refresh is called when access changed on any replica, before streams authenticate again. It
	// must not block. It may be nil.
	Refresh func()
	// PassedOn receives the data given to Pass, on every replica. It must not block. It may be nil.
	PassedOn func(data json.RawMessage)
}

// A Feed carries events and presence to streams. Its methods are safe for concurrent use. Run,
// Settle, and the methods that send a notice to all replicas (AccessChanged, Announce and Pass) may
// wait for a database. The other methods do not.
type Feed struct {
	sender
	*hub   // the open streams
	cfg    Config
	events *events
	poller *poller
}

// New returns a Feed. It carries nothing until Run.
func New(cfg Config) *Feed {
	asks := cfg.Asks
	if asks == nil {
		asks = func() bool { return true }
	}
	s, h := sender{cfg.Shared, cfg.Log}, newHub()
	return &Feed{
		sender: s, hub: h, cfg: cfg, events: newEvents(s, cfg.Now),
		poller: &poller{h, cfg.Shared, stage.NewID(), asks, cfg.Log},
	}
}

// Run carries events and presence until ctx ends, and then stores the events that are still queued.
func (f *Feed) Run(ctx context.Context, from Sources) error {
	var g errgroup.Group
	g.Go(func() error { return f.receive(ctx, from) })
	g.Go(func() error { return f.events.run(ctx, from.Record) })
	g.Go(func() error { return f.poller.run(ctx, from.Participants) })
	return g.Wait()
}

// receive delivers notices, and gives the data of Pass to PassedOn.
func (f *Feed) receive(ctx context.Context, from Sources) error {
	return f.cfg.Shared.Receive(ctx, func(n Notice) {
		if n.Kind == KindPassed {
			if from.PassedOn != nil {
				from.PassedOn(n.Data)
			}
			return
		}
		if (n.Kind == KindAccess || n.Kind == KindGap) && from.Refresh != nil {
			from.Refresh()
		}
		f.deliver(n)
	})
}

// StageEvent queues an event of a participant.
func (f *Feed) StageEvent(e stage.Event) {
	f.events.add(e)
	if e.Kind != stage.EventRefused {
		f.StageChanged(e.Stage)
	}
}

// Settle returns when all events that were queued before the call are stored, or with an error when
// ctx ends. Events that are left stay queued. Settle is for a process that may be stopped after the
// call. Run must be running.
func (f *Feed) Settle(ctx context.Context) error { return f.events.settle(ctx) }

// Announce sends an event that is already stored to the pages of its user.
func (f *Feed) Announce(e access.StoredEvent) { f.send(noticeOf(e)) }

// AccessChanged makes the streams of a user authenticate again; "" means all users.
func (f *Feed) AccessChanged(id access.UserID) {
	f.send(Notice{Kind: KindAccess, User: id})
}

// Recheck is AccessChanged for this process alone. It is for changes that were found in the
// database.
func (f *Feed) Recheck(id access.UserID) { f.deliver(Notice{Kind: KindAccess, User: id}) }

// Pass sends data that no page receives to all replicas, including this one.
func (f *Feed) Pass(ctx context.Context, data json.RawMessage) error {
	return f.trySend(ctx, Notice{Kind: KindPassed, Data: data})
}

// Everywhere returns a moderator that also lists the participants on other replicas.
func (f *Feed) Everywhere(here stage.Moderator) stage.Moderator {
	return everywhere{here, f.poller}
}
