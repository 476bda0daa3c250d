package whip

import (
	"net/http"
	"slices"
	"strings"
)

// allowHeaders are the request headers that the IVS web SDK 1.41.0 sends, and If-Match for WHIP.
const allowHeaders = "Authorization, Content-Type, If-Match, X-Stages-Initial-Layer-Pref, " +
	"X-Stages-Options, X-Stages-Platform, X-Stages-Request-ID, X-Stages-SDK, " +
	"X-Stages-Session-ID, X-Stages-Trace-ID, X-Stages-WHIP-Version"

const exposeHeaders = "Location, Link, ETag, Accept-Post, Accept-Patch, Allow, Retry-After, " +
	"WWW-Authenticate"

func allow(methods []string) string { return strings.Join(append(methods, "OPTIONS"), ", ") }

// options returns the media types that may be posted (RFC 9725, 4.2), and answers the preflight of
// a page of another origin.
//
// The answer to a preflight lists all methods for every address. If it did not list a method, the
// browser would block the request, and the script would not get the server's own refusal.
func (h *Handler) options(w http.ResponseWriter, methods []string, foreign bool) {
	header := w.Header()
	header.Set("Allow", allow(methods))
	if slices.Equal(methods, []string{"POST"}) {
		header.Set("Accept-Post", sdpType)
	}
	if slices.Contains(methods, "PATCH") {
		header.Set("Accept-Patch", fragmentType)
	}
	if foreign {
		h.cors.Preflight(w, "POST", "PATCH", "DELETE", "GET", "OPTIONS")
	}
	w.WriteHeader(http.StatusNoContent)
}
