// Package httpkit contains what several HTTP packages need: bearers, CORS, client addresses, paths
// with or without extra slashes, and a bounded map.
package httpkit

import (
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Bearer returns the credential of the Authorization header. It returns an empty secret if there is
// none or its scheme is not Bearer (RFC 6750, 2.1). Schemes are case-insensitive (RFC 9110, 11.1).
func Bearer(r *http.Request) stage.Secret {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return stage.Secret{}
	}
	return stage.NewSecret(strings.TrimSpace(secret))
}

// Segments splits a path at its slashes and drops empty parts, so that "//whip/" and "/whip" are
// the same. ServeMux would redirect the first, which makes OBS lose its offer.
func Segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// FirstSegment returns the first non-empty part of a path.
func FirstSegment(path string) string {
	first, _, _ := strings.Cut(strings.TrimLeft(path, "/"), "/")
	return first
}
