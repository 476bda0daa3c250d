package web

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	eventBacklog = 10 * time.Minute // greatest age of the past events that a new page receives
	// keepAlive is shorter than the idle limits of common proxies. At each keep-alive, the stream
	// also authenticates again.
	keepAlive = 15 * time.Second
	lookLimit = 10 * time.Second // for one frame: to authenticate and to read its data
)

// streams serves the event streams of accounts and of stages. An idle stream costs one goroutine
// with a small stack, which waits until the client disconnects. A second goroutine exists only
// while there is something to write.
type streams struct {
	control *access.Control
	feed    *feed.Feed
	docks   *feed.Docks
	chat    *feed.Chat
	present presenceOf
	me      func(context.Context, access.Principal) (Me, error)
	fail    func(http.ResponseWriter, *http.Request, error)
	guarded func(*http.Request, func(context.Context) (access.Principal, error)) (
		access.Principal, error)
	log    *slog.Logger
	now    func() time.Time
	short  ShortStreams
	shared *coalescer[sharer, profile]

	mu       sync.Mutex
	open     map[*openStream]struct{} // guarded by mu
	stopping chan struct{}            // guarded by mu: closed when the last open stream has ended
}

// A sharer is the key of a shared read: streams with equal sharers send the same profile.
type sharer struct {
	proof, name string
	role        access.Role
	revision    int64
}

// A profile is the JSON of a Me, with its hash and its stages.
type profile struct {
	text   []byte
	hash   [sha256.Size]byte
	stages []stage.ARN
}

// profilesAtOnce limits concurrent reads when all pages reconnect: each profile may have a thousand
// stages.
const profilesAtOnce = 4

// profile reads the user's capabilities. The streams of one credential share the read if they have
// authenticated the same version of the user.
func (p *openStream) profile(ctx context.Context, who access.Principal) (profile, error) {
	key := sharer{p.proof(), who.User.Name, who.User.Role, who.Revision}
	return p.streams.shared.get(ctx, key, func() (profile, error) {
		me, err := p.streams.me(ctx, who)
		if err != nil {
			return profile{}, err
		}
		text, err := json.Marshal(me)
		stages := make([]stage.ARN, 0, len(me.Stages))
		for _, st := range me.Stages {
			stages = append(stages, st.ARN)
		}
		return profile{text, sha256.Sum256(text), stages}, err
	})
}

// ShortStreams are for a server to which every second of an open stream costs money, such as a
// Lambda function. A stream sends the new events and ends after Life, and the page reconnects after
// Pause. The zero value keeps streams open.
type ShortStreams struct{ Life, Pause time.Duration }

func (s *streams) routes() []route {
	return []route{
		{"GET /api/events", http.HandlerFunc(s.account)},
		{"GET /api/stages/{arn}/events", http.HandlerFunc(s.page)},
	}
}

// account serves the event stream of a signed-in page.
func (s *streams) account(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, "")
}

// page serves the events of one stage: presence and chat. It is for every principal on the stage,
// with or without an account. A viewing key receives only the presence in its view.
func (s *streams) page(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, stageARN(r))
}

func (s *streams) serve(w http.ResponseWriter, r *http.Request, arn stage.ARN) {
	p := &openStream{streams: s, presented: presented(r).Clone(), stage: arn}
	who, err := s.guarded(r, p.authenticate)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p.who = who
	p.stream, err = s.feed.Listen(feed.Listener{
		User: who.User.ID, SeesReception: seesReception(who.User), Proof: p.proof(),
		Page: arn, View: who.View, Ready: func() { go p.run() },
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p.line = openLine(w, r)
	after, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	s.enter(p)
	if _, ours := p.line.(*connLine); ours {
		go p.serve(after) // a new goroutine has a small stack
		return
	}
	p.serve(after)
}

// An openStream is one open page.
type openStream struct {
	streams   *streams
	presented access.Presented
	stage     stage.ARN // of a stream of one stage; else empty
	stream    *feed.Stream
	line      line
	tick      *time.Timer

	// Only the goroutine that writes uses these fields. At most one such goroutine runs at a time.
	who   access.Principal
	me    [sha256.Size]byte // hash of the Me that was sent last
	last  int64             // ID of the last stored event that was sent
	docks sentDocks
}

// serve sends the first frames, and then waits until the client disconnects. The stream listens to
// the feed before `serve` reads past events, so that no event is missed.
func (p *openStream) serve(after int64) {
	defer p.streams.leave(p)
	if !p.begin(after) {
		p.end()
		return
	}
	p.tick = time.AfterFunc(p.firstTick(), p.stream.Tick)
	go p.run()
	p.line.waitForClient()
	p.end()
}

// firstTick spreads the ticks of pages that reconnected at the same time, after a restart.
func (p *openStream) firstTick() time.Duration {
	if p.streams.short.Life > 0 {
		return p.streams.short.Life
	}
	return keepAlive - rand.N(keepAlive/3)
}

func (p *openStream) end() {
	if p.tick != nil {
		p.tick.Stop()
	}
	p.stream.Close()
	p.line.close()
}

func (p *openStream) begin(after int64) bool {
	ctx, cancel := context.WithTimeout(context.Background(), lookLimit)
	defer cancel()
	if pause := p.streams.short.Pause; pause > 0 && !p.sendRetry(pause) {
		return false
	}
	if p.stage != "" {
		return p.sendChat(ctx)
	}
	return p.backlog(ctx, after) && p.sendMe(ctx, p.who) && p.sendDocks(ctx)
}

// sendRetry announces that the stream ends soon, and when to reconnect (WHATWG HTML, 9.2.6).
func (p *openStream) sendRetry(pause time.Duration) bool {
	field := strconv.AppendInt([]byte("retry: "), pause.Milliseconds(), 10)
	return p.line.write(net.Buffers{append(field, "\n\n"...)}) == nil
}

// run sends the waiting frames.
func (p *openStream) run() {
	defer p.recovered()
	for {
		f, ok, over := p.stream.Take()
		switch {
		case over:
			p.line.finish()
			p.line.close()
			return
		case !ok:
			return
		case !p.pass(f):
			p.line.close()
			return
		}
	}
}

// recovered prevents a panic from ending the server, as net/http does for handlers.
func (p *openStream) recovered() {
	if fault := recover(); fault != nil {
		p.streams.log.Error("an event stream panicked",
			"fault", fault, "stack", string(debug.Stack()))
		p.line.close()
	}
}

// pass sends a frame. A frame without data is a request to the stream, for example to authenticate
// again; `pass` carries it out. It reports whether the stream continues.
func (p *openStream) pass(f feed.Frame) bool {
	ctx, cancel := context.WithTimeout(context.Background(), lookLimit)
	defer cancel()
	switch {
	case f.Data != nil:
		return p.send(f)
	case f.Name == feed.FrameTick && p.streams.short.Life > 0:
		p.line.finish()
		return false
	case f.Name == feed.FrameTick:
		p.tick.Reset(keepAlive)
		return p.line.write(net.Buffers{[]byte(": still here\n\n")}) == nil && p.look(ctx, false)
	case f.Name == feed.FrameLook:
		return p.look(ctx, true)
	case f.Name == feed.FrameDocks:
		return p.sendDocks(ctx)
	case f.Name == feed.FrameChat:
		return p.sendChat(ctx)
	}
	return true
}

func (p *openStream) send(f feed.Frame) bool {
	if f.ID != 0 {
		if f.ID <= p.last {
			return true
		}
		p.last = f.ID
	}
	return p.line.write(sse(f)) == nil
}

// backlog sends the stored events that the page has not received.
func (p *openStream) backlog(ctx context.Context, after int64) bool {
	p.last = after
	past, err := p.streams.control.Events.After(ctx, p.who.User.ID, after,
		p.streams.now().Add(-eventBacklog))
	if err != nil {
		p.streams.log.WarnContext(ctx, "past events cannot be read", "err", err)
		return false
	}
	for _, e := range past {
		if !p.send(feed.Frame{Name: "stage", ID: e.ID, Data: mustJSON(feed.NewStageEvent(e))}) {
			return false
		}
	}
	return true
}

// look authenticates again, since logins, grants, keys and tokens may end while a stream is open.
// It reports whether the stream continues. After a change of access it also reads the user's
// capabilities again.
func (p *openStream) look(ctx context.Context, changed bool) bool {
	who, err := p.authenticate(ctx)
	if err != nil {
		return p.stays(ctx, err)
	}
	before := p.who
	p.who = who
	switch {
	case p.stage != "":
		return who.Moderates() == before.Moderates() || p.sendChat(ctx)
	case changed || who.Revision != before.Revision || who.User.Name != before.User.Name ||
		who.User.Role != before.User.Role:
		return p.sendMe(ctx, who)
	}
	return true
}

func (p *openStream) authenticate(ctx context.Context) (access.Principal, error) {
	who, err := p.streams.control.Authenticate(ctx, p.presented)
	if err != nil {
		return access.Principal{}, err
	}
	if p.stage != "" {
		return p.streams.control.OnStage(ctx, who, p.stage)
	}
	return who, who.Require(access.ScopeAccount)
}

// stays reports whether to keep the stream open after authentication has failed. If the credential
// was refused, it sends a Bye, at which a page stops OBS and shows the sign-in. After another
// error, such as a database that does not answer, the stream stays open and authenticates again
// later.
func (p *openStream) stays(ctx context.Context, err error) bool {
	if errors.Is(err, stage.ErrUnauthorized) || errors.Is(err, stage.ErrDenied) ||
		errors.Is(err, stage.ErrNotFound) {
		p.send(feed.Frame{Name: "bye", Data: mustJSON(feed.Bye{Reason: "signed_out"})})
		p.line.finish()
		return false
	}
	p.streams.log.WarnContext(ctx, "an event stream cannot authenticate again; it goes on",
		"err", err)
	return true
}

// sendMe sends the user's capabilities if they changed, and subscribes the stream to their stages.
func (p *openStream) sendMe(ctx context.Context, who access.Principal) bool {
	me, err := p.profile(ctx, who)
	if err != nil {
		// End the stream if it has sent no Me yet, so that the page reconnects.
		return p.stays(ctx, err) && p.me != [sha256.Size]byte{}
	}
	if me.hash == p.me {
		return true
	}
	p.me = me.hash
	p.stream.Watch(seesReception(who.User), me.stages)
	return p.send(feed.Frame{Name: "me", Data: me.text})
}

func (p *openStream) sendDocks(ctx context.Context) bool {
	docks, err := p.streams.docks.Of(ctx, p.who.User.ID)
	if err != nil {
		p.streams.log.WarnContext(ctx, "the docks of an account cannot be read", "err", err)
		return false // the page will reconnect
	}
	for _, frame := range p.docks.news(docks) {
		if !p.send(frame) {
			return false
		}
	}
	return true
}

// sendChat sends the part of the stage's chat room that the principal may see.
func (p *openStream) sendChat(ctx context.Context) bool {
	if p.who.View != "" {
		return true
	}
	room, err := p.streams.chat.Room(ctx, p.stage, p.streams.present(ctx, p.stage))
	if err != nil {
		p.streams.log.WarnContext(ctx, "the chat of a stage cannot be read", "err", err)
		return false
	}
	return p.send(feed.Frame{Name: "chat", Data: mustJSON(chatHistory(room, p.who))})
}

// proof returns a hash that identifies the stream's credential.
func (p *openStream) proof() string {
	secret := p.presented.Bearer
	if secret.Empty() {
		secret = p.presented.Login
	}
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return string(sum[:])
}

func (s *streams) enter(p *openStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*openStream]struct{}{}
	}
	s.open[p] = struct{}{}
}

func (s *streams) leave(p *openStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, p)
	if s.stopping != nil && len(s.open) == 0 {
		close(s.stopping)
		s.stopping = nil
	}
}

// stop ends all streams with a Bye. When ctx ends, it cuts the streams that are still open.
func (s *streams) stop(ctx context.Context) {
	s.feed.Stop()
	ended := make(chan struct{})
	s.mu.Lock()
	s.stopping = ended
	empty := len(s.open) == 0
	s.mu.Unlock()
	if empty {
		return
	}
	select {
	case <-ended:
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		for p := range s.open {
			p.line.close()
		}
	}
}
