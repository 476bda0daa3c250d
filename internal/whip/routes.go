package whip

import (
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/internal/httpkit"
)

// A route is a pattern in the syntax of http.ServeMux, and its handler.
type route struct {
	pattern string
	handler http.HandlerFunc
}

// table lists every request that a Handler serves, besides OPTIONS.
func (h *Handler) table() []route {
	return []route{
		{"POST /whip", h.publish},
		{"POST /whip/publish/{participant}", h.publish}, // as the IVS web SDK publishes
		{"POST /whip/subscribe/{publisher}", h.subscribe},
		{"POST /whep/{publisher}", h.subscribe},
		{"DELETE /whip/s/{secret}", h.delete},
		{"PATCH /whip/s/{secret}", h.control(patch)},
		{"POST /whip/s/{secret}", h.beacon},
		{"GET /whip/s/{secret}/layers", h.control(listLayers)},
		{"POST /whip/s/{secret}/layers", h.control(selectLayer)},
		{"POST /whip/s/{secret}/playback", h.control(playback)},
	}
}

// Patterns lists the requests that every Handler serves, as patterns of http.ServeMux.
func Patterns() (list []string) {
	for _, r := range new(Handler).table() {
		list = append(list, r.pattern)
	}
	return list
}

// find returns the handler of a request, and the methods that its path allows. The handler is nil
// if the method is not one of these. It also sets the path values of the request.
//
// http.ServeMux would redirect a path with an additional slash. Such a redirect breaks the
// preflights of browsers, and OBS does not send its offer again.
func (h *Handler) find(r *http.Request) (handler http.HandlerFunc, methods []string) {
	path := httpkit.Segments(r.URL.Path)
	for _, route := range h.routes {
		method, pattern, _ := strings.Cut(route.pattern, " ")
		if !match(r, httpkit.Segments(pattern), path) {
			continue
		}
		methods = append(methods, method)
		if method == r.Method {
			handler = route.handler
		}
	}
	return handler, methods
}

// match reports whether a path matches a pattern, and sets the path values of the request.
func match(r *http.Request, pattern, path []string) bool {
	if len(pattern) != len(path) {
		return false
	}
	for i, part := range pattern {
		name, parameter := strings.CutPrefix(part, "{")
		switch {
		case parameter:
			r.SetPathValue(strings.TrimSuffix(name, "}"), path[i])
		case part != path[i]:
			return false
		}
	}
	return true
}
