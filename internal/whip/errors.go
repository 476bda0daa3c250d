package whip

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// The error numbers of IVS. The web SDK handles some of them, but only with the HTTP statuses that
// are used here.
const (
	ivsUnspecified    = 2001
	ivsTokenExpired   = 2002
	ivsNoPermission   = 2003
	ivsNoRemoteStream = 2004
	ivsStageFull      = 2005
	ivsInternal       = 2006
	ivsThrottled      = 2013
	ivsNoCodec        = 2014
)

// A Status is the response to an error: the HTTP status and the IVS number in the body.
type Status struct{ HTTP, IVS int }

// StatusOf maps errors to statuses, and is the only place that does. It uses the code if the code
// is more specific than the kind.
func StatusOf(err error) Status {
	var e *stage.Error
	if errors.As(err, &e) {
		switch e.Code {
		case "token_expired":
			return Status{http.StatusUnauthorized, ivsTokenExpired}
		case "no_h264", "no_opus":
			return Status{http.StatusBadRequest, ivsNoCodec}
		case "stage_full": // the web SDK reads the number 2005 only with the status 400 or 403
			return Status{http.StatusForbidden, ivsStageFull}
		case "method_not_allowed":
			return Status{http.StatusMethodNotAllowed, ivsUnspecified}
		case "not_acceptable":
			return Status{http.StatusNotAcceptable, ivsUnspecified}
		case "wrong_etag":
			return Status{http.StatusPreconditionFailed, ivsUnspecified}
		case "ice_restart": // RFC 9725, 4.3.1, for a server that supports only trickle ICE
			return Status{http.StatusUnprocessableEntity, ivsUnspecified}
		case "unsupported_media_type", "unsupported_encoding":
			return Status{http.StatusUnsupportedMediaType, ivsUnspecified}
		}
	}
	for _, row := range []struct {
		kind   error
		status Status
	}{
		{stage.ErrInvalid, Status{http.StatusBadRequest, ivsUnspecified}},
		{stage.ErrUnauthorized, Status{http.StatusUnauthorized, ivsNoPermission}},
		{stage.ErrDenied, Status{http.StatusForbidden, ivsNoPermission}},
		{stage.ErrNotFound, Status{http.StatusNotFound, ivsNoRemoteStream}},
		{stage.ErrConflict, Status{http.StatusConflict, ivsUnspecified}},
		{stage.ErrTooLarge, Status{http.StatusRequestEntityTooLarge, ivsUnspecified}},
		{stage.ErrTooMany, Status{http.StatusTooManyRequests, ivsThrottled}},
		{stage.ErrUnavailable, Status{http.StatusServiceUnavailable, ivsUnspecified}},
	} {
		if errors.Is(err, row.kind) {
			return row.status
		}
	}
	return Status{http.StatusInternalServerError, ivsInternal}
}

// Refuse logs a refusal. If the participant is known, it also reports the refusal as an event for
// the participant's dock. The receiver of events drops repetitions.
func (h *Handler) Refuse(r *http.Request, p stage.Participant, err error) {
	code, detail := Reason(err)
	if p.ID == "" {
		h.Log.DebugContext(r.Context(), "a request was refused", "code", code, "from", h.Address(r),
			"err", err)
		return
	}
	h.Log.InfoContext(r.Context(), "a request of a participant was refused", "participant", p.ID,
		"stage", p.Stage,
		"code", code, "from",
		h.Address(r), "err", err)
	if theirs(err) {
		h.paces.count(h.paces.refusals, p)
	}
	if h.Events != nil {
		h.Events(stage.Event{
			Time: h.Now(), Kind: stage.EventRefused, Stage: p.Stage, Participant: p.ID,
			UserID: p.UserID, Code: code, Detail: detail,
		})
	}
}

// theirs reports whether a refusal counts towards the rate limit of the participant. Wrong tokens
// count towards the rate limit of the client's address instead. A full server, or a publisher that
// is not on the stage yet, is not the client's fault.
func theirs(err error) bool {
	for _, kind := range []error{
		stage.ErrUnauthorized, stage.ErrUnavailable, stage.ErrTooMany, stage.ErrNotFound,
	} {
		if errors.Is(err, kind) {
			return false
		}
	}
	return true
}

// Fail responds to a request that did not reach ServeHTTP.
func (h *Handler) Fail(w http.ResponseWriter, r *http.Request, err error) {
	h.cors.Allow(w, r)
	h.fail(w, r, stage.Participant{}, err)
}

// fail responds with {"code":N,"message":"…"}, as IVS does.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, p stage.Participant, err error) {
	status := StatusOf(err)
	if status.HTTP == http.StatusInternalServerError {
		h.Log.ErrorContext(r.Context(), "a request failed", "participant", p.ID, "err", err)
	}
	h.Refuse(r, p, err)
	_, detail := Reason(err)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	switch status.HTTP {
	case http.StatusUnauthorized, http.StatusForbidden:
		header.Set("WWW-Authenticate", challenge(err, status.HTTP))
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header.Set("Retry-After", httpkit.RetryAfter(err))
	}
	w.WriteHeader(status.HTTP)
	body := json.NewEncoder(w)
	body.SetEscapeHTML(false)
	body.Encode(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{status.IVS, detail})
}

// Reason returns the stable code of an error and its sentence for people. The cause is only for the
// log.
func Reason(err error) (code, detail string) {
	var e *stage.Error
	if !errors.As(err, &e) {
		return "internal", "An error happened on the server; the server's log has the details."
	}
	if code = e.Code; code == "" {
		code = strings.ReplaceAll(e.Kind.Error(), " ", "_")
	}
	return code, e.Detail
}

// challenge returns the WWW-Authenticate header of RFC 6750, 3. It contains the error, unless the
// request had no token.
func challenge(err error, status int) string {
	code, detail := Reason(err)
	if code == "token_missing" {
		return `Bearer realm="stage"`
	}
	kind := "invalid_token"
	if status == http.StatusForbidden {
		kind = "insufficient_scope"
	}
	return `Bearer realm="stage", error="` + kind +
		`", error_description="` + quotable(detail) + `"`
}

// quotable replaces the characters that RFC 6750, 3 does not allow in a description.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}

func errNoSession() error {
	return stage.Errorf(stage.ErrNotFound, "There is no such session (any more).").
		WithCode("no_session")
}

func errMethod(method string) error {
	return stage.Errorf(stage.ErrInvalid, "This address does not have the method %.20q.", method).
		WithCode("method_not_allowed")
}
