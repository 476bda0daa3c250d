package whip

import (
	"net/http"
	"slices"
	"strings"
)

// allowHeaders are those that the IVS web SDK 1.41.0 asks for before its requests, and If-Match of WHIP.
const allowHeaders = "Authorization, Content-Type, If-Match, X-Stages-Initial-Layer-Pref, X-Stages-Options, X-Stages-Platform, " +
	"X-Stages-Request-ID, X-Stages-SDK, X-Stages-Session-ID, X-Stages-Trace-ID, X-Stages-WHIP-Version"

// allowOrigin lets pages of the configured origins read the answer, an error's, too. Bearers need no cookie, so that no
// credentials are allowed: a login is good for our own pages only.
func (h *Handler) allowOrigin(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(h.AllowOrigins, origin) && !slices.Contains(h.AllowOrigins, "*") {
		return
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers", "Location, Link, ETag, Retry-After, WWW-Authenticate")
}

// options answers RFC 9725, 4.2 (Accept-Post) and, for a page of another origin that may call, its preflight.
func (h *Handler) options(w http.ResponseWriter, methods []string) {
	header := w.Header()
	header.Set("Allow", allowed(methods))
	if slices.Equal(methods, []string{"POST"}) {
		header.Set("Accept-Post", sdpType)
	}
	if header.Get("Access-Control-Allow-Origin") != "" {
		header.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
		header.Set("Access-Control-Allow-Headers", allowHeaders)
		header.Set("Access-Control-Max-Age", "7200") // the most that Chromium keeps
	}
	w.WriteHeader(http.StatusNoContent)
}
