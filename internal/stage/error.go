package stage

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The kinds of error. Each HTTP package maps them to statuses in one table. errors.Is finds the
// kind in a wrapped error.
var (
	ErrInvalid      = errors.New("invalid")      // 400: malformed, or outside the limits
	ErrUnauthorized = errors.New("unauthorized") // 401: no credential, or a wrong one
	ErrDenied       = errors.New("denied")       // 403: the credential does not permit this
	ErrNotFound     = errors.New("not found")    // 404
	ErrConflict     = errors.New("conflict")     // 409: not possible in the current state
	ErrTooLarge     = errors.New("too large")    // 413
	ErrTooMany      = errors.New("too many")     // 429, with RetryAfter
	ErrUnavailable  = errors.New("unavailable")  // 503, with RetryAfter
)

// An Error has a kind, a stable code for programs, a sentence for people, and a cause for the log.
type Error struct {
	Kind       error
	Code       string        // stable, snake_case; empty if the kind is specific enough
	Detail     string        // may be shown to people
	RetryAfter time.Duration // for ErrTooMany and ErrUnavailable; a second if it is less
	Cause      error         // for the log only
}

// Errorf returns an error whose text may be shown.
func Errorf(kind error, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// WithCode sets the stable code.
func (e *Error) WithCode(code string) *Error { e.Code = code; return e }

// WithRetry returns the error with the time after which the client should try again.
func (e *Error) WithRetry(d time.Duration) *Error { e.RetryAfter = d; return e }

// WithCause returns the error with a cause, which is logged and never shown.
func (e *Error) WithCause(err error) *Error { e.Cause = err; return e }

// Error returns the detail and the cause, for the log.
func (e *Error) Error() string {
	if e.Cause != nil {
		return strings.TrimSuffix(e.Detail, ".") + ": " + e.Cause.Error()
	}
	return e.Detail
}

// Unwrap returns the kind and the cause, for errors.Is.
func (e *Error) Unwrap() []error {
	if e.Cause != nil {
		return []error{e.Kind, e.Cause}
	}
	return []error{e.Kind}
}
