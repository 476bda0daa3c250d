// Package feed carries what happens on stages to the pages that are open: stage events and presence
// in, bounded streams out; docks and chat beside them. What replicas share is behind Shared.
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
	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// sendLimit is how long a notice may take to be on its way.
const sendLimit = 5 * time.Second

// Config is what a Feed needs to exist. What it asks others for comes with Run, so that those
// others may be built on the feed.
type Config struct {
	Shared Shared
	Log    *slog.Logger
	Now    func() time.Time
	// Asks reports whether this replica is the one that asks who is on the AWS stages, for all;
	// nil is always. The others see what it posts, and post which of these stages are watched at
	// theirs.
	Asks func() bool
}

// Sources are what a running Feed asks.
type Sources struct {
	// Record stores an event and finds its user; access.Control.RecordEvent does. An event without
	// a user was not stored, and no stream receives it. On stage.ErrUnavailable it is called again.
	Record func(context.Context, stage.Event) (access.StoredEvent, error)
	// Participants returns who is on a stage here; stage.Moderator does. It may be slow.
	Participants func(context.Context, stage.ARN) ([]stage.Presence, error)
	// Refresh is called when access changed on any replica, before streams authenticate again; it
	// must not block. It may be nil.
	Refresh func()
	// PassedOn takes what Pass has sent, on every replica; it must not block. It may be nil.
	PassedOn func(data json.RawMessage)
}

// A Feed carries events and presence to streams. Its methods are safe for concurrent use. None
// waits for a database, but for Run, and AccessChanged where replicas share one.
type Feed struct {
	cfg     Config
	replica string // names this process on the Board

	queue    chan stage.Event
	settle   chan chan<- struct{}           // Settle asks for the queue to be stored
	refusals httpkit.Map[refusal, struct{}] // that were taken recently
	changed  chan struct{}                  // wakes the presence loop: a stage is dirty

	mu       sync.Mutex
	stopped  bool
	streams  map[*Stream]struct{}
	counts   map[string]int // open streams, by account and by proof
	accounts map[access.UserID]*account
	stages   map[stage.ARN]*watched
	posts    map[stage.ARN][]stage.Presence // what the other replicas reported last
}

// New returns a Feed that passes on nothing yet: Run does.
func New(cfg Config) *Feed {
	return &Feed{
		cfg: cfg, replica: stage.NewID(),
		queue:    make(chan stage.Event, queuedEvents),
		settle:   make(chan chan<- struct{}),
		refusals: httpkit.Map[refusal, struct{}]{Max: maxRefusals, Life: refusalPause},
		changed:  make(chan struct{}, 1),
		streams:  map[*Stream]struct{}{}, counts: map[string]int{},
		accounts: map[access.UserID]*account{}, stages: map[stage.ARN]*watched{},
	}
}

// Run carries events and presence until ctx ends, and then stores what is still queued.
func (f *Feed) Run(ctx context.Context, from Sources) error {
	var g errgroup.Group
	g.Go(func() error { return f.receive(ctx, from) })
	g.Go(func() error { return f.runEvents(ctx, from.Record) })
	g.Go(func() error { return f.runPresence(ctx, from.Participants) })
	return g.Wait()
}

// receive delivers notices, and hands what Pass sent to PassedOn.
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

// AccessChanged makes the streams of a user, or everybody's for "", authenticate again.
func (f *Feed) AccessChanged(id access.UserID) {
	f.send(Notice{Kind: KindAccess, User: id})
}

// Recheck does what AccessChanged does, in this process alone: for changes that were found in the
// database.
func (f *Feed) Recheck(id access.UserID) { f.deliver(Notice{Kind: KindAccess, User: id}) }

// Stop ends every stream with a Bye, those included that are opened from now on.
func (f *Feed) Stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	for s := range f.streams {
		s.dismiss()
	}
}

// Move ends the streams that are open with a Bye, so many per second that their pages do not all
// come back at once. Streams that are opened meanwhile stay.
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

// movesInASecond is in how many steps Move goes.
const movesInASecond = 10

// send passes a notice on; a failure is for the log alone, because pages authenticate and resume
// by themselves after a while.
func (f *Feed) send(n Notice) {
	if err := f.trySend(context.Background(), n); err != nil {
		f.cfg.Log.Warn("replicas do not receive a notice", "kind", n.Kind, "err", err)
	}
}

func (f *Feed) trySend(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendLimit)
	defer cancel()
	return f.cfg.Shared.Send(ctx, n)
}

// Pass sends what concerns no page to all replicas, this one included.
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

// toAccount pushes to the streams of an account; mu is held.
func (f *Feed) toAccount(id access.UserID, frame Frame) {
	if a := f.accounts[id]; a != nil {
		for s := range a.streams {
			s.push(frame)
		}
	}
}

// toPages pushes to the pages of a stage. Viewing keys have no part in the chat. mu is held.
func (f *Feed) toPages(arn stage.ARN, frame Frame) {
	if w := f.stages[arn]; w != nil {
		for s := range w.pages {
			if s.View == "" {
				s.push(frame)
			}
		}
	}
}
