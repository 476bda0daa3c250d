package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/static"
)

// anything is the pattern of requests that no other route matches.
const anything = "/"

// lost answers requests without a route with 405 if the address has a route for another method (RFC
// 9110, 15.5.6), and otherwise with 404. With 404, a browser gets a page. Every other body is a
// Problem.
type lost struct {
	routes *http.ServeMux
}

func (l lost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if allow := l.allowed(r); allow != "" {
		w.Header().Set("Allow", allow)
		writeProblem(w, problem(http.StatusMethodNotAllowed, "method_not_allowed",
			"This address takes "+allow+"."))
		return
	}
	if !browses(r) {
		writeProblem(w, problem(http.StatusNotFound, "not_found",
			"There is nothing at this address."))
		return
	}
	page, err := static.Page("lost/index.html", strings.Count(r.URL.EscapedPath(), "/")-1)
	if err != nil {
		panic("the page of lost addresses cannot be read: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		w.Write(page)
	}
}

// allowed returns the methods that have a route at the address of a request.
func (l lost) allowed(r *http.Request) string {
	var allowed []string
	for _, method := range []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"} {
		other := *r
		other.Method = method
		if _, pattern := l.routes.Handler(&other); pattern != anything {
			allowed = append(allowed, method)
		}
	}
	return strings.Join(allowed, ", ")
}

// browses reports whether a request comes from a browser that wants to show a page.
func browses(r *http.Request) bool {
	switch httpkit.FirstSegment(r.URL.Path) {
	case "api", "static":
		return false
	}
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	return get && strings.Contains(r.Header.Get("Accept"), "text/html")
}
