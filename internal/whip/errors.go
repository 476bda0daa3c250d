package whip

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The numbers of IVS for what went wrong. The web SDK acts on some of them, and only under the statuses given here.
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

// A Status is how an error reads on the wire: the status of HTTP and the number of IVS in the body.
type Status struct{ HTTP, IVS int }

// StatusOf is the one table of errors: by code where the code says more than the kind, else by kind.
func StatusOf(err error) Status {
	var e *stage.Error
	if errors.As(err, &e) {
		switch e.Code {
		case "token_expired":
			return Status{http.StatusUnauthorized, ivsTokenExpired}
		case "no_h264", "no_opus":
			return Status{http.StatusBadRequest, ivsNoCodec}
		case "stage_full": // 403, because the web SDK reads 2005 under 400 and 403 only
			return Status{http.StatusForbidden, ivsStageFull}
		case "method_not_allowed":
			return Status{http.StatusMethodNotAllowed, ivsUnspecified}
		case "not_acceptable":
			return Status{http.StatusNotAcceptable, ivsUnspecified}
		case "unsupported_media_type":
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

// Refuse tells of somebody who was turned away: the log, and whoever the token claims to be, so that a dock can show why.
func (h *Handler) Refuse(r *http.Request, p stage.Participant, err error) {
	code, detail := Reason(err)
	h.Log.Info("refused", "participant", p.ID, "stage", p.Stage, "code", code, "from", h.address(r), "err", err)
	if p.ID == "" {
		return
	}
	now := h.Now()
	if theirs(err) {
		h.refusals.failed(whoIs(p), now)
	}
	if h.Events == nil || h.told.again(refusal{p.Stage, p.ID, code}, now) {
		return
	}
	h.Events(stage.Event{
		Time: now, Kind: stage.EventRefused, Stage: p.Stage, Participant: p.ID, UserID: p.UserID,
		Code: code, Detail: detail,
	})
}

// theirs says whether a refusal counts against the participant. A wrong token counts against its address; that the server is
// full, or nobody publishes yet, is not the fault of whoever asks again.
func theirs(err error) bool {
	for _, kind := range []error{stage.ErrUnauthorized, stage.ErrUnavailable, stage.ErrTooMany, stage.ErrNotFound} {
		if errors.Is(err, kind) {
			return false
		}
	}
	return true
}

// fail answers with {"code":N,"message":"…"}, as IVS does.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, p stage.Participant, err error) {
	status := StatusOf(err)
	if status.HTTP == http.StatusInternalServerError {
		h.Log.Error("a fault of ours", "participant", p.ID, "err", err)
	}
	h.Refuse(r, p, err)
	_, detail := Reason(err)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	switch status.HTTP {
	case http.StatusUnauthorized, http.StatusForbidden:
		header.Set("WWW-Authenticate", challenge(err, status.HTTP))
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header.Set("Retry-After", retryAfter(err))
	}
	w.WriteHeader(status.HTTP)
	body := json.NewEncoder(w)
	body.SetEscapeHTML(false)
	body.Encode(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{status.IVS, detail})
}

// Reason is the stable code of an error and its sentence for the person, without its cause, which is for the log.
func Reason(err error) (code, detail string) {
	var e *stage.Error
	if !errors.As(err, &e) {
		return "internal", "Something went wrong here; the operator's log says what."
	}
	if code = e.Code; code == "" {
		code = strings.ReplaceAll(e.Kind.Error(), " ", "_")
	}
	return code, e.Detail
}

// challenge is what RFC 6750, 3 asks for: without a token just the scheme, else what was wrong with the token.
func challenge(err error, status int) string {
	code, detail := Reason(err)
	if code == "token_missing" {
		return `Bearer realm="stage"`
	}
	kind := "invalid_token"
	if status == http.StatusForbidden {
		kind = "insufficient_scope"
	}
	return `Bearer realm="stage", error="` + kind + `", error_description="` + quotable(detail) + `"`
}

// quotable keeps to the characters that RFC 6750, 3 allows in a description.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}

func retryAfter(err error) string {
	var e *stage.Error
	wait := time.Second
	if errors.As(err, &e) && e.RetryAfter > wait {
		wait = e.RetryAfter
	}
	return strconv.Itoa(int((wait + time.Second - 1) / time.Second))
}

func errNoSession() error {
	return stage.Errorf(stage.ErrNotFound, "There is no such session (any more).").WithCode("no_session")
}

func errMethod(method string) error {
	return stage.Errorf(stage.ErrInvalid, "This address does not know the method %.20q.", method).WithCode("method_not_allowed")
}
