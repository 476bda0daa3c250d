package web

import (
	"github.com/stagedoor/stagedoor/internal/access"
)

// An operation is one row of the API: a route and its description for programs.
type operation struct {
	method  string
	path    string
	scope   access.Scope
	summary string
	query   []parameter
	in      any // zero value of the request's body; nil if there is none
	out     any // zero value of the response's body; nil means 204
	status  int // 0 means 200, or 204 without a body
	serve   endpoint
}

// A parameter is a query parameter.
type parameter struct{ name, about string }

var (
	pageQuery = []parameter{
		{"limit", "Items on a page, 1 to 500; 50 by default."},
		{"after", "\"next\" of the previous page."},
	}
	searchQuery = append([]parameter{{"q", "A part of the name."}}, pageQuery...)
)

func with(more []parameter, own ...parameter) []parameter { return append(own, more...) }
