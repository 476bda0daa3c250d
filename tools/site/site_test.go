// Package site tests the site of the documents: `make site` builds it.
package site

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
)

const root = "../.."

// build builds the site in a folder of the test.
func build(t *testing.T) string {
	t.Helper()
	vitepress := filepath.Join(root, "node_modules/.bin/vitepress")
	if _, err := os.Stat(vitepress); err != nil {
		t.Fatalf("VitePress is not on this machine (%v): `make test` installs it", err)
	}
	out := filepath.Join(t.TempDir(), "site")
	built, err := exec.CommandContext(t.Context(), vitepress, "build", ".", "--outDir",
		out).CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, built)
	}
	return out
}

// TestTheSite is one test, because the site takes ten seconds to build.
func TestTheSite(t *testing.T) {
	quick.LeavesOut(t, "the build of the site")
	t.Parallel()
	out := build(t)
	pages := texts(t, out, ".html")

	t.Log("every document is a page")
	documents, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files",
		"docs/*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.FieldsSeq(string(documents)) {
		page := strings.TrimSuffix(strings.TrimPrefix(document, "docs/"), ".md") + ".html"
		if page = strings.Replace(page, "README.html", "index.html", 1); pages[page] == "" {
			t.Errorf("%s is no page of the site", document)
		}
	}

	t.Log("every link leads to a page, or a heading on it")
	links := 0
	for page, text := range pages {
		for _, match := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], ":") || page == "404.html" {
				continue
			}
			links++
			follow(t, out, pages, page, match[1])
		}
	}
	if links < 1000 {
		t.Errorf("got %d links, want those of all pages", links)
	}
	loadsNothingForeign(t, pages)
	search(t, out)
}

// texts returns the texts of all files with an ending below a folder, by their paths in the folder.
func texts(t *testing.T, folder, ending string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ending) {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(folder, path)
		found[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func follow(t *testing.T, out string, pages map[string]string, from, link string) {
	t.Helper()
	path, anchor, _ := strings.Cut(link, "#")
	target := strings.TrimPrefix(path, "/")
	switch {
	case path == "":
		target = from
	case !strings.HasPrefix(path, "/"):
		target = filepath.ToSlash(filepath.Join(filepath.Dir(from), path))
	}
	if target == "" || strings.HasSuffix(path, "/") {
		target = strings.TrimPrefix(target+"/index.html", "/")
		target = strings.ReplaceAll(target, "//", "/")
	}
	if _, err := os.Stat(filepath.Join(out, target)); err != nil {
		t.Errorf("%s links to %s, which is not there", from, link)
		return
	}
	if anchor != "" && !strings.Contains(pages[target], `id="`+anchor+`"`) {
		t.Errorf("%s links to %s, and nothing there is called so", from, link)
	}
}

// loadsNothingForeign checks that pages load nothing from other hosts. So they work in closed
// networks, and no other host receives the addresses of readers.
func loadsNothingForeign(t *testing.T, pages map[string]string) {
	t.Helper()
	loads := regexp.MustCompile(`<(?:script|img|iframe|source)[^>]* src="(?:https?:)?//[^"]*"` +
		`|<link[^>]* href="(?:https?:)?//[^"]*"`)
	for page, text := range pages {
		if found := loads.FindString(text); found != "" {
			t.Errorf("%s loads from another host: %s", page, found)
		}
	}
}

// own adds a Content-Security-Policy with which a page may load only from its own host.
func own(files http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy",
			"default-src 'self' 'unsafe-inline'; img-src 'self' data:")
		files.ServeHTTP(w, r)
	})
}

// search searches for words on the site in a browser, and follows the first result.
func search(t *testing.T, out string) {
	t.Helper()
	server := httptest.NewServer(own(http.FileServer(http.Dir(out))))
	t.Cleanup(server.Close)
	page := browser.Open(t, browser.Current, browser.Options{Width: 1280, Height: 800})
	page.Goto(server.URL + "/")
	page.WaitText("In 60 seconds")
	page.WaitVisible("#local-search button")
	page.Click("#local-search button")
	page.WaitVisible("#localsearch-input")
	page.Type("#localsearch-input", "Cloudflare Rocket")
	page.WaitVisible(".results .result")
	page.Click(".results .result")
	page.WaitFor(`location.pathname === '/guides/proxies.html' && location.hash === '#cloudflare'`)
	page.WaitText("Rocket Loader")

	t.Log("on a phone nothing is wider than the screen")
	page.Goto(server.URL + "/scale.html")
	page.Resize(400, 800)
	page.WaitFor(`document.documentElement.scrollWidth <= innerWidth`)
}
