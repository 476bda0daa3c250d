package whip_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/whip"
)

func code(err error) string {
	code, _ := whip.Reason(err)
	return code
}

// FuzzHandler sends requests to the endpoints. No request causes a panic or a redirect, and every
// refusal is a JSON object.
func FuzzHandler(f *testing.F) {
	h := newHarness(f)
	session := h.publish(f, "ana-token").header.Get("Location")
	watching := h.send(f, "POST", "/whep/ana", "v=0", "Authorization: Bearer eva-token",
		"Content-Type: application/sdp").header.Get("Location")
	f.Add("POST", "/whip", "Bearer ana-token", "application/sdp", "*/*", "v=0 offer")
	f.Add("POST", "/whip/publish/ana", "bearer  ana-token", "application/sdp; charset",
		"application/sdp;q=0.0", "v=0 VP8 only")
	f.Add("DELETE", session, "Bearer", "", "", "")
	f.Add("POST", session, "", "text/plain", "", `{"authorization":null}`)
	f.Add("GET", watching+"/layers", "", "", "", "")
	f.Add("POST", watching+"/layers", "", "", "", `{"encodingId":["hi"]}`)
	f.Add("POST", watching+"/playback", "", "", "", `{"play":["1"],"pause":[1]}`)
	f.Add("OPTIONS", "//whip//s/", "", "", "", "")
	f.Fuzz(func(t *testing.T, method, path, authorization, contentType, accept, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Method, r.URL.Path = method, path
		r.Header["Authorization"], r.Header["Content-Type"],
			r.Header["Accept"] = []string{authorization}, []string{contentType}, []string{accept}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch {
		case w.Code >= 300 && w.Code < 400:
			t.Errorf("%s %q: the answer is a redirect", method, path)
		case w.Code >= 400 && !strings.HasPrefix(w.Body.String(), `{"code":2`):
			t.Errorf("%s %q: got %d with %q, want JSON with a number of IVS", method, path,
				w.Code, w.Body)
		case w.Code == 201 && !strings.HasPrefix(w.Header().Get("Location"), "/whip/s/"):
			t.Errorf("%s %q: got 201 without the URL of a session", method, path)
		}
	})
}
