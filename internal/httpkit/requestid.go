package httpkit

import (
	"context"
	"crypto/rand"
	"net/http"
	"regexp"
)

// RequestIDHeader is the header with the ID of a request. The response has the same header. The log
// and the problem details (RFC 9457) of an error also contain this ID.
const RequestIDHeader = "X-Request-Id"

// saneID matches the IDs that are accepted from trusted proxies.
var saneID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

type requestID struct{}

// RequestIDs gives each request an ID: a valid ID from a trusted proxy, or else a new ID.
func RequestIDs(next http.Handler, trusted Proxies) http.Handler {
	return NameRequests(next, func(r *http.Request) string {
		if trusted.Contain(parseHost(r.RemoteAddr)) {
			return r.Header.Get(RequestIDHeader)
		}
		return ""
	})
}

// NameRequests gives each request an ID: the ID from the function `given`, or a new ID if that one
// is not valid.
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

// RequestID returns the ID of the request to which a context belongs, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestID{}).(string)
	return id
}
