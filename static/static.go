// Package static embeds the front end: pages, ES modules and styles, unchanged.
package static

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

// FS contains the files by the paths that the server serves below /static/.
//
//go:embed *.css *.html *.ico *.js *.svg
//go:embed account device dock guest invite lib lost operator pictures setup source stage strings vendor watch
var FS embed.FS

// Page returns a page as browsers receive it, with head.html inserted. Its links are relative,
// since a proxy may serve Stagedoor below another path. So they depend on the address of the page.
// The parameter `below` is the number of folders in that address.
func Page(name string, below int) ([]byte, error) {
	page, err := FS.ReadFile(name)
	if err != nil {
		return nil, err
	}
	head, err := FS.ReadFile("head.html")
	if err != nil {
		return nil, err
	}
	page = bytes.Replace(page, []byte("  <!-- head.html -->\n"), head, 1)
	links := []byte(`="` + strings.Repeat("../", below) + `static/`)
	return bytes.ReplaceAll(page, []byte(`="static/`), links), nil
}

// Sentences returns the sentences of a language by their keys. The default is English.
func Sentences(language string) (map[string]string, error) {
	if language != "de" && language != "es" {
		language = "en"
	}
	text, err := FS.ReadFile("strings/" + language + ".json")
	if err != nil {
		return nil, err
	}
	var sentences map[string]string
	if err := json.Unmarshal(text, &sentences); err != nil {
		return nil, fmt.Errorf("strings/%s.json: %w", language, err)
	}
	return sentences, nil
}
