package web

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	eventBacklog = 10 * time.Minute // what a page that was just opened is told of the past
	keepAlive    = 15 * time.Second // below the idle limits of common proxies; each is also a look at the login
	writeLimit   = 10 * time.Second
)

// streamEvents serves the event stream of a signed-in page (WHATWG HTML, 9.2 Server-sent events).
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request) {
	who, err := s.principalFor(r, access.ScopeAccount)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	stream := &eventStream{server: s, r: r, w: w, control: http.NewResponseController(w)}
	l, err := s.hub.listen(who.User, proofOf(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer s.hub.leave(l)
	stream.serve(r.Context(), who, l)
}

type eventStream struct {
	server  *Server
	r       *http.Request
	w       http.ResponseWriter
	control *http.ResponseController
	me      []byte // what was last told
	last    int64  // the last stored event that was told
}

// proofOf tells apart by what requests are let in, without keeping it.
func proofOf(r *http.Request) string {
	proof := bearer(r).Reveal()
	if cookie, err := r.Cookie(cookieName); proof == "" && err == nil {
		proof = cookie.Value
	}
	sum := sha256.Sum256([]byte(proof))
	return string(sum[:])
}

// begin answers that events will come.
func (e *eventStream) begin() {
	// The server's ReadTimeout is for requests that dawdle; net/http would end this one by it, too.
	e.control.SetReadDeadline(time.Time{})
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	e.w.WriteHeader(http.StatusOK)
}

// serve tells what a listener hears. It listened before the past is read: nothing falls between.
func (e *eventStream) serve(ctx context.Context, who access.Principal, l *listener) {
	e.begin()
	if !e.backlog(ctx, who.User) || !e.look(ctx, l) {
		return
	}
	e.server.hub.tellDocksTo(l)
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-l.ready:
			if f, open := e.server.hub.take(l); !open || !e.tell(f) {
				return
			}
		case <-l.again:
			if !e.look(ctx, l) {
				return
			}
		case <-tick.C:
			if !e.write([]byte(": still here\n\n")) || !e.look(ctx, l) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// backlog repeats the stored events that the page has not seen.
func (e *eventStream) backlog(ctx context.Context, who access.User) bool {
	e.last, _ = strconv.ParseInt(e.r.Header.Get("Last-Event-ID"), 10, 64)
	past, err := e.server.Control.EventsAfter(ctx, who.ID, e.last, e.server.Now().Add(-eventBacklog))
	if err != nil {
		e.server.Log.Warn("past events cannot be read", "err", err)
		return false
	}
	for _, p := range past {
		if !e.tell(frame{name: "stage", id: p.ID, data: mustJSON(stageEvent(p))}) {
			return false
		}
	}
	return true
}

// look authenticates again and tells what one may do where that changed. It says whether the stream goes on.
func (e *eventStream) look(ctx context.Context, l *listener) bool {
	who, err := e.server.principalFor(e.r, access.ScopeAccount)
	if err != nil {
		return e.stays(err) && e.me != nil // a page that knows nothing yet comes again
	}
	me, err := e.server.meOf(ctx, who)
	if err != nil {
		return e.stays(err) && e.me != nil
	}
	text, _ := json.Marshal(me)
	if string(text) == string(e.me) {
		return true
	}
	e.me = text
	e.server.hub.watch(l, me)
	return e.tell(frame{name: "me", data: text})
}

// stays says whether a stream goes on although it could not be looked whose it is, and says goodbye where it may not. A page
// takes that for the end of the broadcast and closes OBS: only who is let in no more hears it, and a database that does not
// answer is asked again with the next look.
func (e *eventStream) stays(err error) bool {
	if errors.Is(err, stage.ErrUnauthorized) || errors.Is(err, stage.ErrDenied) || errors.Is(err, stage.ErrNotFound) {
		e.tell(frame{name: "bye", data: mustJSON(Bye{"signed_out"})})
		return false
	}
	e.server.Log.Warn("whose an event stream is cannot be read; it goes on", "err", err)
	return true
}

func (e *eventStream) tell(f frame) bool {
	if f.id != 0 {
		if f.id <= e.last {
			return true
		}
		e.last = f.id
	}
	return e.write(f.text())
}

func (e *eventStream) write(text []byte) bool {
	e.control.SetWriteDeadline(time.Now().Add(writeLimit))
	// A deadline that passes between two events would end a stream of HTTP/2 (net/http resets it, written to or not).
	defer e.control.SetWriteDeadline(time.Time{})
	if _, err := e.w.Write(text); err != nil {
		return false
	}
	return e.control.Flush() == nil
}
