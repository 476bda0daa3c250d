package web

import (
	"net/http"
)

// A route is a pattern of http.ServeMux and its handler.
type route struct {
	pattern string
	handler http.Handler
}
