package browser

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestWhatIsNotAccessibleFailsTheTest runs in every engine, under a Content-Security-Policy like
// that of Stagedoor's pages.
func TestWhatIsNotAccessibleFailsTheTest(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		if strings.HasPrefix(r.URL.Path, "/static/") {
			w.Header().Set("Content-Type", "text/javascript")
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(`<!doctype html><html lang="en"><title>A page</title><script src="/static/page.js"></script>
			<main><h1>` + strings.TrimPrefix(r.URL.Path, "/") + `</h1><b>أحمد</b><img src="/static/icon.svg"></main></html>`))
	}))
	t.Cleanup(server.Close)
	for _, engine := range Engines() {
		said := run(t, func(t testing.TB) {
			page := Open(t, engine, Options{})
			page.Goto(server.URL + "/" + strings.ReplaceAll(string(engine), " ", "-"))
		})
		for _, picture := range regexp.MustCompile(`screenshot: (.*)`).FindAllStringSubmatch(said, -1) {
			if err := os.Remove(picture[1]); err != nil {
				t.Error(err)
			}
		}
		for _, want := range []string{"image-alt", `dir="auto" is missing`} {
			if !strings.Contains(said, want) {
				t.Errorf("%s: the findings lack %q:\n%s", engine, want, said)
			}
		}
	}
}
