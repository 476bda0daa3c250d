// Package signal is the events socket of a stage: over it the stock IVS web SDK joins a stage, learns who is there, and is sent
// away. It knows everyone on the stage, those who came by plain WHIP or WHEP as well, and is the stage.Moderator of the house.
//
// AWS documents none of this. What is here was measured on amazon-ivs-web-broadcast 1.41.0 in its default signalling
// implementation (V1) and in its newer one (V2); docs/decisions/0022-events-socket.md.
package signal

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// Doors are where sessions come and go, whether over HTTP or over the socket; *whip.Handler has them.
type Doors interface {
	Check(r *http.Request, bearer stage.Secret) (stage.Participant, error)
	Open(ctx context.Context, k whip.OpenRequest) (whip.Answer, error)
	Exchange(p stage.Participant, bearer stage.Secret)
	Close(id stage.ParticipantID, code, detail string)
	Refuse(r *http.Request, p stage.Participant, err error)
}

var _ Doors = (*whip.Handler)(nil)

// Config says what a Server serves. Doors, Media, Origin, Now and Log are needed.
type Config struct {
	Doors  Doors
	Media  stage.Moderator // who has sessions; Server.MediaChanged must be called when that changes
	Origin string          // of the URLs of sessions, such as https://stage.example: a socket has no address to resolve a path against
	Now    func() time.Time
	Log    *slog.Logger

	Changed  func(stage.ARN) // who is on the stage, or what of them, changed; must not block. May be nil
	Features []string        // told to clients; "xdp" makes a V1 SDK send its offers over the socket, too
	Grace    time.Duration   // a lost socket may come back so long before its participant has left; 15 s
	Ping     time.Duration   // a silent socket is asked so often whether it is still there; 20 s
	Refresh  time.Duration   // the media plane is looked at so often even if it does not call; 2 s
}

// A Server is the events socket of all stages. It is safe for concurrent use.
type Server struct {
	cfg     Config
	wake    chan struct{}
	sockets sync.WaitGroup

	mu      sync.Mutex
	running bool                   // guarded by mu
	rooms   map[stage.ARN]*room    // guarded by mu: stages with somebody who joined
	dirty   map[stage.ARN]struct{} // guarded by mu: stages to tell of
}

var _ stage.Moderator = (*Server)(nil)

// New makes a Server. It admits nobody before Run.
func New(cfg Config) *Server {
	cfg.Grace = cmp.Or(cfg.Grace, 15*time.Second)
	cfg.Ping = cmp.Or(cfg.Ping, 20*time.Second)
	cfg.Refresh = cmp.Or(cfg.Refresh, 2*time.Second)
	if cfg.Changed == nil {
		cfg.Changed = func(stage.ARN) {}
	}
	return &Server{
		cfg: cfg, wake: make(chan struct{}, 1),
		rooms: map[stage.ARN]*room{}, dirty: map[stage.ARN]struct{}{},
	}
}

// Run tells everyone of every change until ctx ends; then it closes all sockets and waits for them, but not for those who
// do not read.
//
// It alone makes states and hands them out, so that each socket gets them in order: a V2 SDK applies an old state that
// comes late.
func (s *Server) Run(ctx context.Context) error {
	s.setRunning(true)
	tick := time.NewTicker(s.cfg.Refresh)
	defer tick.Stop()
	for {
		select {
		case <-s.wake:
			for _, arn := range s.takeDirty() {
				s.tell(ctx, arn)
				s.cfg.Changed(arn)
			}
		case <-tick.C:
			for _, arn := range s.joined() {
				if s.tell(ctx, arn) {
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

// MediaChanged notes that sessions of the stage came, went or changed. It does not block.
func (s *Server) MediaChanged(arn stage.ARN) { s.changed(arn) }

func (s *Server) changed(arn stage.ARN) {
	s.mu.Lock()
	s.dirty[arn] = struct{}{}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // Run is about to look anyway
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

// closeAll makes the sockets of a server that stops come back by themselves to the next one.
func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	for _, r := range s.rooms {
		for _, m := range r.members {
			m.stop()
			if m.socket != nil {
				m.socket.close()
			}
		}
	}
}

// drain waits for the sockets. Those that are not read are cut by then; what hangs nevertheless holds nothing up.
func (s *Server) drain() {
	done := make(chan struct{})
	go func() { s.sockets.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTime + time.Second):
		s.cfg.Log.Warn("some events sockets would not end")
	}
}
