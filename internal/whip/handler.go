// Package whip is the door through which media comes and goes: WHIP (RFC 9725) for publishers, WHEP for viewers, and both as
// the IVS web SDK calls them. It knows tokens and sessions; what flows in them is behind Media.
package whip

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	maxOffer = 64 << 10 // an offer with all codecs and simulcast of a browser has some 6 KB
	maxSmall = 16 << 10 // the other bodies: a token, a choice of layer

	sdpType = "application/sdp"

	// negotiation is as long as the most impatient client waits: OBS gives up after 8 seconds, redirects included.
	negotiation = 8 * time.Second
)

// Tokens checks bearers; token.Verifier does. With an error the participant is what the token claims, and may be empty.
type Tokens interface {
	Verify(ctx context.Context, bearer stage.Secret) (stage.Participant, error)
}

// A Handler serves /whip and /whep. Set its fields before the first request; it is safe for concurrent use.
type Handler struct {
	Media  Media
	Tokens Tokens
	Log    *slog.Logger
	Now    func() time.Time
	Events func(stage.Event) // is told of refusals; sessions tell of themselves. May be nil

	AllowOrigins []string                       // whose pages may call from a browser beside our own, such as https://app.example; "*" for all
	Address      func(*http.Request) netip.Addr // of the client, where proxies are in between; nil: RemoteAddr

	sessions registry
	knocks   throttle[netip.Prefix] // wrong tokens, by address
	refusals throttle[who]          // of tokens that are what they claim, and takeovers
	told     echoes
}

// Before serves the doors and leaves everything else to next. It belongs in front of a ServeMux, which would answer
// "//" and a trailing slash with a redirect; a redirected preflight is fatal in browsers, and OBS would lose its offer.
func (h *Handler) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first := segments(r.URL.Path); len(first) > 0 && (first[0] == "whip" || first[0] == "whep") {
			h.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP finds the door. Empty parts of a path are overlooked: whoever typed one slash too many means the same door.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	h.allowOrigin(w, r)
	door, methods := h.door(segments(r.URL.Path))
	if door == nil {
		// The path is not repeated: it may hold a secret that was put into the wrong place.
		h.fail(w, r, stage.Participant{}, stage.Errorf(stage.ErrNotFound, "There is nothing here. The WHIP endpoint is /whip."))
		return
	}
	switch {
	case r.Method == http.MethodOptions:
		h.options(w, methods)
	case !slices.Contains(methods, r.Method):
		// PATCH, too: there is neither trickle ICE nor ICE restart, for which RFC 9725, 4.3 has it. Answers are complete, and
		// who lost the network posts again and takes over.
		w.Header().Set("Allow", allowed(methods))
		h.fail(w, r, stage.Participant{}, errMethod(r.Method))
	default:
		door(w, r)
	}
}

type door = http.HandlerFunc

// door maps a path to what is behind it and the methods it knows.
func (h *Handler) door(path []string) (door, []string) {
	switch {
	case len(path) == 1 && path[0] == "whip":
		return h.publish(""), []string{"POST"}
	case len(path) == 3 && path[0] == "whip" && path[1] == "publish":
		return h.publish(stage.ParticipantID(path[2])), []string{"POST"}
	case len(path) == 3 && path[0] == "whip" && path[1] == "subscribe":
		return h.subscribe(stage.ParticipantID(path[2])), []string{"POST"}
	case len(path) == 2 && path[0] == "whep":
		return h.subscribe(stage.ParticipantID(path[1])), []string{"POST"}
	case len(path) >= 3 && path[0] == "whip" && path[1] == "s":
		return h.sessionDoor(path[2], path[3:])
	}
	return nil, nil
}

func (h *Handler) sessionDoor(secret string, rest []string) (door, []string) {
	switch {
	case len(rest) == 0:
		return h.end(secret), []string{"DELETE", "POST"}
	case len(rest) == 1 && rest[0] == "layers":
		return h.layers(secret), []string{"GET", "POST"}
	case len(rest) == 1 && rest[0] == "playback":
		return h.playback(secret), []string{"POST"}
	}
	return nil, nil
}

func allowed(methods []string) string { return strings.Join(append(methods, "OPTIONS"), ", ") }

func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// publish opens a publication. An ID in the path must be the bearer's own, as the IVS web SDK sends it.
func (h *Handler) publish(id stage.ParticipantID) door {
	return func(w http.ResponseWriter, r *http.Request) {
		bearer, p, err := h.bearer(r)
		if err == nil && id != "" && id != p.ID {
			err = stage.Errorf(stage.ErrDenied, "The address is that of another participant than the token's.").WithCode("wrong_participant")
		}
		if err != nil {
			h.fail(w, r, p, err)
			return
		}
		h.open(w, r, Knock{Participant: p, Bearer: bearer})
	}
}

// subscribe opens a subscription to a publisher.
func (h *Handler) subscribe(publisher stage.ParticipantID) door {
	return func(w http.ResponseWriter, r *http.Request) {
		bearer, p, err := h.bearer(r)
		if err != nil {
			h.fail(w, r, p, err)
			return
		}
		h.open(w, r, Knock{Participant: p, Bearer: bearer, Publisher: publisher})
	}
}

// open reads the offer, opens the session and answers as RFC 9725, 4.2 has it.
func (h *Handler) open(w http.ResponseWriter, r *http.Request, k Knock) {
	err := acceptable(r)
	if err == nil {
		k.Offer, err = readBody(w, r, maxOffer)
	}
	if err != nil {
		h.fail(w, r, k.Participant, err)
		return
	}
	k.Highest = r.Header.Get("X-Stages-Initial-Layer-Pref") == "highest"
	answer, err := h.Open(r.Context(), k)
	if err != nil {
		h.fail(w, r, k.Participant, err)
		return
	}
	header := w.Header()
	// An absolute path without a query: OBS replaces the path of its URL by it and would lose a query.
	header.Set("Location", answer.Session)
	header.Set("ETag", answer.ETag)
	header.Set("Content-Type", sdpType)
	for _, link := range answer.Links {
		header.Add("Link", "<"+link.URL+`>; rel="`+link.Rel+`"`)
	}
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, answer.SDP)
}

// end ends a session. DELETE answers exactly 200, the one status that OBS takes for success; RFC 9725, 4.2 asks for it, too.
func (h *Handler) end(secret string) door {
	return func(w http.ResponseWriter, r *http.Request) {
		s, ok := h.sessions.find(secret)
		if !ok {
			h.fail(w, r, stage.Participant{}, errNoSession())
			return
		}
		if err := h.mayEnd(w, r, s); err != nil {
			h.fail(w, r, stage.Participant{}, err)
			return
		}
		s.end("deleted", "The broadcaster or viewer ended the session.")
		w.WriteHeader(http.StatusOK)
	}
}

// mayEnd requires the bearer that opened the session, even if it has expired since.
func (h *Handler) mayEnd(w http.ResponseWriter, r *http.Request, s *session) error {
	bearer, err := authorization(r)
	if r.Method == http.MethodPost {
		bearer, err = beacon(w, r)
	}
	switch {
	case err != nil:
		return err
	case !bearer.Empty() && s.openedBy(bearer):
		return nil
	case bearer.Empty():
		return stage.Errorf(stage.ErrUnauthorized, "A session is ended with the token that opened it.").WithCode("token_missing")
	}
	return stage.Errorf(stage.ErrDenied, "The session was opened with another token.").WithCode("wrong_participant")
}

// bearer verifies the token of the request.
func (h *Handler) bearer(r *http.Request) (stage.Secret, stage.Participant, error) {
	bearer, err := authorization(r)
	if err != nil {
		return bearer, stage.Participant{}, err
	}
	p, err := h.Check(r, bearer)
	return bearer, p, err
}

// Check verifies a token that came with a request, in whichever part of it, unless the request's address or the token's
// participant has failed too often.
func (h *Handler) Check(r *http.Request, bearer stage.Secret) (stage.Participant, error) {
	now, from := h.Now(), network(h.address(r))
	if wait := h.knocks.wait(from, now); wait > 0 {
		return stage.Participant{}, errAttempts("Too many wrong tokens came from this address: wait a little and try again.", wait)
	}
	p, err := h.Tokens.Verify(r.Context(), bearer)
	if errors.Is(err, stage.ErrUnauthorized) { // and what it claims proves nothing: no stranger speaks for a participant
		h.knocks.failed(from, now)
		return p, err
	}
	if wait := h.refusals.wait(whoIs(p), now); wait > 0 {
		return p, errAttempts("Too much of this token was refused: wait a little and try again.", wait)
	}
	return p, err
}

func errAttempts(detail string, wait time.Duration) error {
	return stage.Errorf(stage.ErrTooMany, "%s", detail).WithCode("too_many_attempts").WithRetry(wait)
}

// who is a participant, wherever it comes from.
type who struct {
	stage stage.ARN
	id    stage.ParticipantID
}

func whoIs(p stage.Participant) who { return who{p.Stage, p.ID} }
