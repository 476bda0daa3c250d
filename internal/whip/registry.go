package whip

import (
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	keepEnded = 5 * time.Minute // time in which the DELETE for an ended session may still arrive
	maxEnded  = 10_000
)

// A slot identifies what a participant can have only one session for: its publication, or its
// subscription to one publisher. A new session replaces the one in its slot, for example after OBS
// lost its network or a page was reloaded.
type slot struct {
	stage                  stage.ARN
	participant, publisher stage.ParticipantID
}

func (s *session) slot() slot { return slot{s.participant.Stage, s.participant.ID, s.publisher} }

// A registry contains the sessions.
type registry struct {
	now   func() time.Time
	ended bounded.Map[string, owner] // owners of sessions that ended recently, by secret

	mu          sync.Mutex
	closed      bool                // guarded by mu
	bySecret    map[string]*session // guarded by mu: all sessions
	negotiating map[slot]*session   // guarded by mu: the newest negotiating session of each slot
	live        map[slot]*session   // guarded by mu
}

func newRegistry(now func() time.Time) *registry {
	return &registry{
		now:         now,
		ended:       bounded.Map[string, owner]{Max: maxEnded, Life: keepEnded},
		bySecret:    map[string]*session{},
		negotiating: map[slot]*session{},
		live:        map[slot]*session{},
	}
}

func (r *registry) enter(s *session) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errStopping()
	}
	r.bySecret[s.secret] = s
	return nil
}

// negotiates puts a session into its slot. It returns the session that was being negotiated there,
// if any.
func (r *registry) negotiates(s *session) (rival *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rival = r.negotiating[s.slot()]
	r.negotiating[s.slot()] = s
	return rival
}

// started makes the session the open one of its slot. It returns the previous open session, if any.
func (r *registry) started(s *session) (earlier *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	earlier = r.live[s.slot()]
	r.live[s.slot()] = s
	clearSlot(r.negotiating, s)
	return earlier
}

// clearSlot clears the slot of a session, unless another session uses the slot now.
func clearSlot(slots map[slot]*session, s *session) {
	if slots[s.slot()] == s {
		delete(slots, s.slot())
	}
}

// leave removes a session. If the session was open, the registry keeps its owner for a late DELETE.
func (r *registry) leave(s *session) {
	if s.media != nil {
		r.ended.Put(s.secret, s.ownedBy(), r.now())
	}
	r.mu.Lock()
	delete(r.bySecret, s.secret)
	clearSlot(r.negotiating, s)
	clearSlot(r.live, s)
	r.mu.Unlock()
	close(s.over)
}

// find returns the session whose URL has a certain secret, if it has not ended.
func (r *registry) find(secret string) (*session, bool) {
	r.mu.Lock()
	s, ok := r.bySecret[secret]
	r.mu.Unlock()
	return s, ok && s.live()
}

// owner returns the owner of the session with a certain secret. The session is open or has ended
// recently.
func (r *registry) owner(secret string) (owner, bool) {
	r.mu.Lock()
	s, ok := r.bySecret[secret]
	r.mu.Unlock()
	if ok {
		return s.ownedBy(), true
	}
	return r.ended.Get(secret, r.now())
}

func (r *registry) of(id stage.ParticipantID) (list []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.bySecret {
		if s.participant.ID == id {
			list = append(list, s)
		}
	}
	return list
}

func (r *registry) close() []*session {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	return r.all()
}

func (r *registry) all() (list []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.bySecret {
		list = append(list, s)
	}
	return list
}
