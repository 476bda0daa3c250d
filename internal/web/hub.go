package web

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	presencePace = 2 * time.Second        // how often moving numbers are told
	presenceWait = 100 * time.Millisecond // changes that come together are told together
	eventQueue   = 1024
	refusalQueue = eventQueue / 4  // refusals find no place in a queue that is longer: they are the first to be lost
	knockPause   = 5 * time.Second // a participant that is refused again for the same reason is told of so seldom
	maxKnocks    = 4096            // that are remembered
	// A listener this far behind is cut; it comes back and resumes.
	frameQueue = 256
	queueBytes = 1 << 20
	// Sixteen docks, each with a page of its stage, and a browser source for every guest stay below these.
	maxStreams        = 64 // of one account
	maxStreamsOfProof = 32 // of one login, key or token
	streamsRetry      = 30 * time.Second
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
	stopped   bool
	dirty     map[stage.ARN]bool
	asking    map[stage.ARN]bool // who is there is being found out
	listeners map[*listener]bool
	knocks    map[knock]time.Time // when a refusal was last taken
	streams   map[string]int      // how many listen, by account and by proof
	docks     map[access.UserID]map[string]*Dock
	heard     map[*Dock]time.Time
	paces     map[access.UserID]*rate.Limiter // of the docks of an account
}

// A knock is what one refusal has in common with those that say nothing new.
type knock struct {
	participant stage.ParticipantID
	code        string
}

// A listener is one open event stream.
type listener struct {
	ready chan struct{} // holds one while there is something to take
	again chan struct{} // look again who this is and what they may see

	// Owned by hub.mu.
	who    access.User
	counts []string   // what it counts on in hub.streams
	page   stage.ARN  // the one stage that it follows, chat included; empty for the stream of an account
	view   stage.View // of a viewing key; empty for people
	stages map[stage.ARN]bool
	told   map[stage.ARN][]byte // the last presence, to tell changes only
	queue  []frame              // oldest first
	bytes  int                  // of the queue
	cut    bool                 // nothing more comes
}

// A frame is one server-sent event.
type frame struct {
	name   string
	id     int64
	data   []byte
	newest string // a frame not yet told that has the same is worth nothing any more; empty: each is told
}

func newHub(control *access.Control, moderator stage.Moderator, log *slog.Logger, now func() time.Time) *hub {
	return &hub{
		control: control, stage: moderator, log: log, now: now,
		events: make(chan stage.Event, eventQueue), changed: make(chan struct{}, 1),
		dirty: map[stage.ARN]bool{}, asking: map[stage.ARN]bool{}, listeners: map[*listener]bool{}, streams: map[string]int{}, knocks: map[knock]time.Time{},
		docks: map[access.UserID]map[string]*Dock{}, heard: map[*Dock]time.Time{},
		paces: map[access.UserID]*rate.Limiter{},
	}
}

// tell takes an event without ever blocking the media plane.
func (h *hub) tell(e stage.Event) {
	if e.Time.IsZero() {
		e.Time = h.now()
	}
	if e.Kind == stage.EventRefused {
		h.tellRefusal(e)
		return
	}
	h.queue(e)
	h.stageChanged(e.Stage)
}

func (h *hub) queue(e stage.Event) {
	select {
	case h.events <- e:
	default:
		h.log.Error("an event was lost: the database is too slow", "kind", e.Kind, "participant", e.Participant)
	}
}

// tellRefusal takes a refusal unless it says nothing new, or would be in the way of what happens on the stages: anybody with a
// dead token can cause as many as they like.
func (h *hub) tellRefusal(e stage.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k, now := knock{e.Participant, e.Code}, h.now()
	if last, known := h.knocks[k]; known && now.Sub(last) < knockPause && !now.Before(last) {
		return
	}
	if len(h.events) >= refusalQueue || len(h.knocks) >= maxKnocks {
		h.log.Debug("a refusal was not told: there are too many", "participant", e.Participant, "code", e.Code)
		return
	}
	h.knocks[k] = now
	h.queue(e)
}

// forgetKnocks forgets the refusals that may be told again.
func (h *hub) forgetKnocks() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	maps.DeleteFunc(h.knocks, func(_ knock, last time.Time) bool { return now.Sub(last) >= knockPause || now.Before(last) })
}

// stageChanged says that somebody came, went or changed.
func (h *hub) stageChanged(arn stage.ARN) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dirty[arn] = true
	h.wake()
}

// wake makes run look at what is dirty.
func (h *hub) wake() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// run serves until ctx ends, and then stores what is still queued. Presence has a loop of its own: to ask who is on a
// stage of AWS can take seconds, and what happens on the others is told meanwhile.
func (h *hub) run(ctx context.Context) error {
	var presence sync.WaitGroup
	presence.Go(func() { h.runPresence(ctx) })
	defer presence.Wait()
	for {
		select {
		case e := <-h.events:
			h.store(ctx, e)
		case <-ctx.Done():
			h.drain(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (h *hub) runPresence(ctx context.Context) {
	var asks sync.WaitGroup
	defer asks.Wait()
	pace := time.NewTicker(presencePace)
	defer pace.Stop()
	for {
		select {
		case <-h.changed:
			if !sleep(ctx, presenceWait) {
				return
			}
			h.tellPresence(ctx, &asks, false)
		case <-pace.C:
			h.tellPresence(ctx, &asks, true)
			h.forgetDocks()
			h.forgetKnocks()
		case <-ctx.Done():
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
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
	f := frame{name: "stage", id: stored.ID, data: mustJSON(stageEvent(stored))}
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
	if f.newest != "" {
		l.drop(f.newest)
	}
	if len(l.queue) >= frameQueue || len(l.queue) > 0 && l.bytes+len(f.data) > queueBytes {
		h.close(l)
		return
	}
	l.queue = append(l.queue, f)
	l.bytes += len(f.data)
	l.wake()
}

// close ends a listener once what is queued is told; hub.mu is held.
func (h *hub) close(l *listener) {
	delete(h.listeners, l)
	l.cut = true
	l.wake()
}

// take hands over the oldest frame after ready has said that there is something to take. There is no frame at the end.
func (h *hub) take(l *listener) (frame, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(l.queue) == 0 {
		return frame{}, false
	}
	f := l.queue[0]
	l.queue[0] = frame{}
	l.queue = l.queue[1:]
	l.bytes -= len(f.data)
	if len(l.queue) > 0 || l.cut {
		l.wake()
	}
	return f, true
}

// wake says that there is something to take; hub.mu is held.
func (l *listener) wake() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// drop takes back the frame that a newer one replaces; hub.mu is held.
func (l *listener) drop(newest string) {
	l.queue = slices.DeleteFunc(l.queue, func(f frame) bool {
		if f.newest == newest {
			l.bytes -= len(f.data)
		}
		return f.newest == newest
	})
}

// tellPresence tells who is on the stages that changed, and on every watched stage at the pace of moving numbers.
func (h *hub) tellPresence(ctx context.Context, asks *sync.WaitGroup, all bool) {
	for _, arn := range h.toAsk(all) {
		asks.Go(func() {
			present, err := h.stage.Participants(ctx, arn)
			if err != nil {
				h.log.Debug("who is on the stage is not known", "stage", arn, "err", err)
			}
			h.tellPresent(arn, present, err == nil)
		})
	}
}

// tellPresent tells who is on a stage, where that is known.
func (h *hub) tellPresent(arn stage.ARN, present []stage.Presence, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if known && l.stages[arn] {
			h.pushPresence(l, arn, present)
		}
	}
	delete(h.asking, arn)
	if h.dirty[arn] { // it changed meanwhile
		h.wake()
	}
}

// toAsk lists the stages to tell about: those that somebody listens to, and that changed unless all are asked for. Each is
// asked by one at a time, so that nobody is told what is older than what they know.
func (h *hub) toAsk(all bool) (list []stage.ARN) {
	h.mu.Lock()
	defer h.mu.Unlock()
	watched := map[stage.ARN]bool{}
	for l := range h.listeners {
		maps.Copy(watched, l.stages)
	}
	for arn := range watched {
		if (all || h.dirty[arn]) && !h.asking[arn] {
			h.asking[arn] = true
			delete(h.dirty, arn)
			list = append(list, arn)
		}
	}
	maps.DeleteFunc(h.dirty, func(arn stage.ARN, _ bool) bool { return !watched[arn] })
	return list
}

// pushPresence tells a listener about a stage unless nothing changed; hub.mu is held.
func (h *hub) pushPresence(l *listener, arn stage.ARN, present []stage.Presence) {
	text := mustJSON(PresenceEvent{Stage: arn, Participants: l.presences(present)})
	if bytes.Equal(text, l.told[arn]) {
		return
	}
	l.told[arn] = text
	h.push(l, frame{name: "presence", newest: "presence " + string(arn), data: text})
}

// presences is who is there as the listener may know it: a view has no more than those whom it can show, and is nobody itself.
func (l *listener) presences(present []stage.Presence) []Presence {
	if l.view == "" {
		return presences(present, l.who)
	}
	var shown []stage.Presence
	for _, p := range present {
		if p.Publishing && l.view.Shows(p.Participant) {
			shown = append(shown, p)
		}
	}
	return presences(shown, access.User{})
}

// listen opens a stream for who came with that proof. It refuses the newest where there are too many: to cut the oldest would
// make two pages that come back chase each other for ever.
func (h *hub) listen(who access.User, proof string) (*listener, error) {
	l := &listener{
		counts: []string{"account " + string(who.ID), "proof " + proof},
		ready:  make(chan struct{}, 1), again: make(chan struct{}, 1),
		who: who, stages: map[stage.ARN]bool{}, told: map[stage.ARN][]byte{},
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, most := range []int{maxStreams, maxStreamsOfProof} {
		if h.streams[l.counts[i]] >= most {
			return nil, stage.Errorf(stage.ErrTooMany, "%d of your pages listen already; close some.", most).
				WithCode("too_many_streams").WithRetry(streamsRetry)
		}
	}
	for _, count := range l.counts {
		h.streams[count]++
	}
	h.listeners[l] = true
	if h.stopped { // came between the farewell and the closing of the door
		h.dismiss(l)
	}
	return l, nil
}

func (h *hub) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
	for _, count := range l.counts {
		if h.streams[count]--; h.streams[count] <= 0 {
			delete(h.streams, count)
		}
	}
}

// watch sets what a listener may see now. Who is there follows.
func (h *hub) watch(l *listener, me Me) {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(l.stages)
	clear(l.told)
	for _, st := range me.Stages {
		l.stages[st.ARN] = true
		h.dirty[st.ARN] = true
	}
	h.wake()
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

// stop tells every page that the server goes, those included that are opened from now on.
func (h *hub) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	for l := range h.listeners {
		h.dismiss(l)
	}
}

// dismiss says farewell to a listener; hub.mu is held.
func (h *hub) dismiss(l *listener) {
	h.push(l, frame{name: "bye", data: mustJSON(Bye{"stopping"})})
	if h.listeners[l] {
		h.close(l)
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
