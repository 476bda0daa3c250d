package signal

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

const (
	perSecond = 20 // messages per second that a client may send continuously
	burst     = 100
	maxID     = 128 // bytes of a requestId or traceId, which a response repeats
	maxOffers = 32  // concurrent negotiations on one socket; by default a stage has 12 publishers
)

// ServeHTTP serves GET {events_url}?topic={stage}/publishers, with the token as the only WebSocket
// subprotocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bearer := Bearer(r)
	wire := &wire{ResponseWriter: w}
	conn, err := websocket.Accept(wire, r, &websocket.AcceptOptions{
		// Browsers fail the handshake unless the response contains exactly the subprotocol that
		// they offered.
		Subprotocols: []string{bearer.Reveal()},
		// Any page with a token may join. There is no cookie that another page could abuse.
		InsecureSkipVerify: true,
	})
	if err != nil {
		// Accept has sent the response
		s.cfg.Log.DebugContext(r.Context(), "a WebSocket was not accepted", "err", err)
		return
	}
	defer conn.CloseNow()
	k := newSocket(conn, wire.cut, s.timing.ping)
	p, err := s.enter(r, k, bearer)
	if err != nil {
		s.refuse(r, k, p, err)
		return
	}
	s.changed(p.Stage)
	onPurpose := s.converse(r, k, p)
	s.lost(k, p.Stage, p.ID, onPurpose)
}

// wire keeps the connection below a WebSocket, because closing a WebSocket waits for the client,
// and some clients do not read.
type wire struct {
	http.ResponseWriter
	conn net.Conn
}

func (w *wire) Hijack() (_ net.Conn, buffer *bufio.ReadWriter, err error) {
	w.conn, buffer, err = http.NewResponseController(w.ResponseWriter).Hijack()
	return w.conn, buffer, err
}

func (w *wire) cut() { w.conn.SetDeadline(time.Unix(1, 0)) }

func (s *Server) enter(r *http.Request, k *socket, bearer stage.Secret) (stage.Participant, error) {
	p, err := s.admit(r, bearer)
	if err != nil {
		return p, err
	}
	if err := s.join(k, p, bearer); err != nil {
		return p, err
	}
	// Verify again, because only now can Disconnect find the member, and it may have been called
	// since the first check.
	if _, err := s.admit(r, bearer); err != nil {
		s.lost(k, p.Stage, p.ID, true)
		return p, err
	}
	return p, nil
}

// Bearer returns the token of a request: the first subprotocol that the client offers.
func Bearer(r *http.Request) stage.Secret {
	first, _, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), ",")
	return stage.NewSecret(strings.TrimSpace(first))
}

func (s *Server) admit(r *http.Request, bearer stage.Secret) (stage.Participant, error) {
	p, err := s.cfg.Sessions.Check(r, bearer)
	if err != nil {
		return p, err
	}
	topic, _, _ := strings.Cut(r.URL.Query().Get("topic"), "/")
	if topic != "" && topic != p.Stage.ID() {
		return p, stage.Errorf(stage.ErrInvalid,
			"The topic of the address is that of another stage "+
				"than the token's.").WithCode("wrong_topic")
	}
	return p, nil
}

// refuse sends the reason over the socket. If the handshake failed instead, an SDK would assume a
// network failure, retry for a minute, and never get the reason.
func (s *Server) refuse(r *http.Request, k *socket, p stage.Participant, err error) {
	s.cfg.Sessions.Refuse(r, p, err)
	_, detail := whip.Reason(err)
	k.send(joinError(joinErrorCode(err), detail))
	k.close()
	ctx, cancel := context.WithTimeout(r.Context(), writingTime)
	defer cancel()
	k.write(k.conn.CloseRead(ctx)) // fails if the client has disconnected already
}

// joinErrorCode returns a code that the SDK knows. After the code INTERNAL the SDK retries, with
// growing pauses.
func joinErrorCode(err error) string {
	code, _ := whip.Reason(err)
	switch code {
	case "token_missing":
		return "TOKEN_MISSING"
	case "token_signature":
		return "TOKEN_INVALID_SIGNATURE"
	case "token_expired":
		return "TOKEN_EXPIRED"
	case "stage_gone":
		return "STAGE_DELETED"
	}
	switch status := whip.StatusOf(err).HTTP; {
	case status == http.StatusUnauthorized:
		return "TOKEN_INVALID"
	case status == http.StatusForbidden: // the token was valid before
		return "PARTICIPANT_DISCONNECTED"
	case status == http.StatusBadRequest:
		return "BAD_REQUEST"
	}
	return "INTERNAL"
}

// converse reads and writes messages until the socket ends. It reports whether the client closed
// the socket on purpose.
func (s *Server) converse(r *http.Request, k *socket, p stage.Participant) (onPurpose bool) {
	ctx, cancel := context.WithCancel(r.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel() // ends the reader
		if err := k.write(ctx); err != nil {
			s.cfg.Log.DebugContext(r.Context(), "an events socket ended", "participant", p.ID,
				"err", err)
		}
	})
	c := &client{
		server: s, socket: k, request: r, stage: p.Stage, id: p.ID,
		offers: make(chan struct{}, maxOffers),
	}
	err := c.read(ctx)
	cancel()
	wg.Wait()
	c.negotiations.Wait()
	switch websocket.CloseStatus(err) {
	case websocket.StatusNoStatusRcvd, websocket.StatusGoingAway, websocket.StatusNormalClosure:
		return true // 1005: leave(); 1001: the tab was closed
	}
	return false
}

// A client is one connected client.
type client struct {
	server       *Server
	socket       *socket
	request      *http.Request
	stage        stage.ARN
	id           stage.ParticipantID
	offers       chan struct{}
	negotiations sync.WaitGroup
}

func (c *client) read(ctx context.Context) error {
	limit := rate.NewLimiter(perSecond, burst)
	for {
		_, text, err := c.socket.conn.Read(ctx)
		if err != nil {
			return err
		}
		if err := limit.Wait(ctx); err != nil {
			return err
		}
		var m incoming
		// ignore unknown messages, as the SDK does
		if json.Unmarshal(text, &m) == nil {
			c.handle(ctx, m)
		}
	}
}

func (c *client) handle(ctx context.Context, m incoming) {
	if !identified(m.Payload) {
		c.socket.send(joinError("BAD_REQUEST", "A requestId and a traceId must have at most 128 "+
			"bytes."))
		c.socket.close()
		return
	}
	switch m.Type {
	case typePing:
		c.socket.send(message(typePong, nil))
	case typeFlatSetState:
		c.mute(m.muting)
	case typeSetState:
		decode(m.Payload, func(v setState) {
			c.mute(v.muting)
			c.socket.send(message(typeSetState, map[string]string{"requestId": v.RequestID}))
		})
	case typeSDPOffer:
		decode(m.Payload, func(v sdpOffer) { c.negotiate(ctx, v) })
	case typeExchangeToken:
		decode(m.Payload, c.exchange)
	}
}

// identified reports whether the IDs that a response repeats are short enough.
func identified(payload json.RawMessage) bool {
	var ids struct{ RequestID, TraceID string }
	json.Unmarshal(payload, &ids) // decode finds other invalid fields
	return len(ids.RequestID) <= maxID && len(ids.TraceID) <= maxID
}

func decode[T any](payload json.RawMessage, handle func(T)) {
	var v T
	if json.Unmarshal(payload, &v) == nil {
		handle(v)
	}
}

// member calls the given function with this client's member. It returns false if there is no such
// member any more.
func (c *client) member(do func(*member)) bool {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.memberOf(c.socket, c.stage, c.id)
	if m != nil {
		do(m)
	}
	return m != nil
}

func (c *client) mute(v muting) {
	known := c.member(func(m *member) {
		m.muteKnown, m.audioMuted, m.videoStopped = true, v.AudioMuted, v.VideoStopped
	})
	if known {
		c.server.changed(c.stage)
	}
}

// negotiate answers an offer in its own goroutine, so that the next message does not wait.
func (c *client) negotiate(ctx context.Context, offer sdpOffer) {
	select {
	case c.offers <- struct{}{}:
		c.negotiations.Go(func() {
			defer func() { <-c.offers }()
			c.socket.send(message(typeSDPAnswer, c.answer(ctx, offer)))
		})
	default:
		err := stage.Errorf(stage.ErrTooMany, "There are too many offers at once.").
			WithCode("too_many_offers")
		c.socket.send(message(typeSDPAnswer, failure(offer, err)))
	}
}

// answer opens a session, as an offer over HTTP does.
func (c *client) answer(ctx context.Context, offer sdpOffer) sdpAnswer {
	var k whip.OpenRequest
	c.member(func(m *member) { k.Participant, k.Bearer = m.participant, m.bearer })
	k.Offer, k.Highest = offer.Content, offer.LayerPref == "highest"
	var err error
	if k.Publisher, err = c.target(offer.WHIPURL); err != nil {
		return failure(offer, err)
	}
	a, err := c.server.cfg.Sessions.Open(ctx, k)
	if err != nil {
		c.server.cfg.Sessions.Refuse(c.request, k.Participant, err)
		return failure(offer, err)
	}
	return sdpAnswer{
		RequestID: offer.RequestID, HTTPStatusCode: http.StatusCreated,
		Content: a.SDP, ContentType: "application/sdp", Location: c.url(a.Session),
		SessionDeleteLink:     c.url(a.Link(whip.RelDelete)),
		SubscriberControlLink: c.url(a.Link(whip.RelPlayback)),
		VideoLayersLink:       c.url(a.Link(whip.RelLayers)),
	}
}

// target parses the URL to which the SDK would otherwise post its offer: …/publish/{own ID} or
// …/subscribe/{publisher}.
func (c *client) target(address string) (publisher stage.ParticipantID, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", errTarget()
	}
	parts := strings.Split(u.Path, "/")
	if len(parts) < 2 {
		return "", errTarget()
	}
	id := stage.ParticipantID(parts[len(parts)-1])
	switch verb := parts[len(parts)-2]; {
	case verb == "publish" && id == c.id:
		return "", nil
	case verb == "subscribe" && id != "":
		return id, nil
	}
	return "", errTarget()
}

func errTarget() error {
	return stage.Errorf(stage.ErrDenied,
		"An offer must be for your own publication, or for a subscription "+
			"to a participant.").WithCode("wrong_participant")
}

func failure(offer sdpOffer, err error) sdpAnswer {
	status := whip.StatusOf(err)
	_, detail := whip.Reason(err)
	return sdpAnswer{
		RequestID: offer.RequestID, HTTPStatusCode: status.HTTP, ErrorCode: status.IVS,
		ErrorMessage: detail,
	}
}

func (c *client) url(path string) string {
	if path == "" {
		return ""
	}
	return c.server.cfg.Origin + path
}

// exchange replaces the token with a new one of the same participant on the same stage.
func (c *client) exchange(v exchangeToken) {
	reply := exchanged{RequestID: v.RequestID, TraceID: v.TraceID}
	if err := c.take(v); err != nil {
		c.server.cfg.Sessions.Refuse(c.request, stage.Participant{ID: c.id, Stage: c.stage}, err)
		_, detail := whip.Reason(err)
		reply.Error = &errorMessage{detail}
	}
	c.socket.send(message(typeExchangeToken, reply))
}

func (c *client) take(v exchangeToken) error {
	bearer := stage.NewSecret(v.NewToken)
	p, err := c.server.cfg.Sessions.Check(c.request, bearer)
	if err != nil {
		return err
	}
	if p.ID != c.id || p.Stage != c.stage {
		return stage.Errorf(stage.ErrDenied, "The new token is for another participant or stage.").
			WithCode("wrong_participant")
	}
	err = stage.Errorf(stage.ErrDenied, "The old token is not the one with which this connection "+
		"joined.").
		WithCode("wrong_participant")
	c.member(func(m *member) {
		if m.bearer.Equal(stage.NewSecret(v.OldToken)) {
			m.participant, m.bearer, err = p, bearer, nil
		}
	})
	if err == nil {
		c.server.cfg.Sessions.Exchange(p, bearer)
		c.server.changed(c.stage)
	}
	return err
}
