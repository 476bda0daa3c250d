package whip

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The relations of links that the IVS web SDK follows.
const (
	RelDelete   = "urn:ietf:params:whip:ivs-stages:session-delete"
	RelPlayback = "urn:ietf:params:whep:core:playback-controls"
	RelLayers   = "urn:ietf:params:whep:ext:core:layer"
)

// A Knock is somebody at a door with an offer, whichever way it came: over HTTP or over the stage's events socket.
type Knock struct {
	Participant stage.Participant   // verified
	Bearer      stage.Secret        // what ends the session later
	Publisher   stage.ParticipantID // whom to receive; "" to publish
	Offer       string
	Highest     bool // of a simulcast, start with the highest layer; the IVS web SDK calls it InitialLayerPreference
}

// An Answer is an open session, as its owner is told of it. All URLs are absolute paths, and secrets.
type Answer struct {
	SDP     string
	Session string
	ETag    string
	Links   []Link
}

// A Link is a header of RFC 8288.
type Link struct{ URL, Rel string }

// Link is the URL of that relation, or "".
func (a Answer) Link(rel string) string {
	for _, link := range a.Links {
		if link.Rel == rel {
			return link.URL
		}
	}
	return ""
}

// A session is a knock that is being, or was, let in.
type session struct {
	participant stage.Participant
	publisher   stage.ParticipantID
	secret      string             // in the URL and nowhere else
	cancel      context.CancelFunc // of the negotiation
	settled     chan struct{}      // closed when the negotiation is over, whatever came of it
	over        chan struct{}      // closed when nothing is left of the session

	mu     sync.Mutex
	bearer [sha256.Size]byte // guarded by mu: an exchange of tokens changes it
	media  Session           // guarded by mu: nil while it negotiates
	ended  *stage.Error      // guarded by mu: why it ends; nil as long as it shall live
}

func newSession(k Knock, cancel context.CancelFunc) *session {
	return &session{
		participant: k.Participant, publisher: k.Publisher,
		secret: rand.Text(), bearer: sha256.Sum256([]byte(k.Bearer.Reveal())),
		cancel: cancel, settled: make(chan struct{}), over: make(chan struct{}),
	}
}

// Open lets a verified participant in: it takes over what the participant had before, negotiates, and keeps the session.
func (h *Handler) Open(ctx context.Context, k Knock) (Answer, error) {
	if err := permit(k); err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, negotiation)
	defer cancel()
	if err := h.inView(ctx, k); err != nil {
		return Answer{}, err
	}
	s := newSession(k, cancel)
	if err := h.sessions.enter(s); err != nil {
		return Answer{}, err
	}
	sdp, err := h.establish(ctx, k, s)
	close(s.settled)
	if err != nil {
		h.sessions.leave(s)
		return Answer{}, s.failed(err)
	}
	go func() {
		<-s.media.Done()
		h.sessions.leave(s) // Shutdown waits for it
	}()
	return s.answer(sdp), nil
}

func (h *Handler) establish(ctx context.Context, k Knock, s *session) (string, error) {
	// Once more, now that Close would find the session: a revocation may have come between the door and here, and the
	// sender of a slow body decides how long that is.
	if err := h.stillGood(ctx, k); err != nil {
		return "", err
	}
	// Of two starts at once the later one is meant: OBS forgets its first when it is told twice to start.
	if rival := h.sessions.negotiates(s); rival != nil {
		rival.end(replaced())
		<-rival.settled
	}
	media, sdp, err := h.negotiate(ctx, k)
	if err != nil {
		return "", err
	}
	if err := s.start(media); err != nil {
		return "", err
	}
	if eager, ok := media.(HighestFirst); ok && k.Highest {
		eager.StartHighest()
	}
	if earlier := h.sessions.started(s); earlier != nil {
		h.refusals.failed(whoIs(k.Participant), h.Now()) // it costs as much as a refusal, and is told as often
		earlier.end(replaced())
	}
	return sdp, nil
}

func replaced() (code, detail string) {
	return "replaced", "A newer connection with the same token took over."
}

func (h *Handler) stillGood(ctx context.Context, k Knock) error {
	_, err := h.Tokens.Verify(ctx, k.Bearer)
	return err
}

// permit holds the door to what the token allows.
func permit(k Knock) error {
	switch {
	case k.Publisher == "" && !k.Participant.Capabilities.Has(stage.Publish):
		return stage.Errorf(stage.ErrDenied, "This token is for watching only: get one that may publish.").WithCode("no_capability")
	case k.Publisher != "" && !k.Participant.Capabilities.Has(stage.Subscribe):
		return stage.Errorf(stage.ErrDenied, "This token is for publishing only: get one that may watch.").WithCode("no_capability")
	}
	return nil
}

// inView holds the token of a viewing key to its view. A token of that ID is always of that person, so that nothing changes
// between here and the subscription.
func (h *Handler) inView(ctx context.Context, k Knock) error {
	if k.Publisher == "" || k.Participant.View == "" {
		return nil
	}
	present, err := h.Media.Participants(ctx, k.Participant.Stage)
	if err != nil {
		return err
	}
	for _, p := range present {
		if p.Participant.ID != k.Publisher {
			continue
		}
		if !k.Participant.View.Shows(p.Participant) {
			return stage.Errorf(stage.ErrDenied, "This viewing key shows somebody else.").WithCode("not_in_view")
		}
		return nil
	}
	return stage.Errorf(stage.ErrNotFound, "This participant does not publish at the moment.").WithCode("not_publishing")
}

func (h *Handler) negotiate(ctx context.Context, k Knock) (Session, string, error) {
	if k.Publisher == "" {
		return h.Media.Publish(ctx, k.Participant, k.Offer)
	}
	return h.Media.Subscribe(ctx, k.Participant, k.Publisher, k.Offer)
}

// Close ends all sessions of a participant, one that negotiates included.
func (h *Handler) Close(id stage.ParticipantID, code, detail string) {
	for _, s := range h.sessions.of(id) {
		s.end(code, detail)
	}
}

// Exchange makes the sessions of a participant answer to a new token, after the web SDK has exchanged its own, and ends
// those that the new token does not allow.
func (h *Handler) Exchange(p stage.Participant, bearer stage.Secret) {
	for _, s := range h.sessions.of(p.ID) {
		if s.participant.Stage != p.Stage {
			continue
		}
		s.rekey(bearer)
		if err := permit(Knock{Participant: p, Publisher: s.publisher}); err != nil {
			s.end(Reason(err))
		}
	}
}

// Shutdown refuses new sessions, ends all others and waits for them.
func (h *Handler) Shutdown(ctx context.Context) error {
	all := h.sessions.close()
	for _, s := range all {
		s.end("shutdown", "The server stops.")
	}
	for _, s := range all {
		select {
		case <-s.over:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// end ends the session with the reason that came first.
func (s *session) end(code, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return
	}
	s.ended = stage.Errorf(stage.ErrConflict, "%s", detail).WithCode(code)
	s.cancel()
	if s.media != nil {
		s.media.Close(code, detail)
	}
}

// start keeps the media, unless the session was ended while it negotiated.
func (s *session) start(media Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		media.Close(s.ended.Code, s.ended.Detail)
		<-media.Done()
		return s.ended
	}
	s.media = media
	return nil
}

// failed is why the session did not come about: that somebody ended it explains more than that its context is done.
func (s *session) failed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended != nil:
		return s.ended
	case errors.Is(err, context.DeadlineExceeded):
		return stage.Errorf(stage.ErrUnavailable, "The connection was not negotiated in time: try again.").WithCode("negotiation_timeout").WithCause(err)
	case errors.Is(err, context.Canceled):
		return stage.Errorf(stage.ErrUnavailable, "The client hung up before it had its answer.").WithCode("client_gone").WithCause(err)
	}
	return err
}

func (s *session) rekey(bearer stage.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bearer = sha256.Sum256([]byte(bearer.Reveal()))
}

// openedBy compares hashes, so that the time it takes tells nothing, and no token is kept.
func (s *session) openedBy(bearer stage.Secret) bool {
	sum := sha256.Sum256([]byte(bearer.Reveal()))
	s.mu.Lock()
	defer s.mu.Unlock()
	return subtle.ConstantTimeCompare(sum[:], s.bearer[:]) == 1
}

func (s *session) answer(sdp string) Answer {
	url := "/whip/s/" + s.secret
	a := Answer{SDP: sdp, Session: url, ETag: `"` + rand.Text() + `"`, Links: []Link{{url, RelDelete}}}
	if _, ok := s.media.(Playable); ok {
		a.Links = append(a.Links, Link{url + "/playback", RelPlayback})
	}
	if _, ok := s.media.(Layered); ok {
		a.Links = append(a.Links, Link{url + "/layers", RelLayers})
	}
	return a
}

// slot is what one participant has but once: its publication, or its subscription to one publisher. Who knocks again takes
// over, be it an OBS that lost its network or a browser that lost its page.
type slot struct {
	stage                  stage.ARN
	participant, publisher stage.ParticipantID
}

func (s *session) slot() slot { return slot{s.participant.Stage, s.participant.ID, s.publisher} }

// registry keeps the sessions. Its zero value is ready.
type registry struct {
	mu          sync.Mutex
	closed      bool                // guarded by mu
	bySecret    map[string]*session // guarded by mu: all of them
	negotiating map[slot]*session   // guarded by mu: the newest that negotiates
	live        map[slot]*session   // guarded by mu
}

func (r *registry) enter(s *session) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return stage.Errorf(stage.ErrUnavailable, "The server is stopping: try again in a moment.").WithCode("shutdown").WithRetry(5 * time.Second)
	}
	if r.bySecret == nil {
		r.bySecret, r.negotiating, r.live = map[string]*session{}, map[slot]*session{}, map[slot]*session{}
	}
	r.bySecret[s.secret] = s
	return nil
}

// negotiates notes who negotiates for a slot, and answers who does so already.
func (r *registry) negotiates(s *session) (rival *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rival = r.negotiating[s.slot()]
	r.negotiating[s.slot()] = s
	return rival
}

// started gives the slot to the session, and answers who had it.
func (r *registry) started(s *session) (earlier *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	earlier = r.live[s.slot()]
	r.live[s.slot()] = s
	forget(r.negotiating, s)
	return earlier
}

// forget clears the slot, unless it is another's by now.
func forget(slots map[slot]*session, s *session) {
	if slots[s.slot()] == s {
		delete(slots, s.slot())
	}
}

// leave forgets the session and tells who waits for that.
func (r *registry) leave(s *session) {
	r.mu.Lock()
	delete(r.bySecret, s.secret)
	forget(r.negotiating, s)
	forget(r.live, s)
	r.mu.Unlock()
	close(s.over)
}

// find answers the session of a URL, as long as it has not been ended.
func (r *registry) find(secret string) (*session, bool) {
	r.mu.Lock()
	s, ok := r.bySecret[secret]
	r.mu.Unlock()
	return s, ok && s.live()
}

func (s *session) live() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.media != nil && s.ended == nil
}

func (r *registry) of(id stage.ParticipantID) (list []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.bySecret {
		if s.participant.ID == id {
			list = append(list, s)
		}
	}
	return list
}

func (r *registry) close() (list []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, s := range r.bySecret {
		list = append(list, s)
	}
	return list
}
