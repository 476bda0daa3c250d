package web

import (
	"net/http"
	"slices"
	"strings"
)

// guests lets the pages of the configured origins reach the events and the chat of a stage, so that a team's own page with
// the IVS web SDK has them, too. Such a page comes with a participant token; a login is good for our own pages only.
func (s *Server) guests(open, own http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if !isGuestDoor(r) || !s.invites(origin) {
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
			h.Set("Access-Control-Max-Age", "7200") // the most that Chromium keeps
			w.WriteHeader(http.StatusNoContent)
			return
		}
		r = r.Clone(r.Context())
		r.Header.Del("Cookie")
		open.ServeHTTP(w, r)
	})
}

// invites says whether pages of another origin than ours may come.
func (s *Server) invites(origin string) bool {
	if origin == "" || origin == originOf(s.PublicURL.String()) {
		return false
	}
	return slices.Contains(s.AllowOrigins, origin) || slices.Contains(s.AllowOrigins, "*")
}

// isGuestDoor knows /api/stages/{arn}/events and what is below /api/stages/{arn}/chat. An ARN has a slash of its own, escaped.
func isGuestDoor(r *http.Request) bool {
	parts := strings.Split(r.URL.EscapedPath(), "/")
	return len(parts) >= 5 && parts[1] == "api" && parts[2] == "stages" && (parts[4] == "chat" || parts[4] == "events" && len(parts) == 5)
}
