package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// A reply is the response of an endpoint that sets another status than the default, or cookies.
type reply struct {
	status  int
	body    any
	cookies []*http.Cookie
}

func created(body any) reply { return reply{status: http.StatusCreated, body: body} }

// An attachment is a response that browsers save as a file.
type attachment struct{ name, contentType, text string }

// A table is a page of a list as CSV or as JSON lines.
type table struct {
	contentType string
	text        []byte
	next        string
}

// nextHeader is the header with the cursor of the next page. CSV and JSON lines have no place for a
// cursor.
const nextHeader = "Stagedoor-Next"

// A picture is a response with an image. Its Content-Security-Policy permits nothing, so that no
// script runs if the picture is opened as a page.
type picture struct {
	contentType string
	data        []byte
}

func (p picture) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", p.contentType)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Content-Disposition", "inline")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "public, max-age=86400")
	w.Write(p.data)
}

func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("an answer of our own cannot be written as JSON: %v", err))
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}
