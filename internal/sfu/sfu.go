// Package sfu is the media plane of local stages. It receives each publisher once and forwards the
// packets, with their payloads unchanged, to every viewer.
//
// One UDP socket carries everything; a TCP listener is optional. The server is an ICE-lite agent
// (RFC 8445, 2.5), which only answers connectivity checks. It finds a session by the STUN username,
// and later by the path. The server is the DTLS server, unless the offer says that the remote side
// is. It derives the SRTP keys from DTLS (RFC 5764). Decision 0010 explains why the server does not
// use one PeerConnection per viewer.
package sfu

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

var (
	_ whip.Media      = (*SFU)(nil)
	_ whip.Session    = (*publisher)(nil)
	_ whip.Session    = (*viewer)(nil)
	_ stage.Moderator = (*SFU)(nil)
)

// Config is what an SFU needs. Only Listen is required; other zero values mean the defaults given
// here.
type Config struct {
	Listen    string // UDP host:port of all media; port 0 picks a free one
	ListenTCP string // TCP host:port for clients whose network blocks UDP; "" to disable

	// Hosts are the addresses or names, with or without a port, that answers announce, for machines
	// behind NAT. The default is the address of the socket. For a wildcard, it is every address of
	// the machine.
	Hosts []string

	MaxPublishers int // on one stage; default stage.MaxParticipants
	// on the whole server; default 2000; a tenth is reserved for publishers
	MaxSessions int
	// the most views of one person on one stage, by user ID; default 128. At most half of them may
	// still be connecting
	MaxViews int
	// a session ends after receiving nothing for this long; default 30 s
	Silence     time.Duration
	MaxDuration time.Duration // the longest session; default stage.MaxSession
	// how long viewers wait after their publisher left; default 30 s
	Linger    time.Duration
	LimitsFor func(stage.ARN) Limits // default DefaultLimits; called often, must not block
	// end a session when its token expires; IVS checks tokens only when a session begins
	EndAtExpiry bool

	Now    func() time.Time
	Log    *slog.Logger
	Events func(stage.Event) // receives the events of publishers; called in order, must not block
}

func (c *Config) setDefaults() {
	c.MaxPublishers = cmp.Or(c.MaxPublishers, stage.MaxParticipants)
	c.MaxSessions = cmp.Or(c.MaxSessions, 2000)
	c.MaxViews = cmp.Or(c.MaxViews, 128)
	c.Silence = cmp.Or(c.Silence, 30*time.Second)
	c.MaxDuration = cmp.Or(c.MaxDuration, stage.MaxSession)
	c.Linger = cmp.Or(c.Linger, 30*time.Second)
	if c.LimitsFor == nil {
		c.LimitsFor = func(stage.ARN) Limits { return DefaultLimits() }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Events == nil {
		c.Events = func(stage.Event) {}
	}
}

// An SFU is the media plane. It is safe for concurrent use.
type SFU struct {
	cfg     Config
	changed func(stage.ARN)
	conn    *net.UDPConn
	cert    certificate
	senders []*sender
	handles sync.WaitGroup // the DTLS goroutines of all peers; only the reader adds to it

	mu           sync.RWMutex
	stopped      bool
	byUfrag      map[string]*peer
	byPath       map[path]*peer
	publications map[publicationKey]*publication

	tcp     tcpListener
	traffic traffic

	// The reader is the goroutine that processes datagrams. It holds the mutex `reading` meanwhile.
	reading sync.Mutex
	dirty   []*publication // owned by the reader
}

// New binds the socket. Sessions can be negotiated at once, but datagrams are answered only while
// Run runs.
func New(cfg Config) (*SFU, error) {
	cfg.setDefaults()
	cert, err := newCertificate(cfg.Now())
	if err != nil {
		return nil, err
	}
	conn, err := listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	s := &SFU{
		cfg:          cfg,
		changed:      func(stage.ARN) {},
		conn:         conn,
		cert:         cert,
		byUfrag:      make(map[string]*peer),
		byPath:       make(map[path]*peer),
		publications: make(map[publicationKey]*publication),
	}
	if err := s.tcp.listen(s, cfg.ListenTCP); err != nil {
		conn.Close()
		return nil, err
	}
	s.senders = newSenders(s)
	return s, nil
}

// OnChange sets a function that is called when the presence on a stage changes. It must not block.
// Call OnChange before the first session.
func (s *SFU) OnChange(changed func(stage.ARN)) { s.changed = changed }

// Addr returns the bound UDP address.
func (s *SFU) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// TCPAddr returns the bound TCP address, or the zero value if media over TCP is disabled.
func (s *SFU) TCPAddr() netip.AddrPort { return s.tcp.addr() }

// Run serves until ctx ends. Then it closes every session and waits for all goroutines.
func (s *SFU) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var reading, working sync.WaitGroup
	var failure error
	reading.Go(func() { defer cancel(); failure = s.read(ctx) })
	working.Go(func() { s.runTicker(ctx) })
	working.Go(func() { s.tcp.run(ctx) })
	for _, sender := range s.senders {
		working.Go(func() { sender.run(ctx) })
	}

	<-ctx.Done()
	s.stop()
	for _, p := range s.peers() {
		p.end("server_stopped", "The server stops.")
	}
	// Stop the reader, after which nothing adds to `handles`.
	s.conn.SetReadDeadline(time.Unix(1, 0))
	reading.Wait()
	working.Wait()
	s.tcp.close()
	s.handles.Wait()
	s.conn.Close()
	return failure
}

// Close releases the port if Run is never called.
func (s *SFU) Close() error {
	s.tcp.close()
	return s.conn.Close()
}

// stop refuses new sessions from now on.
func (s *SFU) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}

func (s *SFU) peers() []*peer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]*peer, 0, len(s.byUfrag))
	for _, p := range s.byUfrag {
		list = append(list, p)
	}
	return list
}

// Publish implements whip.Media.
func (s *SFU) Publish(
	ctx context.Context, who stage.Participant, sdp string,
) (whip.Session, string, error) {
	o, err := parseOffer(sdp)
	if err != nil {
		return nil, "", err
	}
	plan, err := planPublish(o)
	if err != nil {
		return nil, "", err
	}
	candidates, err := s.candidates(ctx)
	if err != nil {
		return nil, "", err
	}
	p := newPublisher(s, who, o, plan)
	earlier, err := s.admitPublisher(p)
	if err != nil {
		return nil, "", err
	}
	if earlier != nil {
		earlier.Close("replaced", "The same participant started to publish again, and took over.")
	}
	s.changed(who.Stage)
	return p, p.answer(o, candidates, plan), nil
}

// Subscribe implements whip.Media.
func (s *SFU) Subscribe(
	ctx context.Context, who stage.Participant, target stage.ParticipantID, sdp string,
) (whip.Session, string, error) {
	// check this before the costly parsing of the offer
	if err := s.publishes(publicationKey{who.Stage, target}); err != nil {
		return nil, "", err
	}
	o, err := parseOffer(sdp)
	if err != nil {
		return nil, "", err
	}
	plan, err := planSubscribe(o)
	if err != nil {
		return nil, "", err
	}
	candidates, err := s.candidates(ctx)
	if err != nil {
		return nil, "", err
	}
	plan.layered = s.layered(publicationKey{who.Stage, target})
	v := newViewer(s, who, o, plan)
	if err := s.admitViewer(v, target); err != nil {
		return nil, "", err
	}
	s.changed(who.Stage)
	return v, v.answer(o, candidates, plan), nil
}

func (s *SFU) admitPublisher(p *publisher) (earlier *publisher, err error) {
	earlier, idle, err := s.takePlace(p)
	if idle != nil {
		idle.end(
			"never_connected",
			"No media arrived for 10 seconds, and another publisher needed the place on the stage.")
	}
	return earlier, err
}

// takePlace makes the publisher the source of its publication. On a full stage it replaces a
// publisher that has sent nothing.
func (s *SFU) takePlace(p *publisher) (earlier, idle *publisher, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(s.cfg.MaxSessions); err != nil {
		return nil, nil, err
	}
	key := publicationKey{p.who.Stage, p.who.ID}
	others := 0
	for k, pub := range s.publications {
		if k.stage != key.stage || k.id == key.id {
			continue
		}
		if source := pub.currentSource(); source != nil {
			others++
			if source.idle(p.since) && (idle == nil || source.since.Before(idle.since)) {
				idle = source
			}
		}
	}
	switch {
	case others < s.cfg.MaxPublishers:
		idle = nil
	case idle == nil:
		return nil, nil, stage.Errorf(stage.ErrConflict,
			"%d participants publish on this stage already; no more fit.", others).
			WithCode("stage_full")
	default:
		idle.pub.dropSource(idle) // remove it at once, so that only one publisher gets its place
	}
	pub := s.publications[key]
	if pub == nil {
		pub = newPublication(s, key)
		s.publications[key] = pub
	}
	p.pub = pub
	earlier = pub.setSource(p)
	s.byUfrag[p.ufrag] = p.peer
	return earlier, idle, nil
}

// publishes returns nil if there is a publication to view. admitViewer checks this again, because
// the publication may have ended while the offer was parsed.
func (s *SFU) publishes(key publicationKey) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.stopped {
		return errStopped()
	}
	if pub := s.publications[key]; pub == nil || !pub.hasSource() {
		return errNotPublishing()
	}
	return nil
}

func errStopped() error {
	return stage.Errorf(stage.ErrUnavailable, "The server stops.").WithCode("unavailable")
}

func errNotPublishing() error {
	return stage.Errorf(stage.ErrNotFound, "This participant does not publish at the moment.").
		WithCode("not_publishing")
}

func (s *SFU) layered(key publicationKey) bool {
	s.mu.RLock()
	pub := s.publications[key]
	s.mu.RUnlock()
	return pub != nil && pub.layered()
}

func (s *SFU) admitViewer(v *viewer, target stage.ParticipantID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(s.cfg.MaxSessions - s.cfg.MaxSessions/10); err != nil {
		return err
	}
	if err := s.admitPerson(v.who); err != nil {
		return err
	}
	pub := s.publications[publicationKey{v.who.Stage, target}]
	if pub == nil || !pub.hasSource() {
		return errNotPublishing()
	}
	v.pub = pub
	s.byUfrag[v.ufrag] = v.peer
	pub.join(v)
	return nil
}

// admitPerson limits the views of one user, since a user may open many pages, each of which is a
// participant. It also limits the views that have not connected yet: those of this user, and those
// of all viewers of the server. The caller holds mu.
func (s *SFU) admitPerson(who stage.Participant) error {
	views, connecting, everybodys := 0, 0, 0
	for _, p := range s.byUfrag {
		if _, ok := p.role.(*viewer); !ok {
			continue
		}
		waits := p.keys.Load() == nil
		if waits {
			everybodys++
		}
		if p.who.Stage == who.Stage && person(p.who) == person(who) {
			views++
			if waits {
				connecting++
			}
		}
	}
	switch {
	case views >= s.cfg.MaxViews:
		return stage.Errorf(stage.ErrTooMany,
			"You watch this stage %d times already; close a page or a source.", views).
			WithCode("too_many").WithRetry(10 * time.Second)
	case connecting >= max(1, s.cfg.MaxViews/2):
		return stage.Errorf(stage.ErrTooMany,
			"%d of your views of this stage have not connected yet; wait until they have.",
			connecting).WithCode("too_many").WithRetry(10 * time.Second)
	case everybodys >= max(1, s.cfg.MaxSessions/4):
		return stage.Errorf(stage.ErrUnavailable,
			"Too many viewers are connecting at this moment; try again later.").
			WithCode("server_full").WithRetry(10 * time.Second)
	}
	return nil
}

// person returns the user of a participant. A participant without a user ID counts as a person of
// its own.
func person(who stage.Participant) string {
	if who.UserID == "" {
		return "participant " + string(who.ID)
	}
	return "user " + who.UserID
}

// admit returns an error if the number of sessions has reached the limit. The caller holds mu.
func (s *SFU) admit(limit int) error {
	if s.stopped {
		return errStopped()
	}
	if len(s.byUfrag) >= limit {
		return stage.Errorf(stage.ErrUnavailable,
			"The server carries %d sessions already; try again later.", len(s.byUfrag)).
			WithCode("server_full").WithRetry(30 * time.Second)
	}
	return nil
}

// forget removes an ended peer.
func (s *SFU) forget(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byUfrag, p.ufrag)
	for len(p.paths) > 0 {
		s.unbind(p, p.paths[0])
	}
}

// runTicker does the periodic work of the SFU until ctx ends.
func (s *SFU) runTicker(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := s.cfg.Now()
		for _, p := range s.peers() {
			p.tick(now)
		}
		s.dropDeserted(now)
	}
}

// tick is the interval of periodic work: NACKs, feedback, timeouts.
const tick = 50 * time.Millisecond

func (s *SFU) dropDeserted(now time.Time) {
	for _, pub := range s.desertedPublications(now) {
		for _, v := range pub.everyViewer() {
			v.end("publisher_left", "The participant stopped publishing.")
		}
	}
}

func (s *SFU) desertedPublications(now time.Time) (list []*publication) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, pub := range s.publications {
		if pub.deserted(now, s.cfg.Linger) {
			delete(s.publications, key)
			list = append(list, pub)
		}
	}
	return list
}
