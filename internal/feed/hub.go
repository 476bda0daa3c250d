package feed

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A hub keeps the open streams, and gives each stream its frames. Its methods are safe for
// concurrent use, and except for Move they wait for nothing but its lock.
type hub struct {
	changed chan struct{} // wakes the poller: a stage is dirty

	mu       sync.Mutex
	stopped  bool                           // guarded by mu
	streams  map[*Stream]struct{}           // guarded by mu
	counts   map[string]int                 // guarded by mu: open streams by account and credential
	accounts map[access.UserID]*account     // guarded by mu, as are the accounts
	stages   map[stage.ARN]*watched         // guarded by mu, as are the stages
	posts    map[stage.ARN][]stage.Presence // guarded by mu: the other replicas' latest posts
}

func newHub() *hub {
	return &hub{
		changed: make(chan struct{}, 1),
		streams: map[*Stream]struct{}{}, counts: map[string]int{},
		accounts: map[access.UserID]*account{}, stages: map[stage.ARN]*watched{},
	}
}

// Listen opens a stream. When a user or a credential has too many streams, Listen refuses the new
// one. If Listen closed the oldest stream instead, two pages that reconnect would close each
// other's streams for ever.
//
// The stream of an account receives the events and docks of the user from now on. It receives
// presence after Watch has set the stages. A stream of one stage (see Listener.Page) receives the
// presence and the chat of that stage.
func (h *hub) Listen(l Listener) (*Stream, error) {
	s := &Stream{
		Listener: l, hub: h, pending: true,
		counts: [2]string{"account " + string(l.User), "proof " + l.Proof},
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, most := range []int{maxStreams, maxStreamsOfProof} {
		if h.counts[s.counts[i]] >= most {
			return nil, stage.Errorf(stage.ErrTooMany,
				"You have %d pages open already; close some.",
				most).WithCode("too_many_streams").WithRetry(streamsRetry)
		}
	}
	for _, count := range s.counts {
		h.counts[count]++
	}
	h.streams[s] = struct{}{}
	h.attach(s)
	if h.stopped { // opened between Stop and the end of the HTTP listener
		s.dismiss()
	}
	return s, nil
}

// attach adds a stream to the receivers of frames. The caller holds mu.
func (h *hub) attach(s *Stream) {
	if s.Page != "" {
		w := h.watch(s.Page)
		w.pages[s] = struct{}{}
		if w.known {
			s.presence(w)
		}
		return
	}
	a := h.accounts[s.User]
	if a == nil {
		a = &account{streams: map[*Stream]struct{}{}}
		h.accounts[s.User] = a
	}
	a.viewer = Viewer{User: s.User, SeesReception: s.SeesReception}
	a.streams[s] = struct{}{}
}

// detach is the reverse of attach. The caller holds mu.
func (h *hub) detach(s *Stream) {
	delete(h.streams, s)
	if w := h.stages[s.Page]; w != nil {
		delete(w.pages, s)
		h.tidy(w)
	}
	a := h.accounts[s.User]
	if s.Page != "" || a == nil {
		return
	}
	delete(a.streams, s)
	if len(a.streams) > 0 {
		return
	}
	delete(h.accounts, s.User)
	for _, w := range a.stages {
		delete(w.accounts, a)
		h.tidy(w)
	}
}

// rewatch replaces the stages of an account. The caller holds mu.
func (h *hub) rewatch(a *account, viewer Viewer, stages []stage.ARN) {
	same := func(w *watched, arn stage.ARN) bool { return w.arn == arn }
	if a.viewer == viewer && slices.EqualFunc(a.stages, stages, same) {
		return
	}
	gone := map[*watched]struct{}{}
	for _, w := range a.stages {
		gone[w] = struct{}{}
	}
	again := a.viewer != viewer
	a.viewer, a.stages = viewer, make([]*watched, 0, len(stages))
	for _, arn := range stages {
		w := h.watch(arn)
		_, before := gone[w]
		delete(gone, w)
		w.accounts[a] = struct{}{}
		a.stages = append(a.stages, w)
		if len(w.list) > 0 && (!before || again) {
			h.sendPresence(a, w)
		}
	}
	for w := range gone {
		delete(w.accounts, a)
		h.tidy(w)
	}
}

// Streams returns how many streams are open.
func (h *hub) Streams() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// Stop ends every stream with a Bye, including streams that are opened later.
func (h *hub) Stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	for s := range h.streams {
		s.dismiss()
	}
}

// Move ends the open streams with a Bye, at most perSecond of them in a second, so that their pages
// do not all reconnect at once. Streams that are opened meanwhile stay open.
func (h *hub) Move(ctx context.Context, perSecond int) {
	h.mu.Lock()
	open := slices.Collect(maps.Keys(h.streams))
	h.mu.Unlock()
	for some := range slices.Chunk(open, max(1, perSecond/movesInASecond)) {
		h.mu.Lock()
		for _, s := range some {
			s.dismiss()
		}
		h.mu.Unlock()
		if !sleep(ctx, time.Second/movesInASecond) {
			return
		}
	}
}

// movesInASecond is the number of steps per second in which Move ends streams.
const movesInASecond = 10

// deliver hands a notice to the streams that it concerns.
func (h *hub) deliver(n Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch n.Kind {
	case KindEvent:
		h.toAccount(n.User, frameOfEvent(n))
	case KindDocks:
		h.toAccount(n.User, Frame{Name: FrameDocks})
	case KindAccess:
		for s := range h.streams {
			if n.User == "" || s.User == n.User {
				s.push(Frame{Name: FrameLook})
			}
		}
	case KindChat:
		h.toPages(n.Stage, Frame{Name: FrameChat})
	case KindMessage, KindRemoved:
		h.toPages(n.Stage, Frame{Name: string(n.Kind), Data: n.Data})
	case KindGap:
		for s := range h.streams {
			s.cut()
		}
	}
}

// toAccount pushes a frame to the streams of an account. The caller holds mu.
func (h *hub) toAccount(id access.UserID, frame Frame) {
	if a := h.accounts[id]; a != nil {
		for s := range a.streams {
			s.push(frame)
		}
	}
}

// toPages pushes a frame about the chat to the pages of a stage. Pages of viewing keys receive no
// chat. The caller holds mu.
func (h *hub) toPages(arn stage.ARN, frame Frame) {
	if w := h.stages[arn]; w != nil {
		for s := range w.pages {
			if s.View == "" {
				s.push(frame)
			}
		}
	}
}
