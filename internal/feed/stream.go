package feed

import (
	"bytes"
	"fmt"
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

// presenceFrame is the name of a queued frame that stands for all stages whose presence must be
// sent.
const presenceFrame = "presence"

// A Listener describes the client that opens a stream.
type Listener struct {
	User          access.UserID
	SeesReception bool       // as in Viewer
	Proof         string     // identifies the credential, to limit its streams
	Page          stage.ARN  // the one stage of the stream; empty for a stream of the account
	View          stage.View // of a viewing key
	// Ready is called when there is a frame to take, or when the stream has ended. After a call, it
	// is not called again until Take has returned without a frame. It must not block, and must not
	// call the feed.
	Ready func()
}

// A Stream receives the frames for one open page. Close it at the end.
type Stream struct {
	Listener
	hub *hub

	// Guarded by hub.mu.
	counts  [2]string             // keys of this stream in hub.counts
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

// Close ends a stream.
func (s *Stream) Close() {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.counts[0] == "" {
		return
	}
	for _, count := range s.counts {
		if h.counts[count]--; h.counts[count] <= 0 {
			delete(h.counts, count)
		}
	}
	s.counts = [2]string{}
	s.over, s.pending = true, true // Ready is not called any more
	s.queue, s.dirty = nil, nil
	h.detach(s)
}

// Watch sets the stages whose presence the streams of an account receive, and whether they
// receive the Reception of every participant. After the first call, a stream sends one frame with
// every stage that is not empty.
func (s *Stream) Watch(seesReception bool, stages []stage.ARN) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.accounts[s.User]
	if s.over || s.Page != "" || a == nil {
		return
	}
	h.rewatch(a, Viewer{User: s.User, SeesReception: seesReception}, stages)
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

// Tick queues a FrameTick, for periodic work of the receiver.
func (s *Stream) Tick() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.push(Frame{Name: FrameTick})
}

// Take returns the oldest frame. If there is no frame, the result `over` reports whether the stream
// has ended. A stream that has not ended calls Ready when it has a frame.
func (s *Stream) Take() (frame Frame, ok, over bool) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
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

func (s *Stream) viewer() Viewer {
	return Viewer{User: s.User, SeesReception: s.SeesReception, View: s.View}
}

// takePresence renders the dirty stages. The caller holds mu. The first frame of an account's
// stream is complete: a PresencesEvent, even if it is empty.
func (s *Stream) takePresence() Frame {
	dirty, first := s.dirty, !s.begun
	s.dirty, s.begun = nil, true
	v := s.viewer()
	if a := s.hub.accounts[s.User]; a != nil && s.Page == "" {
		v = a.viewer
	}
	texts := make([][]byte, 0, len(dirty))
	for w := range dirty {
		texts = append(texts, w.text(v))
	}
	if len(texts) == 1 && (s.Page != "" || !first) {
		return Frame{Name: "presence", Data: texts[0]}
	}
	head := fmt.Sprintf(`{"complete":%t,"stages":[`, first)
	data := slices.Concat([]byte(head), bytes.Join(texts, []byte(",")), []byte("]}"))
	return Frame{Name: "presences", Data: data}
}
