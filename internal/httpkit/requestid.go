package httpkit

import (
	"context"
	"crypto/rand"
	"net/http"
	"regexp"
)

// RequestIDHeader carries the ID of a request, which its response, its problem and the log contain.
const RequestIDHeader = "X-Request-Id"

// saneID matches an ID that is accepted from a trusted source.
var saneID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

type requestID struct{}

// RequestIDs gives each request an ID: that of a trusted proxy if it is valid, else a new one.
func RequestIDs(next http.Handler, trusted Proxies) http.Handler {
	return NameRequests(next, func(r *http.Request) string {
		if trusted.Contain(parseHost(r.RemoteAddr)) {
			return r.Header.Get(RequestIDHeader)
		}
		return ""
	})
}

// NameRequests gives each request the ID that given returns if it is valid, else a new one.
func NameRequests(next http.Handler, given func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := given(r)
		if !saneID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set(RequestIDHeader, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestID{}, id)))
	})
}

// RequestID returns the ID of the request of a context, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestID{}).(string)
	return id
}
