// Package whip serves WHIP (RFC 9725) to publishers and WHEP to viewers, including the dialect of
// the IVS web SDK. It handles tokens and sessions; a Media carries the media.
package whip

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// negotiation is the time limit of a negotiation. The client with the shortest time limit, OBS,
// gives up after 8 seconds, including redirects.
const negotiation = 8 * time.Second

// Tokens verifies bearers. If Verify returns an error, the participant contains only what the token
// claims, without proof, or is empty.
type Tokens interface {
	Verify(ctx context.Context, bearer stage.Secret) (stage.Participant, error)
}

// Config is what a Handler needs. The fields of the second group are optional.
type Config struct {
	Media  Media
	Tokens Tokens
	Log    *slog.Logger
	Now    func() time.Time

	// Guard limits wrong tokens by address. Other handlers share it.
	Guard *httpkit.Guard
	// Events receives refusals. Media reports the events of its sessions itself.
	Events func(stage.Event)
	// AllowOrigins are other origins whose pages may send requests; "*" means all.
	AllowOrigins []string
	// Address returns the address of the client. The default is the address of the connection.
	Address func(*http.Request) netip.Addr
	// ICEServers returns STUN and TURN servers, for clients in closed networks.
	ICEServers func(stage.Participant) []ICEServer
	// SessionPrefix returns a prefix for the secrets in session URLs. By this prefix, replicas find
	// the replica that serves the session.
	SessionPrefix func() string
}

// A Handler serves /whip and /whep. It is safe for concurrent use.
type Handler struct {
	Config
	routes   []route
	cors     httpkit.CORS
	sessions *registry
	paces    paces
	draining atomic.Bool // see Drain
}

// New returns a Handler.
func New(c Config) *Handler {
	if c.Guard == nil {
		c.Guard = httpkit.NewGuard(c.Now, c.Log)
	}
	if c.SessionPrefix == nil {
		c.SessionPrefix = func() string { return "" }
	}
	if c.Address == nil {
		c.Address = httpkit.Proxies(nil).Client
	}
	h := &Handler{
		Config: c, sessions: newRegistry(c.Now), paces: newPaces(c.Now),
		cors: httpkit.CORS{Origins: c.AllowOrigins, Headers: allowHeaders, Expose: exposeHeaders},
	}
	h.routes = h.table()
	return h
}

// ServeHTTP serves a request by the table of routes.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	foreign := h.cors.Allow(w, r)
	handler, methods := h.find(r)
	switch {
	case len(methods) == 0:
		// The response does not repeat the path, because the client may have put a secret there by
		// mistake.
		h.fail(w, r, stage.Participant{}, stage.Errorf(stage.ErrNotFound,
			"There is nothing here. The WHIP endpoint is /whip."))
	case r.Method == http.MethodOptions:
		h.options(w, methods, foreign)
	case handler == nil:
		w.Header().Set("Allow", allow(methods))
		h.fail(w, r, stage.Participant{}, errMethod(r.Method))
	default:
		handler(w, r)
	}
}

// publish opens a publication. If the path contains a participant ID, as with the IVS web SDK, this
// must be the ID in the token.
func (h *Handler) publish(w http.ResponseWriter, r *http.Request) {
	bearer, p, err := h.authenticate(r)
	id := stage.ParticipantID(r.PathValue("participant"))
	if err == nil && id != "" && id != p.ID {
		err = stage.Errorf(stage.ErrDenied, "The address belongs to another participant than "+
			"the token.").WithCode("wrong_participant")
	}
	if err != nil {
		h.fail(w, r, p, err)
		return
	}
	h.open(w, r, OpenRequest{Participant: p, Bearer: bearer})
}

// subscribe opens a subscription to a publisher.
func (h *Handler) subscribe(w http.ResponseWriter, r *http.Request) {
	bearer, p, err := h.authenticate(r)
	if err != nil {
		h.fail(w, r, p, err)
		return
	}
	publisher := stage.ParticipantID(r.PathValue("publisher"))
	h.open(w, r, OpenRequest{Participant: p, Bearer: bearer, Publisher: publisher})
}

// open reads the offer, opens the session and responds as RFC 9725, 4.2 requires.
func (h *Handler) open(w http.ResponseWriter, r *http.Request, o OpenRequest) {
	err := acceptable(r)
	if err == nil {
		o.Offer, err = readSDP(w, r)
	}
	if err != nil {
		h.fail(w, r, o.Participant, err)
		return
	}
	o.Highest = r.Header.Get("X-Stages-Initial-Layer-Pref") == "highest"
	answer, err := h.Open(r.Context(), o)
	if err != nil {
		h.fail(w, r, o.Participant, err)
		return
	}
	header := w.Header()
	// The path is absolute and has no query, because OBS replaces the path of its URL and would
	// lose a query.
	header.Set("Location", answer.Session)
	header.Set("ETag", answer.ETag)
	header.Set("Content-Type", sdpType)
	for _, link := range answer.Links {
		header.Add("Link", "<"+link.URL+`>; rel="`+link.Rel+`"`)
	}
	if h.ICEServers != nil {
		for _, server := range h.ICEServers(o.Participant) {
			header.Add("Link", server.link())
		}
	}
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, answer.SDP)
}

// authenticate verifies the token of a request.
func (h *Handler) authenticate(r *http.Request) (stage.Secret, stage.Participant, error) {
	bearer, err := bearerOf(r)
	if err != nil {
		return bearer, stage.Participant{}, err
	}
	p, err := h.Check(r, bearer)
	return bearer, p, err
}

// Check verifies the token of a request, no matter in which part of the request it was. It limits
// wrong tokens per address, and per participant the refusals and takeovers of valid tokens.
func (h *Handler) Check(r *http.Request, bearer stage.Secret) (p stage.Participant, err error) {
	verify := func() error {
		p, err = h.Tokens.Verify(r.Context(), bearer)
		return err
	}
	if bearer.Empty() {
		return p, verify() // the Guard does not count requests without a token
	}
	switch err := h.Guard.Verify(r.Context(), h.Address(r), verify); {
	case errors.Is(err, stage.ErrTooMany), errors.Is(err, stage.ErrUnavailable):
		return stage.Participant{}, err // the Guard's own refusals are not shown in a dock
	case errors.Is(err, stage.ErrUnauthorized):
		return p, err // anybody can claim to be this participant, so do not count it
	}
	if slow := h.paces.check(p); slow != nil {
		return p, slow
	}
	return p, err
}

// bearerOf returns the bearer of a request, or "".
func bearerOf(r *http.Request) (stage.Secret, error) {
	bearer := httpkit.Bearer(r)
	if bearer.Empty() && strings.TrimSpace(r.Header.Get("Authorization")) != "" {
		return bearer, stage.Errorf(stage.ErrUnauthorized, "Send the token as a bearer: "+
			"Authorization: Bearer <token>.").WithCode("token_missing")
	}
	return bearer, nil
}
