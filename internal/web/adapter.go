package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// maxBody limits JSON bodies, except those with a logo (maxBranding). The largest valid body is the
// report of a dock, with about 32 KB.
const maxBody = 64 << 10

// An endpoint returns a value (200), a reply, nil (204) or an error. It never writes the response
// itself.
type endpoint func(r *http.Request, who access.Principal) (any, error)

// An adapter turns endpoints into handlers: it authenticates requests, and writes answers and
// problems.
type adapter struct {
	authenticator
	cookies cookies
	log     *slog.Logger
	faults  *bounded.Map[string, struct{}] // the faults that were logged within the last second
}

// open serves an endpoint that needs no credential.
func (a *adapter) open(serve endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.answer(w, r, serve, access.Principal{})
	})
}

// api serves an endpoint for principals whose credential allows a scope.
func (a *adapter) api(scope access.Scope, serve endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := a.principalFor(r, scope)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		if who.Renewed {
			// This cookie is set before the endpoint runs. If the endpoint also sets the cookie, as
			// log-out does, browsers keep the endpoint's, because that comes later.
			if cookie, err := r.Cookie(cookieName); err == nil {
				http.SetCookie(w, a.cookies.login(r, cookie.Value, who.ExpiresAt))
			}
		}
		a.answer(w, r, serve, who)
	})
}

// visiting serves an endpoint for principals on the stage in the path.
func (a *adapter) visiting(serve endpoint) http.Handler {
	return a.open(func(r *http.Request, _ access.Principal) (any, error) {
		who, err := a.onStage(r)
		if err != nil {
			return nil, err
		}
		return serve(r, who)
	})
}

func (a *adapter) answer(
	w http.ResponseWriter, r *http.Request, serve endpoint, who access.Principal,
) {
	got, err := serve(r, who)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	full, ok := got.(reply)
	if !ok {
		full = reply{body: got}
	}
	for _, cookie := range full.cookies {
		http.SetCookie(w, cookie)
	}
	// Responses contain tokens, invites and the names of participants, so no cache may store them.
	w.Header().Set("Cache-Control", "no-store")
	if full.body == nil {
		w.WriteHeader(cmp.Or(full.status, http.StatusNoContent))
		return
	}
	if t, ok := full.body.(table); ok {
		if t.next != "" {
			w.Header().Set(nextHeader, t.next)
		}
		w.Header().Set("Content-Type", t.contentType+"; charset=utf-8")
		w.Write(t.text)
		return
	}
	if p, ok := full.body.(picture); ok {
		p.write(w)
		return
	}
	if f, ok := full.body.(attachment); ok {
		w.Header().Set("Content-Type", f.contentType+"; charset=utf-8")
		w.Header().Set("Content-Disposition", "attachment; filename="+f.name)
		w.Write([]byte(f.text))
		return
	}
	writeJSON(w, cmp.Or(full.status, http.StatusOK), "application/json", full.body)
}

// A Problem is an error in the format of RFC 9457, with a stable code.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
	// RequestID identifies the request in the log.
	RequestID string `json:"requestId,omitempty"`
}

// kinds is the only place that maps a kind of error to a status.
var kinds = []struct {
	kind   error
	status int
	code   string
}{
	{stage.ErrInvalid, http.StatusBadRequest, "invalid"},
	{stage.ErrUnauthorized, http.StatusUnauthorized, "unauthorized"},
	{stage.ErrDenied, http.StatusForbidden, "denied"},
	{stage.ErrNotFound, http.StatusNotFound, "not_found"},
	{stage.ErrConflict, http.StatusConflict, "conflict"},
	{stage.ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large"},
	{stage.ErrTooMany, http.StatusTooManyRequests, "too_many"},
	{stage.ErrUnavailable, http.StatusServiceUnavailable, "unavailable"},
}

// The errors of the adapter that are of none of the kinds in package stage.
var (
	errMediaType = errors.New("unsupported media type")
	errEncoding  = errors.New("unsupported content encoding")
)

// fail writes the problem for an error. Only the log contains the cause. The log has the pattern of
// the route and not the path, because a person may have pasted a secret into the path.
func (a *adapter) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	failed := p.Status >= http.StatusInternalServerError && !errors.Is(err, r.Context().Err())
	if failed && a.faults.Add(p.Code+p.Detail, struct{}{}, a.now()) {
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method,
			"route", r.Pattern, "err", err)
	} else {
		a.log.LogAttrs(r.Context(), slog.LevelDebug, "request refused",
			slog.String("method", r.Method), slog.String("route", r.Pattern),
			slog.Int("status", p.Status), slog.String("code", p.Code))
	}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", httpkit.RetryAfter(err))
	}
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p Problem) {
	w.Header().Set("Cache-Control", "no-store")
	p.RequestID = w.Header().Get(httpkit.RequestIDHeader)
	writeJSON(w, p.Status, "application/problem+json", p)
}

func problemOf(err error) Problem {
	if errors.Is(err, errMediaType) {
		return problem(http.StatusUnsupportedMediaType, "unsupported_media_type",
			"Send the body as Content-Type: application/json.")
	}
	if errors.Is(err, errEncoding) {
		return problem(http.StatusUnsupportedMediaType, "unsupported_encoding",
			"Send the body as it is, without Content-Encoding: compressed bodies are not read.")
	}
	var known *stage.Error
	if errors.As(err, &known) {
		for _, k := range kinds {
			if known.Kind == k.kind {
				code := known.Code
				if code == "" {
					code = k.code
				}
				return problem(k.status, code, known.Detail)
			}
		}
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return problem(k.status, k.code, "")
		}
	}
	return problem(http.StatusInternalServerError, "internal",
		"An error happened on the server; the server's log has the details.")
}

func problem(status int, code, detail string) Problem {
	return Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// decode reads a JSON body into a T, and refuses unknown members.
func decode[T any](r *http.Request) (T, error) { return decodeUpTo[T](r, maxBody) }

func decodeUpTo[T any](r *http.Request, most int64) (T, error) {
	var v T
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		kind != "application/json" {
		return v, errMediaType
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return v, errEncoding
	}
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, most))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return v, stage.Errorf(stage.ErrTooLarge, "A body must have at most %d bytes.", most)
		}
		if known := new(stage.Error); errors.As(err, &known) {
			return v, err // this is an error of slowBody, which authenticates the request again
		}
		return v, stage.Errorf(stage.ErrInvalid, "The body could not be read.").WithCause(err)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, jsonError(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return v, stage.Errorf(stage.ErrInvalid, "The body holds more than one JSON value.").
			WithCode("bad_json")
	}
	return v, exactMembers(text, reflect.TypeFor[T]())
}

// decodeIfAny is like decode, but accepts a request without a body.
func decodeIfAny[T any](r *http.Request) (T, error) {
	if r.ContentLength == 0 {
		var none T
		return none, nil
	}
	return decode[T](r)
}

// jsonError describes an invalid body. The description names the member but never its value, which
// may be a password.
func jsonError(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return stage.Errorf(stage.ErrInvalid, "The member %q must be %s.", wrong.Field,
			jsonKind(wrong.Type.Kind().String())).WithCode("bad_json")
	case errors.As(err, &wrong):
		return stage.Errorf(stage.ErrInvalid, "The body must be a JSON object.").
			WithCode("bad_json")
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return stage.Errorf(stage.ErrInvalid, "There is no member %s.",
			strings.TrimPrefix(err.Error(), "json: unknown field ")).WithCode("unknown_field")
	default:
		return stage.Errorf(stage.ErrInvalid, "The body is not JSON.").WithCode("bad_json").
			WithCause(err)
	}
}

func jsonKind(goKind string) string {
	switch goKind {
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "slice", "array":
		return "an array"
	case "struct", "map":
		return "an object"
	case "float32", "float64":
		return "a number"
	default:
		return "a whole number within bounds"
	}
}
