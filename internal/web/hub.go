package web

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	presencePace = 2 * time.Second        // how often moving numbers are told
	presenceWait = 100 * time.Millisecond // changes that come together are told together
	eventQueue   = 1024
	frameQueue   = 64 // a listener this far behind is cut; it comes back and resumes
)

// The hub carries what happens on the stages to the pages that are open. Events are told after they are stored,
// so that a page that resumes finds what it was told before.
type hub struct {
	control *access.Control
	stage   stage.Moderator
	log     *slog.Logger
	now     func() time.Time

	events  chan stage.Event
	changed chan struct{} // wakes Run: dirty is not empty

	mu        sync.Mutex
	dirty     map[stage.ARN]bool
	listeners map[*listener]bool
	docks     map[access.UserID]map[string]*Dock
	heard     map[*Dock]time.Time
}

// A listener is one open event stream.
type listener struct {
	out   chan frame
	again chan struct{} // look again who this is and what they may see

	// Owned by hub.mu.
	who    access.User
	page   stage.ARN // the one stage that it follows, chat included; empty for the stream of an account
	stages map[stage.ARN]bool
	told   map[stage.ARN][]byte // the last presence, to tell changes only
}

// A frame is one server-sent event.
type frame struct {
	name string
	id   int64
	data []byte
}

func newHub(control *access.Control, moderator stage.Moderator, log *slog.Logger, now func() time.Time) *hub {
	return &hub{
		control: control, stage: moderator, log: log, now: now,
		events: make(chan stage.Event, eventQueue), changed: make(chan struct{}, 1),
		dirty: map[stage.ARN]bool{}, listeners: map[*listener]bool{},
		docks: map[access.UserID]map[string]*Dock{}, heard: map[*Dock]time.Time{},
	}
}

// tell takes an event without ever blocking the media plane.
func (h *hub) tell(e stage.Event) {
	if e.Time.IsZero() {
		e.Time = h.now()
	}
	select {
	case h.events <- e:
	default:
		h.log.Error("an event was lost: the database is too slow", "kind", e.Kind, "participant", e.Participant)
	}
	if e.Kind != stage.EventRefused {
		h.stageChanged(e.Stage)
	}
}

// stageChanged says that somebody came, went or changed.
func (h *hub) stageChanged(arn stage.ARN) {
	h.mu.Lock()
	h.dirty[arn] = true
	h.mu.Unlock()
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// run serves until ctx ends, and then stores what is still queued.
func (h *hub) run(ctx context.Context) error {
	pace := time.NewTicker(presencePace)
	defer pace.Stop()
	for {
		select {
		case e := <-h.events:
			h.store(ctx, e)
		case <-h.changed:
			h.settle(ctx)
			h.tellPresence(ctx, false)
		case <-pace.C:
			h.tellPresence(ctx, true)
			h.forgetDocks()
		case <-ctx.Done():
			h.drain(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// settle lets changes gather for a moment, storing events meanwhile.
func (h *hub) settle(ctx context.Context) {
	wait := time.NewTimer(presenceWait)
	defer wait.Stop()
	for {
		select {
		case e := <-h.events:
			h.store(ctx, e)
		case <-wait.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (h *hub) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		select {
		case e := <-h.events:
			h.store(ctx, e)
		default:
			return
		}
	}
}

// store keeps an event and then tells its owner.
func (h *hub) store(ctx context.Context, e stage.Event) {
	stored, err := h.control.RecordEvent(context.WithoutCancel(ctx), e)
	if err != nil {
		h.log.Warn("an event was not stored", "kind", e.Kind, "participant", e.Participant, "err", err)
		return
	}
	if stored.User == "" {
		return // a knock of nobody we know
	}
	f := frame{"stage", stored.ID, mustJSON(stageEvent(stored))}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if l.who.ID == stored.User {
			h.push(l, f)
		}
	}
}

// push hands a frame to a listener; hub.mu is held. One that does not keep up is cut, and resumes by Last-Event-ID.
func (h *hub) push(l *listener, f frame) {
	select {
	case l.out <- f:
	default:
		delete(h.listeners, l)
		close(l.out)
	}
}

// tellPresence tells who is on the stages that changed, and on every watched stage at the pace of moving numbers.
func (h *hub) tellPresence(ctx context.Context, all bool) {
	for _, arn := range h.watched(all) {
		present, err := h.stage.Participants(ctx, arn)
		if err != nil {
			h.log.Debug("who is on the stage is not known", "stage", arn, "err", err)
			continue
		}
		h.mu.Lock()
		for l := range h.listeners {
			if l.stages[arn] {
				h.pushPresence(l, arn, present)
			}
		}
		h.mu.Unlock()
	}
}

// watched lists the stages to tell about: those that somebody listens to, and that changed unless all are asked for.
func (h *hub) watched(all bool) []stage.ARN {
	h.mu.Lock()
	defer h.mu.Unlock()
	set := map[stage.ARN]bool{}
	for l := range h.listeners {
		for arn := range l.stages {
			if all || h.dirty[arn] {
				set[arn] = true
			}
		}
	}
	clear(h.dirty)
	list := make([]stage.ARN, 0, len(set))
	for arn := range set {
		list = append(list, arn)
	}
	return list
}

// pushPresence tells a listener about a stage unless nothing changed; hub.mu is held.
func (h *hub) pushPresence(l *listener, arn stage.ARN, present []stage.Presence) {
	text := mustJSON(PresenceEvent{Stage: arn, Participants: presences(present, l.who)})
	if bytes.Equal(text, l.told[arn]) {
		return
	}
	l.told[arn] = text
	h.push(l, frame{name: "presence", data: text})
}

func (h *hub) listen(who access.User) *listener {
	l := &listener{
		out: make(chan frame, frameQueue), again: make(chan struct{}, 1),
		who: who, stages: map[stage.ARN]bool{}, told: map[stage.ARN][]byte{},
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners[l] = true
	return l
}

func (h *hub) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
}

// watch sets what a listener may see now and tells who is there.
func (h *hub) watch(ctx context.Context, l *listener, me Me) {
	now := map[stage.ARN][]stage.Presence{}
	for _, st := range me.Stages {
		present, err := h.stage.Participants(ctx, st.ARN)
		if err != nil {
			h.log.Debug("who is on the stage is not known", "stage", st.ARN, "err", err)
		}
		now[st.ARN] = present
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.listeners[l] {
		return
	}
	clear(l.stages)
	for arn, present := range now {
		l.stages[arn] = true
		h.pushPresence(l, arn, present)
	}
}

// recheck makes the streams of a user, or everybody's for "", look again who they are for.
func (h *hub) recheck(id access.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if id == "" || l.who.ID == id {
			select {
			case l.again <- struct{}{}:
			default:
			}
		}
	}
}

// stop tells every page that the server goes.
func (h *hub) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		h.push(l, frame{name: "bye", data: mustJSON(Bye{"stopping"})})
		if h.listeners[l] {
			delete(h.listeners, l)
			close(l.out)
		}
	}
}

func (f frame) text() []byte {
	var b bytes.Buffer
	if f.id != 0 {
		b.WriteString("id: " + strconv.FormatInt(f.id, 10) + "\n")
	}
	b.WriteString("event: " + f.name + "\ndata: ")
	b.Write(f.data)
	b.WriteString("\n\n")
	return b.Bytes()
}
