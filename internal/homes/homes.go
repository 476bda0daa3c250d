// Package homes gives each local stage one replica, its home, among several on one database. Other
// replicas forward requests to the home, so that any load balancer works: OBS has no cookie, and
// browsers drop the Authorization header on redirects. Media goes to the home's UDP port directly.
//
// A replica is alive while its heartbeat in the database advances. Each replica uses only its own
// monotonic clock, so that the clocks of replicas may differ.
package homes

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// beatEvery is how often a replica renews its heartbeat and reads those of the others.
	beatEvery = time.Second
	// holdFor is how long a replica stays a home, counted from the start of its last successful
	// beat.
	holdFor = 6 * time.Second
	// deadAfter is how long a heartbeat must be unchanged before its replica is marked as dead. It
	// is longer than holdFor, so that the replica has given up its homes by then.
	deadAfter = 8 * time.Second
	// beatLimit limits the time of one beat.
	beatLimit = 4 * time.Second
	// holderLife is how long the home of a stage is used after it was read from the database.
	holderLife = time.Second
)

// A Peer is one run of a replica.
type Peer struct {
	ID       string
	URL      string // of its internal listener; empty if other replicas cannot reach it
	Beat     int64
	Draining bool
	Dead     bool
}

// A Store keeps the replicas and the homes. Several replicas use it at once. Conditions on its rows
// decide races.
type Store interface {
	// Join adds a replica.
	Join(ctx context.Context, p Peer) error
	// Beat advances the heartbeat of a replica. It returns stage.ErrNotFound for a replica that is
	// marked as dead or deleted.
	Beat(ctx context.Context, id string, draining bool) error
	// Peers lists all replicas, including those that are marked as dead.
	Peers(ctx context.Context) ([]Peer, error)
	// If the heartbeat of a replica still has a certain value, MarkDead marks the replica as dead
	// and removes it as the home of its stages. It reports whether this call did so.
	MarkDead(ctx context.Context, id string, beat int64) (bool, error)
	// Forget deletes a replica that is marked as dead.
	Forget(ctx context.Context, id string) error
	// Home returns the home of a stage, or stage.ErrNotFound.
	Home(ctx context.Context, arn stage.ARN) (id string, err error)
	// Claim makes a replica the home of a stage that has none, and returns the home. Each claim by
	// the home itself starts a new term. For a replica that is marked as dead it returns
	// stage.ErrNotFound.
	Claim(ctx context.Context, arn stage.ARN, id string) (home string, term int64, err error)
	// LeaveHome removes a replica as the home of a stage, unless the term has changed. So a
	// statement that the database executes late does not end a later claim.
	LeaveHome(ctx context.Context, arn stage.ARN, id string, term int64) error
}

// Config is what Homes need.
type Config struct {
	Store Store
	URL   string // where other replicas reach this one; empty if they cannot
	Log   *slog.Logger

	// Before is the ID of the previous run of this replica, if that run has certainly ended. The
	// stages of that run then become free at once, instead of after deadAfter.
	Before string
	// Joined is called with each new ID of this replica, before the ID is used.
	Joined func(id string)
	// Lost is called when this replica has given up all homes. It must end the sessions.
	Lost func()
	// End records the ends of the sessions of a dead replica, and reports whether there may be
	// more.
	End func(ctx context.Context, id string) (more bool, err error)
	// Idle reports whether a stage may move to another home.
	Idle func(stage.ARN) bool
	// Left is called when this replica has released an idle stage.
	Left func(stage.ARN)
}

// Homes is the membership of this replica in the fleet. It is safe for concurrent use.
type Homes struct {
	cfg Config

	mu    sync.Mutex
	id    string    // guarded by mu: ID of this replica; "" before it has joined
	until time.Time // guarded by mu: until then this replica may be a home
	// guarded by mu: Lost was called, and since then no beat has succeeded
	lost     bool
	draining bool                  // guarded by mu
	mine     map[stage.ARN]*own    // guarded by mu
	peers    map[string]*peerState // guarded by mu: the other replicas
	holders  map[stage.ARN]holding // guarded by mu: homes of other stages, as read a moment ago
}

// An own is the state of a stage whose home is this replica.
type own struct {
	term     int64
	requests int       // requests under way
	begun    int       // requests since the claim
	quiet    time.Time // since when the stage is known to be empty; zero if it is not
	leaving  bool      // it is being released
}

// A peerState is what this replica has read of another replica.
type peerState struct {
	Peer
	since time.Time // since when the heartbeat has had this value
}

type holding struct {
	id string
	at time.Time
}

// New returns Homes. Call Join, and then Run.
func New(cfg Config) *Homes {
	return &Homes{
		cfg: cfg, mine: map[stage.ARN]*own{}, peers: map[string]*peerState{},
		holders: map[stage.ARN]holding{},
	}
}

// Join adds this replica to the others.
func (h *Homes) Join(ctx context.Context) error {
	if err := h.markPrevious(ctx); err != nil {
		return err
	}
	start := time.Now()
	p := Peer{ID: stage.NewID(), URL: h.cfg.URL}
	h.cfg.Joined(p.ID)
	if err := h.cfg.Store.Join(ctx, p); err != nil {
		return err
	}
	h.mu.Lock()
	h.id, h.until, h.lost = p.ID, start.Add(holdFor), false
	h.mu.Unlock()
	return h.look(ctx)
}

// markPrevious marks the previous run of this replica as dead, unless that run has left. The ends
// of that run's sessions are recorded later, by the method Run: there may be thousands, and the
// start must not wait for them. A run at another address is a different replica that has a copy of
// this one's data folder.
func (h *Homes) markPrevious(ctx context.Context) error {
	if h.cfg.Before == "" || h.cfg.URL == "" || h.ID() != "" {
		return nil
	}
	all, err := h.cfg.Store.Peers(ctx)
	for _, p := range all {
		if p.ID != h.cfg.Before || p.URL != h.cfg.URL || p.Dead {
			continue
		}
		if done, err := h.cfg.Store.MarkDead(ctx, p.ID, p.Beat); err != nil || !done {
			return err
		}
		h.cfg.Log.WarnContext(ctx,
			"the previous run of this server crashed; its local broadcasts have ended",
			"replica", p.ID)
		return nil
	}
	return err
}

// ID returns the ID of this run of the replica.
func (h *Homes) ID() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.id
}

// Run renews the heartbeat and marks replicas as dead, until ctx ends.
func (h *Homes) Run(ctx context.Context) error {
	var beats sync.WaitGroup
	beats.Go(func() { h.watchOver(ctx) })
	defer beats.Wait()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	down := false
	for {
		err := h.round(ctx)
		if err != nil && ctx.Err() == nil && !down {
			h.cfg.Log.WarnContext(ctx,
				"the state of the other replicas is unknown: the database does not answer",
				"err", err)
		}
		if err == nil && down {
			h.cfg.Log.InfoContext(ctx, "the state of the other replicas is known again")
		}
		down = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// watchOver gives up the homes before the other replicas take them, even while the database hangs.
func (h *Homes) watchOver(ctx context.Context) {
	tick := time.NewTicker(beatEvery / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.giveUpLate()
		case <-ctx.Done():
			return
		}
	}
}

func (h *Homes) giveUpLate() {
	h.mu.Lock()
	late := !h.lost && !h.valid()
	if late {
		h.lost = true
		clear(h.mine)
	}
	h.mu.Unlock()
	if late {
		h.cfg.Log.Error(
			"this replica lost its stages: it did not renew its heartbeat in time")
		h.cfg.Lost()
	}
}

// round renews the heartbeat once, reads the other replicas, and then marks dead ones and releases
// idle stages.
func (h *Homes) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatLimit)
	defer cancel()
	err := h.beat(ctx)
	if errors.Is(err, stage.ErrNotFound) {
		h.giveUpAll()
		err = h.Join(ctx)
	}
	if err == nil {
		err = h.look(ctx)
	}
	if err != nil {
		h.restartTimers()
		return err
	}
	h.markDead(ctx)
	h.releaseIdle(ctx)
	return nil
}

func (h *Homes) beat(ctx context.Context) error {
	start := time.Now()
	h.mu.Lock()
	id, draining := h.id, h.draining
	h.mu.Unlock()
	if err := h.cfg.Store.Beat(ctx, id, draining); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = start.Add(holdFor)
	h.lost = false
	return nil
}

// giveUpAll gives up all homes of this replica after others marked it as dead.
func (h *Homes) giveUpAll() {
	h.mu.Lock()
	told := h.lost
	h.lost, h.until = true, time.Time{}
	clear(h.mine)
	h.mu.Unlock()
	if !told {
		h.cfg.Log.Error(
			"this replica lost its stages: the other replicas marked it as dead")
		h.cfg.Lost()
	}
}

// look reads the other replicas.
func (h *Homes) look(ctx context.Context) error {
	all, err := h.cfg.Store.Peers(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.peers
	h.peers = map[string]*peerState{}
	for _, p := range all {
		if p.ID == h.id {
			continue
		}
		seen := &peerState{Peer: p, since: now}
		if old := before[p.ID]; old != nil && old.Beat == p.Beat {
			seen.since = old.since
		}
		h.peers[p.ID] = seen
	}
	return nil
}

// restartTimers restarts the timers after which other replicas are marked as dead. While this
// replica could not reach the database, the others may not have reached it either.
func (h *Homes) restartTimers() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.peers {
		p.since = time.Now()
	}
}

// markDead marks replicas as dead whose heartbeat has not changed, and records the ends of their
// sessions. After a failure, the next round or another replica retries.
func (h *Homes) markDead(ctx context.Context) {
	for _, p := range h.silent() {
		if !p.Dead {
			done, err := h.cfg.Store.MarkDead(ctx, p.ID, p.Beat)
			if err != nil || !done {
				continue
			}
			h.cfg.Log.WarnContext(ctx,
				"a replica stopped without notice; its local broadcasts have ended",
				"replica",
				p.ID, "url", p.URL)
		}
		h.finish(ctx, p.ID)
	}
}

// finish records the ends of the sessions of a dead replica, and then deletes the replica.
func (h *Homes) finish(ctx context.Context, id string) {
	for {
		more, err := h.cfg.End(ctx, id)
		if err != nil {
			h.cfg.Log.WarnContext(ctx,
				"the ends of sessions on a stopped replica are not recorded yet",
				"replica",
				id, "err", err)
			return
		}
		if !more {
			break
		}
	}
	if err := h.cfg.Store.Forget(ctx, id); err != nil {
		h.cfg.Log.WarnContext(ctx, "the record of a stopped replica is not deleted yet",
			"replica", id,
			"err", err)
	}
}

func (h *Homes) silent() (list []Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.peers {
		if p.Dead || time.Since(p.since) >= deadAfter {
			list = append(list, p.Peer)
		}
	}
	return list
}

// Leave removes this replica, after its sessions have ended and their ends are stored.
func (h *Homes) Leave(ctx context.Context) {
	id := h.ID()
	if id == "" {
		return
	}
	peers, err := h.cfg.Store.Peers(ctx)
	if err != nil {
		h.cfg.Log.WarnContext(ctx, "the other replicas were not notified that this replica stops",
			"err", err)
		return
	}
	for _, p := range peers {
		if p.ID == id && !p.Dead {
			if _, err := h.cfg.Store.MarkDead(ctx, id, p.Beat); err != nil {
				h.cfg.Log.WarnContext(ctx,
					"the other replicas were not notified that this replica stops",
					"err", err)
				return
			}
			h.finish(ctx, id)
		}
	}
}
