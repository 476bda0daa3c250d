package httpkit

import (
	"net/http"
	"slices"
	"strings"
)

// preflightAge is how many seconds a browser may cache a preflight. It is the maximum that Chromium
// accepts.
const preflightAge = "7200"

// CORS lets pages of other origins send requests from a browser (Fetch Standard, 3.3). It never
// allows cookies: login cookies are only for the server's own pages. Other pages send bearer
// tokens.
type CORS struct {
	Origins []string // for example "https://app.example.com"; "*" means every origin
	Headers string   // request headers that a page may send
	Expose  string   // response headers that a page may read
}

// Allows reports whether pages of the origin may send requests.
func (c CORS) Allows(origin string) bool {
	return origin != "" && (slices.Contains(c.Origins, origin) || slices.Contains(c.Origins, "*"))
}

// Allow reports whether the page that sent the request may read the response. If so, it sets the
// headers that let the page read it, even if the response is an error. Call Allow before the status
// is written.
func (c CORS) Allow(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !c.Allows(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if c.Expose != "" {
		h.Set("Access-Control-Expose-Headers", c.Expose)
	}
	return true
}

// Preflight adds the response headers of a preflight (Fetch Standard, 3.3.2). Call it if Allow
// returned true.
func (c CORS) Preflight(w http.ResponseWriter, methods ...string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", c.Headers)
	h.Set("Access-Control-Max-Age", preflightAge)
}
