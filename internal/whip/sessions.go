package whip

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Relations of links that the IVS web SDK uses.
const (
	RelDelete   = "urn:ietf:params:whip:ivs-stages:session-delete"
	RelPlayback = "urn:ietf:params:whep:core:playback-controls"
	RelLayers   = "urn:ietf:params:whep:ext:core:layer"
)

// An OpenRequest requests a session, over HTTP or over the events socket of a stage.
type OpenRequest struct {
	Participant stage.Participant   // must be verified
	Bearer      stage.Secret        // required to end the session later
	Publisher   stage.ParticipantID // the publisher to receive; "" to publish
	Offer       string
	Highest     bool // start with the highest layer; InitialLayerPreference of the IVS web SDK
}

// An Answer describes an open session. All URLs are absolute paths, and secrets.
type Answer struct {
	SDP     string
	Session string
	ETag    string
	Links   []Link
}

// A Link is the content of a Link header (RFC 8288).
type Link struct{ URL, Rel string }

// Link returns the URL of the link with that relation, or "".
func (a Answer) Link(rel string) string {
	for _, link := range a.Links {
		if link.Rel == rel {
			return link.URL
		}
	}
	return ""
}

// An owner is the hash of the bearer that may end a session. The bearer itself is not stored.
type owner [sha256.Size]byte

func ownerOf(bearer stage.Secret) owner { return sha256.Sum256([]byte(bearer.Reveal())) }

// is reports in constant time whether the owner has a certain bearer.
func (o owner) is(bearer stage.Secret) bool {
	other := ownerOf(bearer)
	return subtle.ConstantTimeCompare(o[:], other[:]) == 1
}

// A session is a WHIP or WHEP session that is open or being negotiated.
type session struct {
	participant   stage.Participant
	publisher     stage.ParticipantID
	secret        string // appears only in the URL
	etag          string
	userFragments []string           // the client's ICE user names, from its offer
	cancel        context.CancelFunc // ends the negotiation
	settled       chan struct{}      // closed when the negotiation has ended
	over          chan struct{}      // closed when the session has ended and is removed

	mu    sync.Mutex
	owner owner        // guarded by mu: an exchange of tokens changes it
	media Session      // guarded by mu: nil during the negotiation
	ended *stage.Error // guarded by mu: why `end` has ended the session; otherwise nil
}

func newSession(o OpenRequest, prefix string, cancel context.CancelFunc) *session {
	return &session{
		participant: o.Participant, publisher: o.Publisher, userFragments: userFragments(o.Offer),
		secret: prefix + rand.Text(), etag: `"` + rand.Text() + `"`, owner: ownerOf(o.Bearer),
		cancel: cancel, settled: make(chan struct{}), over: make(chan struct{}),
	}
}

// Open opens a session for a verified participant. It replaces the participant's session in the
// same slot.
func (h *Handler) Open(ctx context.Context, o OpenRequest) (Answer, error) {
	if err := permit(o); err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, negotiation)
	defer cancel()
	if err := h.inView(ctx, o); err != nil {
		return Answer{}, err
	}
	if err := h.ending(ctx, o); err != nil {
		return Answer{}, err
	}
	s := newSession(o, h.SessionPrefix(), cancel)
	if err := h.sessions.enter(s); err != nil {
		return Answer{}, err
	}
	sdp, err := h.establish(ctx, o, s)
	close(s.settled)
	if err != nil {
		h.sessions.leave(s)
		return Answer{}, s.failed(err)
	}
	go func() {
		<-s.media.Done()
		h.sessions.leave(s) // only now can Shutdown stop waiting for this session
	}()
	return s.answer(sdp), nil
}

func (h *Handler) establish(ctx context.Context, o OpenRequest, s *session) (string, error) {
	// Verify again, because Close can find the session only from now on, and the token may have
	// been revoked since the first check. A client that sends its body slowly can make that time
	// long.
	if _, err := h.Tokens.Verify(ctx, o.Bearer); err != nil {
		return "", err
	}
	// If there are two concurrent starts, the later one wins, because an OBS that is started twice
	// drops its first connection.
	if rival := h.sessions.negotiates(s); rival != nil {
		rival.end(replaced())
		<-rival.settled
	}
	media, sdp, err := h.negotiate(ctx, o)
	if err != nil {
		return "", err
	}
	if err := s.start(media); err != nil {
		return "", err
	}
	if eager, ok := media.(HighestFirst); ok && o.Highest {
		eager.StartHighest()
	}
	if earlier := h.sessions.started(s); earlier != nil {
		h.paces.count(h.paces.takeovers, o.Participant)
		earlier.end(replaced())
	}
	return sdp, nil
}

func replaced() (code, detail string) {
	return "replaced", "A newer connection with the same token took over."
}

// permit checks whether the token's capabilities allow the request.
func permit(o OpenRequest) error {
	can := o.Participant.Capabilities
	switch {
	case o.Publisher == "" && !can.Has(stage.Publish):
		return stage.Errorf(stage.ErrDenied,
			"This token is for watching only: get one that may publish.").WithCode("no_capability")
	case o.Publisher != "" && !can.Has(stage.Subscribe):
		return stage.Errorf(stage.ErrDenied,
			"This token is for publishing only: get one that may watch.").WithCode("no_capability")
	}
	return nil
}

// inView limits the token of a viewing key to its view. A participant ID belongs to one user
// permanently, so the result holds until the subscription.
func (h *Handler) inView(ctx context.Context, o OpenRequest) error {
	if o.Publisher == "" || o.Participant.View == "" {
		return nil
	}
	present, err := h.Media.Participants(ctx, o.Participant.Stage)
	if err != nil {
		return err
	}
	for _, p := range present {
		if p.Participant.ID != o.Publisher {
			continue
		}
		if !o.Participant.View.Shows(p.Participant) {
			return stage.Errorf(stage.ErrDenied, "This viewing key shows another participant.").
				WithCode("not_in_view")
		}
		return nil
	}
	return stage.Errorf(stage.ErrNotFound, "This participant does not publish at the moment.").
		WithCode("not_publishing")
}

// Drain refuses new publications from now on, except on a stage that has a publisher. All
// publishers of a stage must be on one machine.
func (h *Handler) Drain() { h.draining.Store(true) }

func (h *Handler) ending(ctx context.Context, o OpenRequest) error {
	if !h.draining.Load() || o.Publisher != "" {
		return nil
	}
	present, err := h.Media.Participants(ctx, o.Participant.Stage)
	if err != nil || slices.ContainsFunc(present,
		func(p stage.Presence) bool { return p.Publishing }) {
		return err
	}
	return errStopping()
}

func errStopping() error {
	return stage.Errorf(stage.ErrUnavailable, "The server is stopping: try again in a moment.").
		WithCode("shutdown").WithRetry(5 * time.Second)
}

func (h *Handler) negotiate(ctx context.Context, o OpenRequest) (Session, string, error) {
	if o.Publisher == "" {
		return h.Media.Publish(ctx, o.Participant, o.Offer)
	}
	return h.Media.Subscribe(ctx, o.Participant, o.Publisher, o.Offer)
}

// Close ends all sessions of a participant, including those being negotiated.
func (h *Handler) Close(id stage.ParticipantID, code, detail string) {
	for _, s := range h.sessions.of(id) {
		s.end(code, detail)
	}
}

// CloseAll ends all sessions, including those being negotiated. New sessions are still accepted.
func (h *Handler) CloseAll(code, detail string) {
	for _, s := range h.sessions.all() {
		s.end(code, detail)
	}
}

// Exchange sets a new token for the sessions of a participant, after the web SDK has exchanged its
// token. It ends sessions that the new token does not allow.
func (h *Handler) Exchange(p stage.Participant, bearer stage.Secret) {
	for _, s := range h.sessions.of(p.ID) {
		if s.participant.Stage != p.Stage {
			continue
		}
		s.rekey(bearer)
		if err := permit(OpenRequest{Participant: p, Publisher: s.publisher}); err != nil {
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

// end ends the session. A second call does not change the reason.
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

// start stores the media, unless the session ended during the negotiation.
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

// failed returns why a session was not opened. If the session was ended meanwhile, the result is
// the reason of that end, which is more precise than the error of the context.
func (s *session) failed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended != nil:
		return s.ended
	case errors.Is(err, context.DeadlineExceeded):
		return stage.Errorf(stage.ErrUnavailable, "The connection was not negotiated in time: "+
			"try again.").WithCode("negotiation_timeout").WithCause(err)
	case errors.Is(err, context.Canceled):
		return stage.Errorf(stage.ErrUnavailable, "The client disconnected before it had its "+
			"answer.").WithCode("client_gone").WithCause(err)
	}
	return err
}

func (s *session) rekey(bearer stage.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner = ownerOf(bearer)
}

func (s *session) ownedBy() owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner
}

func (s *session) answer(sdp string) Answer {
	url := "/whip/s/" + s.secret
	a := Answer{SDP: sdp, Session: url, ETag: s.etag, Links: []Link{{url, RelDelete}}}
	if _, ok := s.media.(Playable); ok {
		a.Links = append(a.Links, Link{url + "/playback", RelPlayback})
	}
	if _, ok := s.media.(Layered); ok {
		a.Links = append(a.Links, Link{url + "/layers", RelLayers})
	}
	return a
}

func (s *session) live() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.media != nil && s.ended == nil
}
