package web_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
)

// browse requests a path as a browser's address bar does.
func browse(t *testing.T, url, accept string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// TestBrowsersGetAPageWhereThereIsNothing: at an unknown address, browsers get a page, and programs
// get a problem.
func TestBrowsersGetAPageWhereThereIsNothing(t *testing.T) {
	t.Parallel()
	const page, problem = "text/html; charset=utf-8", "application/problem+json"
	a := apptest.Start(t)
	for _, c := range []struct{ path, accept, kind string }{
		{"/nowhere", "text/html,application/xhtml+xml,*/*;q=0.8", page},
		{"/nowhere", "application/json", problem},
		{"/nowhere", "*/*", problem},
		{"/api/nowhere", "text/html", problem},
		{"/static/nowhere.js", "text/html", problem},
	} {
		answer, _ := browse(t, a.URL+c.path, c.accept)
		if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusNotFound ||
			kind != c.kind {
			t.Errorf("%s for %s: got %d, %s, want 404, %s", c.path, c.accept, answer.StatusCode,
				kind, c.kind)
		}
	}
	t.Log("the links of the page lead to the files from every depth")
	if _, text := browse(t, a.URL+"/a/b/c", "text/html"); !strings.Contains(text, `href="../../static/style.css"`) {
		t.Errorf("a page in the folder /a/b: got %s, want links that begin with ../../", text)
	}
}

// TestAPageSaysThatItLoads: the HTML of each page says that the page is loading, for the time
// before its scripts run.
func TestAPageSaysThatItLoads(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	for _, path := range []string{"/", "/dock", "/dock/stage", "/watch", "/setup", "/invite",
		"/account", "/operator", "/device"} {
		if _, text := browse(t, a.URL+path, "text/html"); !strings.Contains(text, "Loading…") {
			t.Errorf("GET %s: got %s, want the page that loads", path, text)
		}
	}
	answer, text := browse(t, a.URL+"/favicon.ico", "image/*")
	if kind := answer.Header.Get("Content-Type"); kind != "image/x-icon" ||
		!strings.Contains(text, "PNG") {
		t.Errorf("the icon: got %s, %d bytes, want an icon with a PNG", kind, len(text))
	}
}
