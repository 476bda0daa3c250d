package web

import (
	"log/slog"
	"net/url"

	"github.com/stagedoor/stagedoor/internal/access"
)

// Patterns lists the patterns of the router.
func Patterns() ([]string, error) {
	s, err := New(Config{
		Control:   access.New(access.Config{}),
		PublicURL: &url.URL{Scheme: "http", Host: "127.0.0.1"},
		Log:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	var patterns []string
	for _, r := range s.table() {
		patterns = append(patterns, r.pattern)
	}
	return patterns, nil
}

// ScriptLife is how long a downloaded script signs in a dock.
const ScriptLife = scriptLife
