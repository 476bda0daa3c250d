package httpkit

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	proxies := Proxies{netip.MustParsePrefix("192.0.2.0/24")}
	for _, c := range []struct {
		from, sent string
		kept       bool
	}{
		{"192.0.2.7:1234", "3f2b8c1e-77aa", true},
		// IDs from a client outside the trusted networks, and invalid IDs, are replaced
		{"198.51.100.1:1234", "3f2b8c1e-77aa", false},
		{"192.0.2.7:1234", "short", false},
		{"192.0.2.7:1234", "a\"b injected=1", false},
		{"192.0.2.7:1234", strings.Repeat("x", 65), false},
		{"192.0.2.7:1234", "", false},
	} {
		var inside string
		h := RequestIDs(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			inside = RequestID(r.Context())
		}), proxies)
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.from
		r.Header.Set(RequestIDHeader, c.sent)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get(RequestIDHeader); got == "" || got != inside ||
			(got == c.sent) != c.kept {
			t.Errorf("%s sends %q: got %q inside and %q in the response", c.from, c.sent, inside,
				got)
		}
	}
}
