package feed

import (
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// A stream with more queued frames is closed. Its page then reconnects and resumes.
	maxFrames = 256
	maxBytes  = 1 << 20
	// Sixteen docks, each with a page of its stage, and a browser source for every guest stay below
	// these limits.
	maxStreams        = 64 // of one account
	maxStreamsOfProof = 32 // of one login, key or token
	streamsRetry      = 30 * time.Second
)

// A Frame is one server-sent event. A frame without data is a request to the receiver of the
// stream.
type Frame struct {
	Name string
	ID   int64 // ID of a stage event, from which a page resumes
	Data []byte
}

// The frames without data. Several frames of one kind that wait in a stream become one.
const (
	FrameTick  = "tick"  // Tick was called
	FrameLook  = "look"  // authenticate again: access changed
	FrameDocks = "docks" // send the docks of the account
	FrameChat  = "chat"  // send the chat room of the stage
)

// presenceFrame is the place in the queue of all stages whose presence must be sent.
const presenceFrame = "presence"

// A Listener describes the client that opens a stream.
type Listener struct {
	User     access.UserID
	Operator bool
	Proof    string     // identifies the credential, to limit its streams
	Page     stage.ARN  // the one stage of the stream; empty for a stream of the account
	View     stage.View // of a viewing key
	// Ready is called when there is a frame to take, or when the stream has ended. After a call, it
	// is not called again until Take has returned without a frame. It must not block, and must not
	// call the feed.
	Ready func()
}

// A Stream receives the frames for one open page. Close it at the end.
type Stream struct {
	Listener
	feed   *Feed
	counts [2]string // keys of this stream in Feed.counts

	// Guarded by Feed.mu.
	queue   []Frame               // the oldest frame first
	bytes   int                   // of the queue
	dirty   map[*watched]struct{} // stages whose presence must be sent
	watches bool                  // Watch was called
	begun   bool                  // the first presence was taken
	over    bool                  // the stream has ended
	pending bool                  // Ready was called, and since then Take has not returned false
}

// An account is the state that the streams of one user share.
type account struct {
	viewer  Viewer
	streams map[*Stream]struct{}
	stages  []*watched
}

// Listen opens a stream. When a user or a credential has too many, Listen refuses the new one. If
// it closed the oldest one instead, two pages that reconnect would close each other's streams for
// ever.
//
// The stream of an account receives the events and docks of the user from now on. It receives
// presence after Watch has set the stages. The stream of a page receives presence and chat of its
// stage.
func (f *Feed) Listen(l Listener) (*Stream, error) {
	s := &Stream{
		Listener: l, feed: f, pending: true,
		counts: [2]string{"account " + string(l.User), "proof " + l.Proof},
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, most := range []int{maxStreams, maxStreamsOfProof} {
		if f.counts[s.counts[i]] >= most {
			return nil, stage.Errorf(stage.ErrTooMany,
				"You have %d pages open already; close some.",
				most).WithCode("too_many_streams").WithRetry(streamsRetry)
		}
	}
	for _, count := range s.counts {
		f.counts[count]++
	}
	f.streams[s] = struct{}{}
	f.attach(s)
	if f.stopped { // opened between Stop and the end of the HTTP listener
		s.dismiss()
	}
	return s, nil
}

// attach adds a stream to the receivers of frames. The caller holds mu.
func (f *Feed) attach(s *Stream) {
	if s.Page != "" {
		w := f.watch(s.Page)
		w.pages[s] = struct{}{}
		if w.known {
			s.presence(w)
		}
		return
	}
	a := f.accounts[s.User]
	if a == nil {
		a = &account{streams: map[*Stream]struct{}{}}
		f.accounts[s.User] = a
	}
	a.viewer = Viewer{User: s.User, Operator: s.Operator}
	a.streams[s] = struct{}{}
}

// Close ends a stream.
func (s *Stream) Close() {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.counts[0] == "" {
		return
	}
	for _, count := range s.counts {
		if f.counts[count]--; f.counts[count] <= 0 {
			delete(f.counts, count)
		}
	}
	s.counts = [2]string{}
	s.over, s.pending = true, true // Ready is not called any more
	s.queue, s.dirty = nil, nil
	f.detach(s)
}

// detach is the reverse of attach. The caller holds mu.
func (f *Feed) detach(s *Stream) {
	delete(f.streams, s)
	if w := f.stages[s.Page]; w != nil {
		delete(w.pages, s)
		f.tidy(w)
	}
	a := f.accounts[s.User]
	if s.Page != "" || a == nil {
		return
	}
	delete(a.streams, s)
	if len(a.streams) > 0 {
		return
	}
	delete(f.accounts, s.User)
	for _, w := range a.stages {
		delete(w.accounts, a)
		f.tidy(w)
	}
}

// Watch sets the stages whose presence the streams of an account receive. The parameter operator
// says whether the streams receive what only operators see. After the first call, a stream sends
// one frame with every stage that is not empty.
func (s *Stream) Watch(operator bool, stages []stage.ARN) {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.accounts[s.User]
	if s.over || s.Page != "" || a == nil {
		return
	}
	f.rewatch(a, Viewer{User: s.User, Operator: operator}, stages)
	if s.watches {
		return
	}
	s.watches = true
	s.dirty = map[*watched]struct{}{}
	for _, w := range a.stages {
		if len(w.list) > 0 {
			s.dirty[w] = struct{}{}
		}
	}
	s.push(Frame{Name: presenceFrame})
}

// rewatch replaces the stages of an account. The caller holds mu.
func (f *Feed) rewatch(a *account, viewer Viewer, stages []stage.ARN) {
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
		w := f.watch(arn)
		_, before := gone[w]
		delete(gone, w)
		w.accounts[a] = struct{}{}
		a.stages = append(a.stages, w)
		if len(w.list) > 0 && (!before || again) {
			f.sendPresence(a, w)
		}
	}
	for w := range gone {
		delete(w.accounts, a)
		f.tidy(w)
	}
}

// Tick queues a FrameTick, for periodic work of the receiver.
func (s *Stream) Tick() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.push(Frame{Name: FrameTick})
}

// Take returns the oldest frame. If there is no frame, the result over reports whether the stream
// has ended. If it has not ended, it calls Ready when there is a frame.
func (s *Stream) Take() (frame Frame, ok, over bool) {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(s.queue) == 0 {
		s.queue = nil
		s.pending = s.over
		return Frame{}, false, s.over
	}
	frame = s.queue[0]
	s.queue[0] = Frame{}
	s.queue = s.queue[1:]
	s.bytes -= len(frame.Data)
	if isPresence(frame) {
		frame = s.takePresence()
	}
	return frame, true, false
}

// push queues a frame. The caller holds mu. A stream whose page reads too slowly is closed. The
// page resumes from the last event that it received.
func (s *Stream) push(frame Frame) {
	if s.over {
		return
	}
	same := func(q Frame) bool { return q.Data == nil && q.Name == frame.Name }
	if frame.Data == nil && slices.ContainsFunc(s.queue, same) {
		return
	}
	if len(s.queue) >= maxFrames || len(s.queue) > 0 && s.bytes+len(frame.Data) > maxBytes {
		s.cut()
		return
	}
	s.queue = append(s.queue, frame)
	s.bytes += len(frame.Data)
	s.ready()
}

// cut ends a stream after its queued frames are taken. The caller holds mu.
func (s *Stream) cut() {
	s.over = true
	s.ready()
}

func (s *Stream) ready() {
	if !s.pending {
		s.pending = true
		s.Ready()
	}
}

// dismiss sends a Bye and ends a stream. The caller holds mu.
func (s *Stream) dismiss() {
	s.push(Frame{Name: "bye", Data: mustJSON(Bye{"stopping"})})
	s.cut()
}

// presence marks a stage whose presence must be sent. The caller holds mu.
func (s *Stream) presence(w *watched) {
	if s.over || s.Page == "" && !s.watches {
		return
	}
	if s.dirty == nil {
		s.dirty = map[*watched]struct{}{}
	}
	s.dirty[w] = struct{}{}
	s.push(Frame{Name: presenceFrame})
}

func isPresence(f Frame) bool { return f.Name == presenceFrame && f.Data == nil }

// Streams returns how many streams are open.
func (f *Feed) Streams() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.streams)
}
