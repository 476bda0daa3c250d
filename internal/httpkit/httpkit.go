// Package httpkit contains what several HTTP packages need: bearer tokens, CORS, client addresses,
// limits, request IDs, and paths with extra slashes.
package httpkit

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Bearer returns the bearer token in the Authorization header (RFC 6750, 2.1). It returns an empty
// secret if there is no such header, or if its scheme is not Bearer, which is case-insensitive (RFC
// 9110, 11.1).
func Bearer(r *http.Request) stage.Secret {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return stage.Secret{}
	}
	return stage.NewSecret(strings.TrimSpace(secret))
}

// Segments splits a path at its slashes and drops empty parts, so that "//whip/" and "/whip" are
// the same. ServeMux would redirect "//whip/", and after the redirect OBS would not send its offer.
func Segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// FirstSegment returns the first non-empty part of a path.
func FirstSegment(path string) string {
	first, _, _ := strings.Cut(strings.TrimLeft(path, "/"), "/")
	return first
}

// RetryAfter returns the value of the Retry-After header (RFC 9110, 10.2.3) for an error: its whole
// seconds, rounded up. An error that names no time gets one second.
func RetryAfter(err error) string {
	wait := time.Second
	var known *stage.Error
	if errors.As(err, &known) {
		wait = max(wait, known.RetryAfter)
	}
	return strconv.Itoa(int((wait + time.Second - 1) / time.Second))
}
