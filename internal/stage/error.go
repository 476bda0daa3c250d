package stage

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The kinds of error. The HTTP floor maps each to a status in one table; errors.Is finds them through every wrapping.
var (
	ErrInvalid      = errors.New("invalid")      // 400: the request says something that cannot be
	ErrUnauthorized = errors.New("unauthorized") // 401: who are you?
	ErrDenied       = errors.New("denied")       // 403: you may not
	ErrNotFound     = errors.New("not found")    // 404
	ErrConflict     = errors.New("conflict")     // 409: not as things stand
	ErrTooLarge     = errors.New("too large")    // 413
	ErrTooMany      = errors.New("too many")     // 429, with RetryAfter
	ErrUnavailable  = errors.New("unavailable")  // 503, with RetryAfter where it is known
)

// An Error says its kind, a stable code for programs, a sentence fit for the person, and a cause for the log.
type Error struct {
	Kind       error
	Code       string        // stable, snake_case; empty means that the kind says enough
	Detail     string        // may be shown to the person
	RetryAfter time.Duration // for ErrTooMany and ErrUnavailable
	Cause      error         // for the log only
}

// Errorf makes an error whose text may be shown.
func Errorf(kind error, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// WithCode gives the error its stable code.
func (e *Error) WithCode(code string) *Error { e.Code = code; return e }

// WithRetry says when to come back.
func (e *Error) WithRetry(d time.Duration) *Error { e.RetryAfter = d; return e }

// WithCause keeps what happened for the log.
func (e *Error) WithCause(err error) *Error { e.Cause = err; return e }

func (e *Error) Error() string {
	if e.Cause != nil {
		return strings.TrimSuffix(e.Detail, ".") + ": " + e.Cause.Error()
	}
	return e.Detail
}

// Unwrap makes errors.Is find the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause != nil {
		return []error{e.Kind, e.Cause}
	}
	return []error{e.Kind}
}
