package homes

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// quietFor is how long a stage must be empty before its home is released.
	quietFor = 30 * time.Second
	retry    = 2 * time.Second
)

// Holds reports whether this replica is the home of a stage at this moment. No two replicas hold a
// stage at once.
func (h *Homes) Holds(arn stage.ARN) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.holds(arn)
}

// holds is Holds for callers that hold mu.
func (h *Homes) holds(arn stage.ARN) bool {
	o := h.mine[arn]
	return o != nil && !o.leaving && h.valid()
}

// valid reports whether this replica may be a home. The caller holds mu. A replica with an address
// for other replicas may be a home only while it renews its heartbeat. This applies even if there
// were no other replicas when it last read them, since others may have joined later. A replica
// without an address is always alone.
func (h *Homes) valid() bool {
	return !h.lost && (time.Now().Before(h.until) || h.cfg.URL == "")
}

// Drain stops this replica from becoming the home of further stages: requests for a stage without a
// home are forwarded. A stage stays here until Config.Idle reports that it may move.
func (h *Homes) Drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, beatLimit)
	defer cancel()
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	if err := h.beat(ctx); err != nil {
		h.cfg.Log.WarnContext(ctx, "the other replicas were not notified that this replica stops",
			"err", err)
		return
	}
	h.releaseIdle(ctx)
}

// Others returns the replicas that can be reached, including those that drain.
func (h *Homes) Others() (list []Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.peers {
		if !p.Dead && p.URL != "" {
			list = append(list, p.Peer)
		}
	}
	return list
}

// A place is where a request is served: here, or at a peer.
type place struct {
	here bool
	peer Peer
	done func() // ends a request that is served here
}

// find returns the home of a stage, and claims the stage if it has none. atHome marks a request
// that a peer forwarded; such a request is not forwarded again.
func (h *Homes) find(ctx context.Context, arn stage.ARN, atHome bool) (place, error) {
	if at, ok := h.known(arn); ok {
		return at, nil
	}
	id, term, err := h.read(ctx, arn, atHome)
	if err != nil {
		return place{}, err
	}
	if !h.seen(id) { // the home is a replica that has just joined
		if err := h.look(ctx); err != nil {
			return place{}, err
		}
	}
	return h.settle(arn, id, term)
}

// seen reports whether an ID is this replica's, or that of a replica that was read from the
// database.
func (h *Homes) seen(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return id == h.id || h.peers[id] != nil
}

// known returns the home of a stage if this replica knows it, without asking the database.
func (h *Homes) known(arn stage.ARN) (place, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holds(arn) {
		return place{here: true, done: h.begin(arn)}, true
	}
	was := h.holders[arn]
	p := h.peers[was.id]
	if p == nil || p.Dead || time.Since(was.at) > holderLife {
		return place{}, false
	}
	return place{peer: p.Peer}, true
}

// begin counts an open request for a stage of this replica. The caller holds mu.
func (h *Homes) begin(arn stage.ARN) (done func()) {
	o := h.mine[arn]
	o.requests++
	o.begun++
	o.quiet = time.Time{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		o.requests--
	}
}

// read asks the database for the home of a stage.
func (h *Homes) read(
	ctx context.Context, arn stage.ARN, atHome bool,
) (id string, term int64, err error) {
	h.mu.Lock()
	own, draining := h.id, h.draining
	leaving := h.mine[arn] != nil && h.mine[arn].leaving
	h.mu.Unlock()
	if leaving {
		return "", 0, errSettling()
	}
	if !draining {
		id, term, err = h.cfg.Store.Claim(ctx, arn, own)
		if errors.Is(err, stage.ErrNotFound) {
			return "", 0, errSettling()
		}
		return id, term, err
	}
	id, err = h.cfg.Store.Home(ctx, arn)
	// In the database, this replica is still the home, but it has given the stage up.
	if err == nil && id == own {
		return "", 0, errStopping()
	}
	if !errors.Is(err, stage.ErrNotFound) {
		return id, 0, err
	}
	next, ok := h.successor()
	if atHome || !ok {
		return "", 0, errStopping()
	}
	return next, 0, nil
}

// successor returns a replica that accepts stages.
func (h *Homes) successor() (id string, ok bool) {
	var list []string
	for _, p := range h.Others() {
		if !p.Draining {
			list = append(list, p.ID)
		}
	}
	if len(list) == 0 {
		return "", false
	}
	return list[rand.N(len(list))], true
}

// settle stores the home that the database returned.
func (h *Homes) settle(arn stage.ARN, id string, term int64) (place, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id == h.id {
		o := h.mine[arn]
		if !h.valid() || o != nil && o.leaving {
			return place{}, errSettling()
		}
		if o == nil {
			o = &own{}
			h.mine[arn] = o
		}
		o.term = max(o.term, term)
		return place{here: true, done: h.begin(arn)}, nil
	}
	p := h.peers[id]
	if p == nil || p.Dead || p.URL == "" {
		return place{}, errSettling()
	}
	h.holders[arn] = holding{id, time.Now()}
	if len(h.holders) > maxHolders {
		clear(h.holders)
	}
	return place{peer: p.Peer}, nil
}

const maxHolders = 10_000

// mistaken removes a stored home that turned out to be wrong.
func (h *Homes) mistaken(arn stage.ARN) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.holders, arn)
}

// lookUp returns another replica by its ID, including one that has just joined.
func (h *Homes) lookUp(ctx context.Context, id string) (Peer, bool) {
	if !h.seen(id) && h.look(ctx) != nil {
		return Peer{}, false
	}
	return h.peer(id)
}

// peer returns a replica by its ID.
func (h *Homes) peer(id string) (Peer, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.peers[id]
	if p == nil || p.Dead || p.URL == "" {
		return Peer{}, false
	}
	return p.Peer, true
}

// releaseIdle releases stages that have been empty for a while, or at once while this replica
// drains, so that the next request chooses their home.
func (h *Homes) releaseIdle(ctx context.Context) {
	id := h.ID()
	for arn, term := range h.quiet() {
		if err := h.cfg.Store.LeaveHome(ctx, arn, id, term); err != nil {
			h.cfg.Log.DebugContext(ctx, "the lease of a stage is not released yet", "stage", arn,
				"err", err)
		}
		h.mu.Lock()
		delete(h.mine, arn) // even after a failure: the next request starts a new term
		h.mu.Unlock()
		h.cfg.Left(arn)
	}
}

// quiet marks the stages that can be released as leaving, and returns them with their terms.
func (h *Homes) quiet() map[stage.ARN]int64 {
	h.mu.Lock()
	begun := map[stage.ARN]int{}
	for arn, o := range h.mine {
		begun[arn] = o.begun
	}
	h.mu.Unlock()
	leaving := map[stage.ARN]int64{}
	for arn, before := range begun {
		idle := h.cfg.Idle(arn)
		h.mu.Lock()
		if o := h.mine[arn]; o != nil && h.over(o, idle && o.begun == before) {
			o.leaving = true
			leaving[arn] = o.term
		}
		h.mu.Unlock()
	}
	return leaving
}

// over reports whether a stage can be released. The caller holds mu.
func (h *Homes) over(o *own, idle bool) bool {
	switch {
	case !idle || o.requests > 0:
		o.quiet = time.Time{}
		return false
	case h.draining:
		return true
	case o.quiet.IsZero():
		o.quiet = time.Now()
	}
	return time.Since(o.quiet) >= quietFor
}

func errSettling() error {
	return stage.Errorf(stage.ErrUnavailable,
		"This stage is moving to another server: try again in a moment.").
		WithCode("stage_moving").WithRetry(retry)
}

func errStopping() error {
	return stage.Errorf(stage.ErrUnavailable, "The server is stopping: try again in a moment.").
		WithCode("shutdown").WithRetry(retry)
}
