// Package feed sends stage events, presence, docks and chat to the open pages, as streams with
// bounded queues. The state that the replicas share is behind the interface Shared.
//
// Package web renders streams as server-sent events, and decides who may open which.
package feed

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
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
	// Record stores an event and returns it with its user, as access.Control.RecordEvent does. An
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
	cfg     Config
	replica string // the name of this process on the Board
	events  *events
	changed chan struct{} // wakes the presence loop: a stage is dirty

	mu       sync.Mutex
	stopped  bool                           // guarded by mu
	streams  map[*Stream]struct{}           // guarded by mu
	counts   map[string]int                 // guarded by mu: open streams by account and credential
	accounts map[access.UserID]*account     // guarded by mu, as are the accounts
	stages   map[stage.ARN]*watched         // guarded by mu, as are the stages
	posts    map[stage.ARN][]stage.Presence // guarded by mu: the other replicas' latest posts
}

// New returns a Feed. It carries nothing until Run.
func New(cfg Config) *Feed {
	s := sender{cfg.Shared, cfg.Log}
	return &Feed{
		sender: s, cfg: cfg, replica: stage.NewID(), events: newEvents(s, cfg.Now),
		changed: make(chan struct{}, 1),
		streams: map[*Stream]struct{}{}, counts: map[string]int{},
		accounts: map[access.UserID]*account{}, stages: map[stage.ARN]*watched{},
	}
}

// Run carries events and presence until ctx ends, and then stores the events that are still queued.
func (f *Feed) Run(ctx context.Context, from Sources) error {
	var g errgroup.Group
	g.Go(func() error { return f.receive(ctx, from) })
	g.Go(func() error { return f.events.run(ctx, from.Record) })
	g.Go(func() error { return f.runPresence(ctx, from.Participants) })
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

// Settle returns when all events that were queued before the call are stored. It is for a process
// that may be stopped after the call. Run must be running.
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

// Stop ends every stream with a Bye, including streams that are opened later.
func (f *Feed) Stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	for s := range f.streams {
		s.dismiss()
	}
}

// Move ends the open streams with a Bye, at most perSecond of them in a second, so that their pages
// do not all reconnect at once. Streams that are opened meanwhile stay open.
func (f *Feed) Move(ctx context.Context, perSecond int) {
	f.mu.Lock()
	open := slices.Collect(maps.Keys(f.streams))
	f.mu.Unlock()
	for some := range slices.Chunk(open, max(1, perSecond/movesInASecond)) {
		f.mu.Lock()
		for _, s := range some {
			s.dismiss()
		}
		f.mu.Unlock()
		if !sleep(ctx, time.Second/movesInASecond) {
			return
		}
	}
}

// movesInASecond is the number of steps per second in which Move ends streams.
const movesInASecond = 10

// Pass sends data that no page receives to all replicas, including this one.
func (f *Feed) Pass(ctx context.Context, data json.RawMessage) error {
	return f.trySend(ctx, Notice{Kind: KindPassed, Data: data})
}

func (f *Feed) asks() bool { return f.cfg.Asks == nil || f.cfg.Asks() }

// deliver hands a notice to the streams that it concerns.
func (f *Feed) deliver(n Notice) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch n.Kind {
	case KindEvent:
		f.toAccount(n.User, frameOfEvent(n))
	case KindDocks:
		f.toAccount(n.User, Frame{Name: FrameDocks})
	case KindAccess:
		for s := range f.streams {
			if n.User == "" || s.User == n.User {
				s.push(Frame{Name: FrameLook})
			}
		}
	case KindChat:
		f.toPages(n.Stage, Frame{Name: FrameChat})
	case KindMessage, KindRemoved:
		f.toPages(n.Stage, Frame{Name: string(n.Kind), Data: n.Data})
	case KindGap:
		for s := range f.streams {
			s.cut()
		}
	}
}

// toAccount pushes a frame to the streams of an account. The caller holds mu.
func (f *Feed) toAccount(id access.UserID, frame Frame) {
	if a := f.accounts[id]; a != nil {
		for s := range a.streams {
			s.push(frame)
		}
	}
}

// toPages pushes a frame to the pages of a stage. Viewing keys receive no chat. The caller holds
// mu.
func (f *Feed) toPages(arn stage.ARN, frame Frame) {
	if w := f.stages[arn]; w != nil {
		for s := range w.pages {
			if s.View == "" {
				s.push(frame)
			}
		}
	}
}
