package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/stagedoor/stagedoor/static"
)

// revalidate makes browsers check at each use whether a cached file has changed, since each release
// may change it. With the ETag, the check is cheap.
const revalidate = "no-cache"

// contentPolicy lets pages run only the server's own modules. The two WebSocket addresses are for
// OBS on the same computer as the page.
const contentPolicy = "default-src 'self'; connect-src 'self' ws://127.0.0.1:* " +
	"ws://localhost:*; img-src 'self' data:; media-src 'self' blob:; " +
	"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// A file is an embedded file.
type file struct {
	kind string
	// wire reads and compresses the file at its first request. Compressing all files at the
	// start would allocate 46 MB.
	wire func() wire
}

// A wire is a file in the forms that browsers receive: unchanged and compressed.
type wire struct {
	plain, zipped []byte
	tag           string
}

// assets are the front end: ES modules, styles and pages, which are sent unchanged.
type assets map[string]*file

func loadAssets() (assets, error) {
	all := assets{}
	err := fs.WalkDir(static.FS, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		all[name] = newFile(name, func() ([]byte, error) { return static.FS.ReadFile(name) })
		return nil
	})
	return all, err
}

// kindOf returns the media type of a file. Package mime would use the tables of the operating
// system, some of which give text/plain for a module.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".json":
		return "application/json"
	case ".svg":
		return "image/svg+xml"
	case ".ico":
		return "image/x-icon"
	}
	return "text/plain; charset=utf-8"
}

func newFile(name string, read func() ([]byte, error)) *file {
	return &file{kind: kindOf(name), wire: sync.OnceValue(func() wire {
		text, err := read()
		if err != nil {
			panic("an embedded file cannot be read: " + err.Error())
		}
		return packed(text)
	})}
}

func packed(text []byte) wire {
	sum := sha256.Sum256(text)
	f := wire{plain: text, tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	var zipped bytes.Buffer
	z, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	z.Write(text)
	z.Close()
	if zipped.Len() < len(text) {
		f.zipped = zipped.Bytes()
	}
	return f
}

func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file := f.wire()
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", revalidate)
	h.Set("ETag", file.tag)
	h.Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == file.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := file.plain
	if file.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = file.zipped
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

func (a assets) routes() []route {
	return []route{
		{"GET /static/{path...}", http.HandlerFunc(a.serve)},
		{"GET /favicon.ico", a.page("favicon.ico")},
		{"GET /{$}", a.page("index.html")},
		{"GET /setup", a.page("setup/index.html")},
		{"GET /invite", a.page("invite/index.html")},
		{"GET /account", a.page("account/index.html")},
		{"GET /operator", a.page("operator/index.html")},
		{"GET /operator/{page}", a.pageBelow("operator/index.html", 1)},
		{"GET /device", a.page("device/index.html")},
	}
}

// page serves an embedded page.
func (a assets) page(name string) http.Handler { return a.pageBelow(name, 0) }

// pageBelow is like `page`, but for an address that has folders, such as /operator/{page}. The
// parameter `below` is the number of folders.
func (a assets) pageBelow(name string, below int) http.Handler {
	f, ok := a[name]
	if !ok {
		panic("the page " + name + " is not embedded")
	}
	if !strings.HasSuffix(name, ".html") {
		return f
	}
	return newFile(name, func() ([]byte, error) { return static.Page(name, below) })
}

// serve serves /static/….
func (a assets) serve(w http.ResponseWriter, r *http.Request) {
	if f, ok := a[r.PathValue("path")]; ok {
		f.ServeHTTP(w, r)
		return
	}
	writeProblem(w, problem(http.StatusNotFound, "not_found", "There is no such file."))
}
