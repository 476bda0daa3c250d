package web

import (
	"context"
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// streamStage serves the events of one stage: who is there, and what is said. It is for everybody who may be at the stage,
// with or without an account. A viewing key is told who is in its view, and nothing of what is said.
func (s *Server) streamStage(w http.ResponseWriter, r *http.Request) {
	who, err := s.onStage(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	stream := &stageStream{eventStream{server: s, r: r, w: w, control: http.NewResponseController(w)}, who}
	l, err := s.hub.listen(who.User, proofOf(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer s.hub.leave(l)
	stream.serve(r.Context(), l)
}

type stageStream struct {
	eventStream
	who access.Principal
}

// serve tells what a listener hears. It listened before the past is read: nothing falls between.
func (e *stageStream) serve(ctx context.Context, l *listener) {
	e.begin()
	e.server.hub.follow(l, stageARN(e.r), e.who.View)
	if !e.history() {
		return
	}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-l.ready:
			if f, open := e.server.hub.take(l); !open || !e.pass(f) {
				return
			}
		case <-l.again:
			if !e.again() {
				return
			}
		case <-tick.C:
			if !e.write([]byte(": still here\n\n")) || !e.again() {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// pass tells what is about the stage, and leaves out what is about the account.
func (e *stageStream) pass(f frame) bool {
	switch f.name {
	case "chat":
		return e.history()
	case "message", "removed":
		return e.who.View != "" || e.tell(f)
	case "presence", "bye":
		return e.tell(f)
	}
	return true
}

func (e *stageStream) history() bool {
	if e.who.View != "" {
		return true
	}
	h := e.server.chat.history(stageARN(e.r), e.who, e.server.present(e.r.Context(), stageARN(e.r)))
	return e.tell(frame{name: "chat", data: mustJSON(h)})
}

// again looks who this is, since grants, logins, keys and tokens end while a stream goes on.
func (e *stageStream) again() bool {
	who, err := e.server.onStage(e.r)
	if err != nil {
		return e.stays(err)
	}
	before := e.who
	e.who = who
	if who.Moderates() == before.Moderates() {
		return true
	}
	return e.history()
}

// follow makes a listener the page of one stage, in one view of it.
func (h *hub) follow(l *listener, arn stage.ARN, view stage.View) {
	h.mu.Lock()
	l.page, l.view = arn, view
	h.mu.Unlock()
	h.watch(l, Me{Stages: []MyStage{{ARN: arn}}})
}

// tellStage tells the pages that follow a stage.
func (h *hub) tellStage(arn stage.ARN, f frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if l.page == arn {
			h.push(l, f)
		}
	}
}
