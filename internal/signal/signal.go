// Package signal serves the events socket of a stage. Over this socket, the stock IVS web SDK
// joins, and receives the list of participants and its own disconnection. The package knows all
// participants of a stage, including those of plain WHIP and WHEP, and implements stage.Moderator
// for local stages.
//
// AWS does not document this protocol. It was measured on amazon-ivs-web-broadcast 1.41.0, in its
// default signalling implementation (V1) and in its newer one (V2). See
// docs/decisions/0022-events-socket.md.
package signal

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// Path is the first segment of the path of a Server, which serves GET requests.
const Path = "stage-events"

const (
	defaultGrace   = 15 * time.Second
	defaultPing    = 20 * time.Second
	defaultRefresh = 2 * time.Second
)

// Sessions opens and ends WHIP and WHEP sessions, no matter whether the offer came over HTTP or
// over the socket.
type Sessions interface {
	Check(r *http.Request, bearer stage.Secret) (stage.Participant, error)
	Open(ctx context.Context, k whip.OpenRequest) (whip.Answer, error)
	Exchange(p stage.Participant, bearer stage.Secret)
	Close(id stage.ParticipantID, code, detail string)
	Refuse(r *http.Request, p stage.Participant, err error)
}

var _ Sessions = (*whip.Handler)(nil)

// Config is what a Server needs. Changed may be nil.
type Config struct {
	Sessions Sessions
	// Media lists the participants with sessions. Call Server.MediaChanged when they change.
	Media stage.Moderator
	// Origin is the origin of session URLs, such as https://stage.example. Answers over a socket
	// need it, because a client of a socket has no base URL for a path.
	Origin string
	Now    func() time.Time
	Log    *slog.Logger

	// Changed is called when the presence of a stage has changed. It must not block.
	Changed func(stage.ARN)
}

// A Server is the events socket of all stages. It is safe for concurrent use.
type Server struct {
	cfg     Config
	timing  timing
	wake    chan struct{}
	sockets sync.WaitGroup

	mu      sync.Mutex
	running bool                   // guarded by mu
	rooms   map[stage.ARN]*room    // guarded by mu: stages with joined participants
	dirty   map[stage.ARN]struct{} // guarded by mu: stages whose state must be sent
}

// timing contains the durations of a server. Only tests change them.
type timing struct {
	// how long a client may take to reconnect; after that, its participant counts as gone
	grace   time.Duration
	ping    time.Duration // between two pings of a socket
	refresh time.Duration // between reads of Media, even if it reports no change
}

var _ stage.Moderator = (*Server)(nil)

// New returns a Server, which refuses participants until Run runs.
func New(cfg Config) *Server {
	if cfg.Changed == nil {
		cfg.Changed = func(stage.ARN) {}
	}
	return &Server{
		cfg: cfg, timing: timing{defaultGrace, defaultPing, defaultRefresh},
		wake:  make(chan struct{}, 1),
		rooms: map[stage.ARN]*room{}, dirty: map[stage.ARN]struct{}{},
	}
}

// Run sends changes to all sockets until ctx ends. Then it closes the sockets and waits for them,
// but not for clients that do not read.
//
// Only Run creates and queues states, so that each socket receives them in order. A V2 SDK would
// apply an old state that arrives late.
func (s *Server) Run(ctx context.Context) error {
	s.setRunning(true)
	tick := time.NewTicker(s.timing.refresh)
	defer tick.Stop()
	for {
		select {
		case <-s.wake:
			for _, arn := range s.takeDirty() {
				s.sendState(ctx, arn)
				s.cfg.Changed(arn)
			}
		case <-tick.C:
			for _, arn := range s.joined() {
				if s.sendState(ctx, arn) {
					s.cfg.Changed(arn)
				}
			}
		case <-ctx.Done():
			s.closeAll()
			s.drain()
			return nil
		}
	}
}

// MediaChanged records that the sessions of a stage have changed. It does not block.
func (s *Server) MediaChanged(arn stage.ARN) { s.changed(arn) }

func (s *Server) changed(arn stage.ARN) {
	s.mu.Lock()
	s.dirty[arn] = struct{}{}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // Run is already due to read the changes
	}
}

func (s *Server) takeDirty() (list []stage.ARN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for arn := range s.dirty {
		list = append(list, arn)
	}
	clear(s.dirty)
	return list
}

func (s *Server) joined() (list []stage.ARN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for arn := range s.rooms {
		list = append(list, arn)
	}
	return list
}

func (s *Server) setRunning(running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = running
}

// closeAll closes all sockets without a message, so that the SDKs connect to another server.
func (s *Server) closeAll() {
	s.setRunning(false)
	s.CloseSockets(s.joined()...)
}

// CloseSockets closes the sockets of stages without a message and removes their participants,
// because another server has taken over these stages. Without arguments it does so for all stages.
func (s *Server) CloseSockets(stages ...stage.ARN) {
	if len(stages) == 0 {
		stages = s.joined()
	}
	for _, arn := range stages {
		s.closeRoom(arn)
		s.changed(arn)
	}
}

func (s *Server) closeRoom(arn stage.ARN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[arn]
	if r == nil {
		return
	}
	for _, m := range r.members {
		m.stop()
		if m.socket != nil {
			m.socket.close()
		}
	}
	delete(s.rooms, arn)
}

// drain waits until the sockets have ended. It does not wait long, because a socket that closes is
// cut after drainTime if its client does not read.
func (s *Server) drain() {
	done := make(chan struct{})
	go func() { s.sockets.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTime + time.Second):
		s.cfg.Log.Warn("some events sockets have not ended")
	}
}
