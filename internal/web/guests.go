package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// guests contains the origins whose pages may use the events and the chat of a stage.
type guests struct {
	public  *url.URL
	origins []string // "*" means all
}

// wrap lets pages of the configured origins use the events and the chat of a stage (CORS). It is
// for pages that embed the IVS web SDK. Such pages need a participant token, because `wrap` removes
// cookies.
func (g guests) wrap(open, own http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if !isGuestRoute(r) || !g.allows(origin) {
			own.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Retry-After")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
			h.Set("Access-Control-Max-Age", "7200") // the longest time for which Chromium stores it
			w.WriteHeader(http.StatusNoContent)
			return
		}
		r = r.Clone(r.Context())
		r.Header.Del("Cookie")
		open.ServeHTTP(w, r)
	})
}

// allows reports whether an origin is configured and is not this server's own.
func (g guests) allows(origin string) bool {
	if origin == "" || origin == originOf(g.public.String()) {
		return false
	}
	return slices.Contains(g.origins, origin) || slices.Contains(g.origins, "*")
}

// isGuestRoute reports whether a request is for /api/stages/{arn}/events or below
// /api/stages/{arn}/chat. The slash inside the ARN is escaped.
func isGuestRoute(r *http.Request) bool {
	parts := strings.Split(r.URL.EscapedPath(), "/")
	return len(parts) >= 5 && parts[1] == "api" && parts[2] == "stages" &&
		(parts[4] == "chat" || parts[4] == "events" && len(parts) == 5)
}
